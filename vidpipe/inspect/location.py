"""Where a package lies: a local folder, an S3 prefix, or a web server. Reads playlists and asks for sizes; never reads a segment.

In:   the location that the user gave.
Out:  a Package, and the name of the playlist in it.
Wrong: UsageError for a location that cannot be opened; Unreachable for an object in it; of these, Elsewhere for one that lies where this
       place does not look, and Forbidden for one that is there, but not for us.
"""

from __future__ import annotations

import posixpath
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urljoin, urlsplit

from vidpipe.errors import PublishFailed, UsageError
from vidpipe.layout import MASTER
from vidpipe.storage.base import Storage, clean_path
from vidpipe.storage.compression import decompressed
from vidpipe.storage.target import misspelt
from vidpipe.web import Answer, NoAddress, Web, WebError

MOST_PLAYLIST_BYTES = 64 << 20
"""A larger file is no playlist."""
HTTP_SECONDS = 20.0
"""How long a web server may be silent."""
HTTP_SECONDS_IN_ALL = 300.0
"""How long an inspection asks a web server; a slow answer ends by itself (``vidpipe.web``)."""
MOST_ASKED = 5
"""Segments of a playlist that a web server is asked for: the first, the last, and some between."""

_TOO_LARGE = "it is too large for a playlist"
FIX = "give the path of a playlist or a DASH manifest, or a directory with a master.m3u8"


class Unreachable(Exception):
    """An object cannot be read; the text says why."""


class Elsewhere(Unreachable):
    """An object lies where this place does not look, which says nothing against it."""


class Forbidden(Unreachable):
    """An object needs an authorization that we do not have."""


class Package(Protocol):
    """A package. URIs are those of its playlists, relative to the playlist that was opened (base: to that playlist).

    most_asked: objects of one playlist that are looked up at most; None is all.
    """

    most_asked: int | None

    def read(self, uri: str) -> bytes:
        """Return the bytes of a playlist, without the gzip that it may be stored in. Raises Unreachable."""

    def size(self, uri: str, base: str = "") -> int | None:
        """Return the size of an object in bytes, None if it cannot be asked. Raises Unreachable if it is not there."""

    def where(self, uri: str) -> str:
        """Return where an object lies, for people."""

    def close(self) -> None:
        """Release connections."""


def open_package(location: str) -> tuple[Package, str]:
    """Return the place and the name of the playlist in it."""
    scheme = location.partition("://")[0].lower() if "://" in location else ""
    if scheme in ("http", "https"):
        return _Web(location), location
    if scheme == "s3":
        return _open_s3(location)
    try:
        if scheme == "file":
            return _open_folder(Path(unquote(urlsplit(location).path)))
        if scheme:
            raise UsageError(f"playlists cannot be read from {scheme}:// locations", fix="use a local path, s3:// or https://")
        path, meant = Path(location).expanduser(), misspelt(location)
        if meant and not path.exists():
            # What may hold a password is not repeated.
            fix = f"did you mean {meant}?" if not any(char in meant for char in "@?") else "begin it with s3:// or https://"
            raise UsageError("there is no such file, and this is not a valid URL", fix=fix)
        return _open_folder(path)
    except (RuntimeError, ValueError) as error:  # "~nobody" has no home; "file://[x"
        raise UsageError(f"it cannot be opened: {error}", where=location, fix=FIX) from error


def _open_folder(path: Path) -> tuple[Package, str]:
    try:
        if path.is_dir():
            # A title holds its versions, whose names sort by time: the newest one is meant.
            found = path / MASTER if (path / MASTER).is_file() else max(path.glob(f"*/{MASTER}"), default=None)
            if found is None:
                raise UsageError(f"there is no {MASTER} in this directory", where=str(path), fix=FIX)
            path = found
        elif not path.is_file():
            what = "this is not a file" if path.exists() else "there is no such file"
            raise UsageError(what, where=str(path), fix=FIX)
    except OSError as error:
        raise UsageError(f"it cannot be opened: {error.strerror or error}", where=str(path), fix=FIX) from error
    return _Folder(path), path.name


def _open_s3(location: str) -> tuple[Package, str]:
    from vidpipe.storage import open_storage

    folder, _, name = location.rstrip("/").rpartition("/")
    if not name.endswith((".m3u8", ".m3u", ".mpd")) or folder.lower() in ("s3:/", "s3:"):
        folder, name = location.rstrip("/"), MASTER
    return _Bucket(open_storage(folder)), name


def _path(uri: str, base: str) -> str:
    """Return the path of a relative URI below the opened playlist's folder; absolute URLs and what leaves the folder are elsewhere."""
    try:
        url = urlsplit(urljoin(base, uri))
    except ValueError as error:
        raise Unreachable("it is not a valid URL") from error
    if url.scheme or url.netloc:
        raise Elsewhere(f"it lies at {url.scheme}://{url.netloc.rpartition('@')[2]}" if url.scheme else f"it lies at {url.netloc}")
    path = posixpath.normpath(unquote(url.path))
    try:
        return clean_path(path)
    except ValueError as error:
        if path.startswith(("/", "..")):
            raise Unreachable("it lies outside the folder and was not checked") from error
        raise Unreachable("it is not the path of a file") from error


def _unpacked(data: bytes) -> bytes:
    """Return a playlist without its gzip: S3 and web servers store and send it so."""
    try:
        return decompressed(data)
    except ValueError as error:
        raise Unreachable(str(error)) from error


class _Folder:
    """The local directory of a playlist."""

    most_asked: int | None = None

    def __init__(self, playlist: Path) -> None:
        self._folder = playlist.parent
        self._opened = playlist.name  # a file name, no URI: it may hold any character

    def read(self, uri: str) -> bytes:
        file = self._file(uri)
        if self._size(file) > MOST_PLAYLIST_BYTES:
            raise Unreachable(_TOO_LARGE)
        try:
            return _unpacked(file.read_bytes())
        except OSError as error:
            raise Unreachable(f"it cannot be read: {error.strerror or error}") from error

    def size(self, uri: str, base: str = "") -> int | None:
        return self._size(self._file(uri, base))

    def where(self, uri: str) -> str:
        return str(self._folder / uri)

    def close(self) -> None:
        pass

    def _size(self, file: Path) -> int:
        try:
            facts = file.stat()
        except (OSError, ValueError) as error:  # ValueError: a zero byte
            raise Unreachable(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if not stat.S_ISREG(facts.st_mode):  # a pipe would be waited for
            raise Unreachable("it is a directory" if stat.S_ISDIR(facts.st_mode) else "it is not a file")
        return facts.st_size

    def _file(self, uri: str, base: str = "") -> Path:
        if uri == self._opened:
            return self._folder / uri
        return self._folder / _path(uri, "" if base == self._opened else base)


class _Bucket:
    """An S3 prefix. Sizes come from one listing."""

    most_asked: int | None = None

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._sizes: dict[str, int] | None = None

    def read(self, uri: str) -> bytes:
        path = _path(uri, "")
        try:
            stored = self._storage.head(path)
            if stored is not None and stored.size > MOST_PLAYLIST_BYTES:
                raise Unreachable(_TOO_LARGE)
            return _unpacked(self._storage.get(path))
        except PublishFailed as error:
            raise Unreachable(error.what) from error

    def size(self, uri: str, base: str = "") -> int | None:
        path = _path(uri, base)
        try:
            if self._sizes is None:
                self._sizes = {stored.path: stored.size for stored in self._storage.list()}
        except PublishFailed as error:
            raise Unreachable(error.what) from error
        if path not in self._sizes:
            raise Unreachable("it does not exist")
        return self._sizes[path]

    def where(self, uri: str) -> str:
        return self._storage.location(uri)

    def close(self) -> None:
        self._storage.close()


class _Web:
    """A web server. Of each playlist only a few objects are asked for: thousands of requests would be rude."""

    most_asked: int | None = MOST_ASKED

    def __init__(self, location: str) -> None:
        self._web = Web(silence=HTTP_SECONDS)
        self._addresses: dict[str, str] = {}  # of playlists, after redirects: what they name lies beside them
        self._sizes: dict[str, int | None] = {}  # two playlists may name the same segments: a rung's, and that of its I-frames
        self._opened = location
        self._end = time.monotonic() + HTTP_SECONDS_IN_ALL

    def read(self, uri: str) -> bytes:
        data = bytearray()
        with self._answer(self._address(uri, ""), "GET") as answer:
            for block in answer.blocks:
                self._check_time()
                data += block
                if len(data) > MOST_PLAYLIST_BYTES:
                    raise Unreachable(_TOO_LARGE)
            self._addresses[uri] = answer.url
        return _unpacked(bytes(data))

    def size(self, uri: str, base: str = "") -> int | None:
        address = self._address(uri, base)
        if address not in self._sizes:
            self._sizes[address] = self._asked_size(address)
        return self._sizes[address]

    def _asked_size(self, address: str) -> int | None:
        try:
            with self._answer(address, "HEAD") as answer:
                length = answer.headers.get("content-length", "")
                return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else None
        except _NoHead:
            return None

    def where(self, uri: str) -> str:
        try:
            return self._addresses.get(uri) or self._address(uri, "")
        except Unreachable:
            return uri

    def close(self) -> None:
        self._web.close()

    def _address(self, uri: str, base: str) -> str:
        try:
            address = urljoin(self._addresses.get(base or self._opened, self._opened), uri)
            scheme = urlsplit(address).scheme
        except ValueError as error:
            raise Unreachable("it is not a valid URL") from error
        if scheme not in ("http", "https"):
            raise Elsewhere(f"it lies at {scheme}:")
        return address

    def _check_time(self) -> None:
        if time.monotonic() > self._end:
            raise Unreachable(f"the server was asked for {HTTP_SECONDS_IN_ALL:.0f} s, which is the limit")

    @contextmanager
    def _answer(self, address: str, method: str) -> Iterator[Answer]:
        self._check_time()
        try:
            with self._web.answered(address, method) as answer:
                if answer.status == HTTPStatus.OK:
                    yield answer
                elif answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                    raise Forbidden(f"the server answers {answer.status} {answer.reason}")
                elif answer.status in (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED) and method == "HEAD":
                    raise _NoHead
                else:
                    raise Unreachable(f"the server answers {answer.status} {answer.reason}")
        except NoAddress as error:
            raise Unreachable("it is not a valid URL") from error
        except WebError as error:
            raise Unreachable(f"it cannot be read: {error.what}") from error


class _NoHead(Exception):
    """The server does not answer HEAD, which says nothing of the object."""
