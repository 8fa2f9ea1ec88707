"""What is promised of a target whose storage fails, looked at without vidpipe: by the rows of the catalog and the objects of the server.

In:   the objects of the bucket, the file of the catalog, the folder of the keys, how a content key is opened.
Out:  sentences, one for each broken promise; none is a good sign.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.faults.server import FaultServer

VERSION = r"\d{8}T\d{6}Z-[0-9a-f]{6}"
ADDRESS = re.compile(r"(?P<target>\w+)/(?P<title>[\w-]+)/master\.m3u8")


@dataclass(frozen=True)
class Row:
    """A line of the catalog. prefix: of its objects in the bucket, with a slash at the end."""

    title: str
    version: str
    status: str
    record: dict[str, Any]

    @property
    def prefix(self) -> str:
        return str(self.record["playback"]["hls"]).split("/", 3)[3].removesuffix("master.m3u8")

    @property
    def address(self) -> str:
        """Of the title, at the target of this version."""
        return self.prefix.removesuffix(f"{self.version}/") + "master.m3u8"


@dataclass
class Judge:
    """Looks at a target. reference: what the title of each source is, by SHA-256 of the source, once it is known."""

    server: FaultServer
    catalog: Path
    keys: Path
    key: Callable[[str], bytes]
    reference: dict[str, dict[str, str]] = field(default_factory=dict)
    _whole: dict[str, dict[str, Any]] = field(default_factory=dict)

    def changed(self, key: str | None) -> None:
        """Look again at the version that has an object; None stands for all. What has not changed since it was seen whole still is."""
        self._whole = {prefix: record for prefix, record in self._whole.items() if key is not None and not key.startswith(prefix)}

    def rows(self) -> list[Row]:
        with closing(sqlite3.connect(self.catalog, timeout=10)) as connection:
            found = connection.execute("SELECT content_id, version, status, record FROM vidpipe_versions").fetchall()
        return [Row(title, version, status, _parsed(record.encode())) for title, version, status, record in found]

    # -- always ---------------------------------------------------------------------------------------------------------

    def always(self) -> Iterator[str]:
        """What holds at every moment: every version that the catalog has is complete, and what an address plays is complete, too.

        Only an address that the server has torn, and has not been given again since, plays nothing.
        """
        rows = self.rows()
        for row in rows:
            if row.status != "deleting":
                yield from self.incomplete(row)
        standing = [row.title for row in rows if row.status in ("live", "withdrawn")]
        yield from (f"{title} has several standing versions" for title in {title for title in standing if standing.count(title) > 1})
        known = {row.prefix: row for row in rows}
        for key, played in self.addresses():
            prefix = f"{key.removesuffix('master.m3u8')}{played}/"
            if played == "nothing" and self.server.objects[key].torn:
                continue
            if prefix not in known:
                yield f"{key} plays {played}, which the catalog does not know"
            else:
                yield from (f"{key}: {problem}" for problem in self.incomplete(known[prefix]))

    def incomplete(self, row: Row) -> Iterator[str]:
        """Compare the objects of a version with its inventory, and its record with the catalog's."""
        if self._whole.get(row.prefix) is row.record:  # the same text was parsed once
            return
        problems = list(self._incomplete(row))
        if not problems:
            self._whole[row.prefix] = row.record
        yield from problems

    def _incomplete(self, row: Row) -> Iterator[str]:
        objects, name = self.server.objects, f"{row.status} {row.title} {row.version}"
        inventory, record = (objects.get(f"{row.prefix}{file}.json") for file in ("inventory", "record"))
        if inventory is None or record is None:
            yield f"{name} has no {'inventory' if inventory is None else 'record'}"
            return
        for path, (size, sha256) in entries(inventory.body).items():
            found = objects.get(f"{row.prefix}{path}")
            if found is None:
                yield f"{name} has lost {path}"
            elif (len(found.body), found.sha256) != (size, sha256):
                yield f"{name} has another {path} than its inventory says"
            elif found.headers.get("x-amz-meta-sha256") != sha256:
                yield f"{name}: {path} has another hash among its headers"
        if _said(_parsed(record.body)) != _said(row.record):
            yield f"{name} has another record than the catalog"

    def addresses(self) -> Iterator[tuple[str, str]]:
        """The keys of the addresses of all titles, and the version that each plays; "nothing" for none."""
        for key, found in list(self.server.objects.items()):
            if ADDRESS.fullmatch(key):
                folder = key.removesuffix("master.m3u8")
                uris = list(named_uris(found.body.decode(errors="replace")))
                versions = {uri.partition("/")[0] for uri in uris}
                whole = len(versions) == 1 and all(folder + uri in self.server.objects for uri in uris)
                yield key, versions.pop() if whole else "nothing"

    # -- when a command has succeeded -----------------------------------------------------------------------------------

    def shown(self) -> Iterator[str]:
        """The address of a title plays its live version; of a title that is not live, there is none."""
        rows = self.rows()
        live = {row.title: row for row in rows if row.status == "live"}
        addresses = dict(self.addresses())
        for title, row in live.items():
            played = addresses.get(row.address)
            if played != row.version:
                yield f"{title} is live as {row.version}, and its address plays {played}"
        for key, played in addresses.items():
            match = ADDRESS.fullmatch(key)
            assert match
            if match["title"] not in live:
                yield f"{match['title']} is not live, and {key} plays {played}"

    # -- when all is done -----------------------------------------------------------------------------------------------

    def left(self) -> Iterator[str]:
        """Nothing is there but what the catalog references: objects, uploads, keys."""
        rows = self.rows()
        wanted = {row.address for row in rows if row.status == "live"}
        for row in rows:
            if (inventory := self.server.objects.get(f"{row.prefix}inventory.json")) is not None:
                paths = (*entries(inventory.body), "inventory.json", "record.json")
                wanted |= {row.prefix + path for path in paths}
        played = {row.address for row in rows if row.status == "superseded"}  # of a title that was moved from there
        yield from (f"nothing references {key}" for key in sorted(self.server.objects.keys() - wanted - played))
        yield from (f"{key} is lost" for key in sorted(wanted - self.server.objects.keys()))
        yield from (f"an upload to {upload.key} was left" for upload in self.server.uploads.values())
        used = {key_id for row in rows for key_id in row.record["encryption"]["key_ids"]}
        kept = {file.stem for file in self.keys.glob("*.json")}
        yield from (f"key {key_id} is of no version" for key_id in sorted(kept - used))
        yield from (f"key {key_id} is lost" for key_id in sorted(used - kept))
        yield from (f"{row.title} {row.version} is still being deleted" for row in rows if row.status == "deleting")

    def different(self) -> Iterator[str]:
        """Every version decrypts to what its source gives when nothing fails: segments, init sections, pictures, playlists."""
        for row in self.rows():
            content, source = self.content(row), row.record["source"]["sha256"]
            known = self.reference.setdefault(source, content)
            for path in sorted(known.keys() | content.keys()):
                if known.get(path) != content.get(path):
                    yield f"{row.status} {row.title} {row.version}: {path} is not what its source gives"

    def content(self, row: Row) -> dict[str, str]:
        """Hashes of all objects of a version, as viewers get to see them: without what a key decides."""
        bodies = {key.removeprefix(row.prefix): kept.body for key, kept in self.server.objects.items() if key.startswith(row.prefix)}
        found: dict[str, str] = {}
        for path, body in bodies.items():
            if path.endswith(".m3u8"):
                text = body.decode()
                keys, plain = re.findall(r'URI="keys/([0-9a-f]{32})"', text), re.sub(r"IV=0x\w+|keys/[0-9a-f]{32}", "", text)
                found[path] = _hash(plain.encode())
                ivs = re.findall(r"IV=0x([0-9A-F]{32})", text)
                for uri, key_id, iv in zip(_segments(text), keys, ivs, strict=True):
                    found[uri] = _hash(_decrypted(bodies.get(uri, b""), self.key(key_id), bytes.fromhex(iv)))
        plain_files = {path: _hash(body) for path, body in bodies.items() if not path.endswith((".m3u8", ".json"))}
        return {**plain_files, **found}


def entries(inventory: bytes) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each object that an inventory names."""
    known = _parsed(inventory)
    tracks = (track for kind in ("video", "audio", "subtitles") for track in known.get(kind, ()))
    segments = {part["uri"]: (part["size"], part["sha256"]) for track in tracks for part in track["segments"]}
    return segments | {path: (entry["size"], entry["sha256"]) for path, entry in known["objects"].items()}


def named_uris(playlist: str) -> Iterator[str]:
    """Yield what a playlist names, keys excepted."""
    for line in playlist.splitlines():
        if line.startswith("#EXT-X-KEY"):
            continue
        if line.startswith("#"):
            yield from re.findall(r'URI="([^"]+)"', line)
        elif line:
            yield line


def _segments(playlist: str) -> list[str]:
    """The segments that have a key: none of a master playlist."""
    lines = playlist.splitlines()
    return [line for line in lines if line and not line.startswith("#")] if "#EXT-X-KEY" in playlist else []


def _said(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("status", "status_since")}


@functools.lru_cache(512)
def _parsed(text: bytes) -> dict[str, Any]:
    """The same few texts are read at each change."""
    try:
        found = json.loads(text)
    except ValueError:
        return {"objects": {}}
    assert isinstance(found, dict)
    return found


@functools.lru_cache(4096)
def _decrypted(body: bytes, key: bytes, iv: bytes) -> bytes:
    try:
        cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        unpadder = PKCS7(128).unpadder()
        return unpadder.update(cipher.update(body) + cipher.finalize()) + unpadder.finalize()
    except ValueError:
        return b"not to be decrypted"


def _hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
