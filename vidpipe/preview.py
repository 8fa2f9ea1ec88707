"""Play a published title on this machine: a small server for its tree, its keys, and a page with a player.

In:   a content id in the catalog and Settings; or a Storage, the prefix of a version, its locks, and a function that answers its keys.
Out:  an HTTP server on the loopback address; nothing is printed and nothing is written.
Wrong: UsageError if the title is unknown or the port cannot be used; a missing object is a 404, a target that cannot be read a 502.

The page plays the title decrypted by this server (below ``/clear/``): Chromium's own HLS cannot decrypt whole segments of fragmented MP4.
Other players get the published bytes, and the key.

Only this machine can reach it, and only under its own name: requests with a foreign Host header are refused, so that a web
page elsewhere cannot read keys through the viewer's browser.
"""

from __future__ import annotations

import html
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of
from vidpipe.catalog.record import Record
from vidpipe.content_id import CONTENT_ID
from vidpipe.errors import PublishFailed, UsageError, VidpipeError
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.layout import INVENTORY, MASTER, POSTER, version_prefix
from vidpipe.manifest.parse import MasterPlaylist, MediaPlaylist, parse
from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.decryption import clear_init
from vidpipe.near import nearest
from vidpipe.pipeline.key_access import key_store
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.delivery import delivery
from vidpipe.publish.upload import is_compressible
from vidpipe.settings import Settings
from vidpipe.storage.base import Storage, clean_path
from vidpipe.storage.compression import decompressed

ADDRESS = "127.0.0.1"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{margin:0;background:#111;color:#eee;font:16px sans-serif}}main{{max-width:80rem;margin:auto;padding:1rem}}
video{{width:100%;max-height:80vh;background:#000}}a{{color:#9cf}}</style>
<main><h1>{title}</h1>
<video controls autoplay muted playsinline src="{master}" poster="{poster}">This browser cannot play video.</video>
<p>This server decrypts the segments for the browser. A browser without HLS (Firefox, old Chrome) shows no picture: use a current
Chrome, Edge or Safari. Players such as ffplay, mpv or VLC can open the title as it was published: <a href="{published}">{published}</a></p>
</main></html>
"""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")  # a longer number is no position in any file: the header is ignored
_CLEAR = "/clear"
_INIT = b"ftyp"  # how an init section begins
_KEY_TAGS = (b"#EXT-X-KEY:", b"#EXT-X-SESSION-KEY:")
_I_FRAMES = b"#EXT-X-I-FRAME-STREAM-INF"
_KEY_LINE = re.compile(rb'(#EXT-X-(?:SESSION-)?KEY:(?![^\r\n]*KEYFORMAT="(?!identity"))[^\r\n]*?URI=")([^"\r\n]*)(")')
"""A tag of vidpipe's own; those of DRM systems have other key formats, and stay as they are."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What a segment is encrypted with. iv: as the inventory has it."""

    key_id: str
    iv: bytes


class Preview(ThreadingHTTPServer):
    """The server of one title. Call ``serve_forever``, and ``server_close`` at the end.

    prefix: of the version, below the target.  scheme: its protection.
    key: key id -> 16 bytes, asked only for ``key_ids``.  port: 0 takes a free one.
    locks: of the encrypted segments by path below the prefix (see ``locks_of``).
    """

    daemon_threads = True

    def __init__(
        self,
        storage: Storage,
        prefix: str,
        *,
        title: str,
        scheme: str,
        key_ids: Collection[str],
        key: Callable[[str], bytes],
        locks: Mapping[str, Lock],
        port: int = 0,
    ) -> None:
        self.storage = storage
        self.prefix = prefix
        self.title = title
        self.scheme = scheme_of(scheme)
        self.key_ids = frozenset(key_ids)
        self.key = key
        self.locks = locks
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} cannot be used: {error}", fix="choose another with --port, or leave it out") from error
        self.port = int(self.server_address[1])
        self.hosts = frozenset({f"{ADDRESS}:{self.port}", f"localhost:{self.port}"})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a viewer that has gone: it closed the page, or was cut off."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Address of the page with the player."""
        return f"http://{ADDRESS}:{self.port}/"

    @property
    def master_url(self) -> str:
        """Address of the master playlist."""
        return f"{self.url}{quote(self.prefix)}/{MASTER}"

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for a decoded path that begins with a slash."""
        base = f"/{self.prefix}/"
        if path == "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", self._page()
        if path.startswith(_CLEAR + base):
            status, kind, body = self.answer(path.removeprefix(_CLEAR))
            return status, kind, self._decrypted(path.removeprefix(_CLEAR + base), body) if status == HTTPStatus.OK else body
        if not path.startswith(base):
            return _plain(HTTPStatus.NOT_FOUND)
        name = path.removeprefix(base)
        if name.startswith("keys/"):
            key_id = name.removeprefix("keys/")
            found = key_id in self.key_ids
            return (HTTPStatus.OK, "application/octet-stream", self.key(key_id)) if found else _plain(HTTPStatus.NOT_FOUND)
        try:
            content_type = delivery(clean_path(name)).content_type
        except ValueError:
            return _plain(HTTPStatus.NOT_FOUND)
        stored = f"{self.prefix}/{name}"
        try:
            body = self.storage.get(stored)
            body = decompressed(body) if is_compressible(name) else body  # sent as it is, its header would be missing
        except ValueError:
            return _plain(HTTPStatus.BAD_GATEWAY)
        except PublishFailed:
            return _plain(HTTPStatus.BAD_GATEWAY if self.storage.head(stored) else HTTPStatus.NOT_FOUND)
        return HTTPStatus.OK, content_type, self._local_keys(body) if name.endswith(".m3u8") else body

    def _page(self) -> bytes:
        base = html.escape(f"/{quote(self.prefix)}")
        return _PAGE.format(
            title=html.escape(self.title), master=f"{_CLEAR}{base}/{MASTER}", published=f"{base}/{MASTER}", poster=f"{base}/{POSTER}"
        ).encode()

    def _decrypted(self, name: str, body: bytes) -> bytes:
        """Return a playlist without keys; a segment decrypted, an init section that says nothing of it; everything else as it is."""
        if name.endswith(".m3u8"):
            # The ranges of I-frames are those of encrypted segments.
            hidden = (*_KEY_TAGS, _I_FRAMES) if self.key_ids else _KEY_TAGS
            return b"".join(line for line in body.splitlines(keepends=True) if not line.startswith(hidden))
        if body[4:8] == _INIT:
            return self._clear_init(body)
        lock = self.locks.get(name)
        return self.scheme.open(body, self.key(lock.key_id), lock.iv) if lock and lock.key_id in self.key_ids else body

    @staticmethod
    def _clear_init(body: bytes) -> bytes:
        try:
            return clear_init(body)[0]
        except BoxError:  # damaged: the player says so
            return body

    def _local_keys(self, playlist: bytes) -> bytes:
        """Point the key URIs of a playlist here: a title with an absolute key URL asks a key service that may not exist yet."""

        def local(found: re.Match[bytes]) -> bytes:
            uri = found[2].decode("utf-8", "replace")
            ids = [key_id for key_id in self.key_ids if key_id in uri] or (list(self.key_ids) if len(self.key_ids) == 1 else [])
            return found[1] + f"keys/{ids[0]}".encode() + found[3] if ids else found[0]

        return _KEY_LINE.sub(local, playlist)


@contextmanager
def playing(content_id: str, settings: Settings, port: int = 0) -> Iterator[Preview]:
    """Serve the live version of a title while the block runs.  Raises UsageError, CatalogFailed."""
    record = live_record(settings, content_id)
    prefix = version_prefix(record.content_id, record.version)
    storage = storage_of(record)
    keys = key_store(settings)
    for key_id in record.encryption.key_ids:
        keys.get(key_id)  # a key that cannot be opened is an error now, not a black picture later
    try:
        key_ids = record.encryption.key_ids
        locks = locks_of(storage, prefix, key_ids)
        with Preview(
            storage,
            prefix,
            title=record.title,
            scheme=record.encryption.method,
            key_ids=key_ids,
            key=lambda key_id: keys.get(key_id).key,
            locks=locks,
            port=port,
        ) as server:
            threading.Thread(target=server.serve_forever, name="preview", daemon=True).start()
            try:
                yield server
            finally:
                server.shutdown()
    finally:
        storage.close()


def locks_of(storage: Storage, prefix: str, key_ids: Collection[str]) -> dict[str, Lock]:
    """Return key and IV of every encrypted segment of a version, from its inventory; before 0.2.0 only the playlists have them.

    Empty if neither can be read: then players that can decrypt still play what is there.
    """
    if not key_ids:
        return {}
    try:
        inventory = read_inventory(storage.get(f"{prefix}/{INVENTORY}"))
        if isinstance(inventory, Inventory):
            encrypted = (segment for segment in inventory.segments if segment.key_id and segment.iv)
            return {segment.uri: Lock(str(segment.key_id), bytes.fromhex(str(segment.iv))) for segment in encrypted}
    except (PublishFailed, ValueError):
        pass
    try:
        return dict(_locks_in(storage, prefix, key_ids))
    except (PublishFailed, ValueError):
        return {}


def _locks_in(storage: Storage, prefix: str, key_ids: Collection[str]) -> Iterator[tuple[str, Lock]]:
    master = parse(decompressed(storage.get(f"{prefix}/{MASTER}")))
    if not isinstance(master, MasterPlaylist):
        return
    named = [variant.uri for variant in master.variants] + [member.uri for member in master.renditions if member.uri]
    for uri in dict.fromkeys(named):
        playlist = parse(decompressed(storage.get(f"{prefix}/{uri}")))
        for entry in playlist.segments if isinstance(playlist, MediaPlaylist) else ():
            for key in entry.keys:
                ids = [key_id for key_id in key_ids if key_id in (key.uri or "")]
                if ids and key.iv:
                    yield entry.uri, Lock(ids[0], bytes.fromhex(key.iv))


def live_record(settings: Settings, content_id: str) -> Record:
    """Return the live record of a title.  Raises UsageError if there is none, with the nearest id."""
    with open_catalog(settings.catalog_url) as catalog:
        found = catalog.live(content_id) if CONTENT_ID.fullmatch(content_id) else None
        if found is not None:
            return found[0]
        stands = catalog.standing(content_id) if CONTENT_ID.fullmatch(content_id) else None
        if stands is not None:
            fix = f"make it live again: vidpipe catalog restore {content_id}; or see vidpipe catalog versions {content_id}"
            raise UsageError(f"{content_id} has no live version: it is withdrawn", fix=fix)
        close = nearest(content_id, [record.content_id for record in catalog.list()])
    fix = f"did you mean {close}?" if close else "see vidpipe catalog list, and check --home"
    raise UsageError(f"there is no title {content_id!r} in the catalog", fix=fix)


class _Handler(BaseHTTPRequestHandler):
    server: Preview
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        """Answer a request."""
        self._respond(body_wanted=True)

    def do_HEAD(self) -> None:
        """Answer a request for the headers alone."""
        self._respond(body_wanted=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the library never prints."""

    def _respond(self, *, body_wanted: bool) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            status, kind, body = _plain(HTTPStatus.FORBIDDEN)
        else:
            try:
                asked = urlsplit(self.path)
                status, kind, body = self.server.answer(unquote(asked.path))
            except VidpipeError:
                status, kind, body = _plain(HTTPStatus.BAD_GATEWAY)
            except ValueError:  # no address: "//[x"
                status, kind, body = _plain(HTTPStatus.BAD_REQUEST)
        total = len(body)
        window = _window(self.headers.get("Range"), total) if status == HTTPStatus.OK else None
        if window is not None:
            start, end = window
            status = HTTPStatus.PARTIAL_CONTENT if start < end else HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            body = body[start:end]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", "no-store")  # another title may come to the same port next time
        self.send_header("X-Content-Type-Options", "nosniff")
        if window is not None:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}" if start < end else f"bytes */{total}")
        self.end_headers()
        if body_wanted:
            try:
                self.wfile.write(body)
            except ConnectionError:  # the viewer went elsewhere or closed the page
                self.close_connection = True


def _window(header: str | None, total: int) -> tuple[int, int] | None:
    """Return start and end of the one range asked for (RFC 9110 section 14); None for the whole, an empty one if it lies outside."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last n bytes
        return max(0, total - int(match[2])), total
    start, end = int(match[1]), int(match[2] or total) + bool(match[2])
    if match[2] and end <= start:
        return None
    return (start, min(end, total)) if start < total else (total, total)


def _plain(status: HTTPStatus) -> tuple[HTTPStatus, str, bytes]:
    return status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode()
