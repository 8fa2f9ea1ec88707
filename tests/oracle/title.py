"""Read a published title as a player does: master playlist, media playlists, keys; each rendition becomes one clear file.

In:   the folder of a published version and the home that holds its keys.
Out:  Title: files of the largest video rendition and of every audio rendition.
Wrong: KeyError, ValueError, OSError where a playlist or a key is not as it should be.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.padding import PKCS7


@dataclass(frozen=True)
class Title:
    """A title in the clear. video: the largest rendition.  audio: name -> file.  seconds: of the video's playlist."""

    video: Path
    audio: dict[str, Path]
    subtitles: tuple[str, ...]
    seconds: float


def attributes(line: str) -> dict[str, str]:
    """Return the attributes of a tag."""
    return {name: value.strip('"') for name, value in re.findall(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)', line.partition(":")[2])}


def key_of(home: Path, key_id: str) -> bytes:
    """Unwrap a content key (RFC 3394)."""
    master = bytes.fromhex((home / "keys" / "master.key").read_text().strip())
    return aes_key_unwrap(master, bytes.fromhex(json.loads((home / "keys" / f"{key_id}.json").read_text())["wrapped"]))


def read(version: Path, home: Path, target: Path) -> Title:
    """Decrypt the renditions of a version into ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    lines = (version / "master.m3u8").read_text().splitlines()
    streams = [(line, lines[number + 1]) for number, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF:")]
    variants = [(int(attributes(line)["BANDWIDTH"]), uri) for line, uri in streams]
    media = [attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:")]
    audio = {m["URI"] for m in media if m["TYPE"] == "AUDIO" and "URI" in m}
    video, seconds = _join(version, max(variants)[1], home, target)
    tracks = {uri.removesuffix(".m3u8"): _join(version, uri, home, target)[0] for uri in sorted(audio)}
    return Title(video, tracks, tuple(m["URI"] for m in media if m["TYPE"] == "SUBTITLES"), seconds)


def _join(version: Path, playlist: str, home: Path, target: Path) -> tuple[Path, float]:
    """Write init section and decrypted segments one after the other; return the file and the sum of EXTINF."""
    file, seconds, key = target / f"{Path(playlist).stem}.mp4", 0.0, {"METHOD": "NONE"}
    with file.open("wb") as joined:
        for line in (version / playlist).read_text().splitlines():
            if line.startswith("#EXT-X-MAP:"):
                joined.write((version / attributes(line)["URI"]).read_bytes())
            elif line.startswith("#EXT-X-KEY:"):
                key = attributes(line)
            elif line.startswith("#EXTINF:"):
                seconds += float(line[8:].split(",")[0])
            elif line and not line.startswith("#"):
                joined.write(_clear((version / line).read_bytes(), key, home))
    return file, seconds


def _clear(data: bytes, key: dict[str, str], home: Path) -> bytes:
    if key["METHOD"] == "NONE":
        return data
    if key["METHOD"] != "AES-128":
        raise ValueError(f"unknown encryption {key['METHOD']}")
    cipher = Cipher(algorithms.AES128(key_of(home, key["URI"].rsplit("/", 1)[-1])), modes.CBC(bytes.fromhex(key["IV"][2:])))
    decryptor, unpadder = cipher.decryptor(), PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()
