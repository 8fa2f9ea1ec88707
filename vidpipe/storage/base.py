"""What every target can do: the Storage protocol, what it says of an object, and the rule for object paths.

In:   object paths relative to the root of the target: "/"-separated, without "." and ".." parts.
Out:  ``Storage`` (local.py and s3.py implement it), ``Readable`` (web_server.py), ``Stored``, ``get_if_there``, ``clean_path``,
      ``sha256_file``.
Wrong: Damaged. ValueError for a path that would leave the root: only vidpipe makes these paths, so that is a bug.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from vidpipe.data import Data
from vidpipe.errors import PublishFailed


class Stored(Data):
    """An object at the target. path: relative to the root.  size: bytes.  sha256: lower-case hex of its bytes.

    content_encoding: "gzip" if the bytes are compressed, for players to unpack.
    tag: text that changes whenever the object is written again.  modified: when it was written, as a listing says.
    What a target does not remember is None: a local directory keeps neither content_type, cache_control nor content_encoding (the
    web server in front of it sends them) nor a tag, and ``list`` gives sizes and times only.
    """

    path: str
    size: int
    content_type: str | None = None
    cache_control: str | None = None
    content_encoding: str | None = None
    sha256: str | None = None
    tag: str | None = None
    modified: datetime | None = None


class Damaged(PublishFailed):
    """An object has other bytes than it was written with, however often it is read. size, sha256: of what was read."""

    size = 0
    sha256 = ""

    @classmethod
    def of(cls, data: bytes, where: str) -> Damaged:
        """Return the error for an object that was read."""
        fix = "run the same command again; if it fails again, look at what else writes to the target"
        error = cls("the object has other bytes than it was written with", where=where, fix=fix)
        error.size, error.sha256 = len(data), hashlib.sha256(data).hexdigest()
        return error


class Readable(Protocol):
    """A place of published objects that is only read. Safe to call from several threads. Every failure is a PublishFailed."""

    keeps_headers: bool
    """Whether the target sends the headers of an object itself: only then may its bytes be compressed."""

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        """Return the bytes of an object as they are stored. What was damaged on its way is read again.

        sha256: of the bytes, as it must be; None for what the target remembers of it, if it does.  Raises Damaged if it is another one.
        size: that goes with the hash: of a place that may send without an end, no more is read.
        """

    def head(self, path: str) -> Stored | None:
        """Return what is known of an object, or None if there is none. sha256 is None if a foreign tool wrote it to S3."""

    def location(self, path: str = "") -> str:
        """Return where an object lies, for people and records: an absolute file path or an s3:// URL."""

    def close(self) -> None:
        """Release connections."""


class Storage(Readable, Protocol):
    """A place for published objects. Safe to call from several threads. Every failure is a PublishFailed.

    An object appears whole or not at all: a reader never sees half a write.
    """

    def check(self) -> None:
        """Raise PublishFailed now if the target plainly cannot take objects, so that no encode is wasted. Leaves no object behind."""

    def put(
        self,
        path: str,
        data: bytes | Path,
        *,
        content_type: str,
        cache_control: str,
        sha256: str,
        content_encoding: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """Write an object from bytes or from a local file, replacing what is there. sha256: lower-case hex of the bytes.

        content_encoding: "gzip" if the bytes are compressed; only for a target that keeps headers.
        on_bytes: called with the size of each piece that leaves, from any thread; what it raises ends the writing.
        """

    def copy(self, source: str, path: str, *, size: int) -> bool:
        """Copy an object inside the target, with its headers; its bytes do not pass through this machine. Replaces what is at ``path``.

        size: bytes, as known. False if the object is not there, or the target does not copy it; whoever has its bytes can put them.
        """

    def download(self, path: str, file: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        """Copy an object into a local file, which appears whole or not at all.

        on_bytes: called with the size of each piece that arrives, from any thread; what it raises ends the copying.
        """

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """Yield the objects below the folder ``prefix`` ("" is the root), ordered by path; path and size only."""

    def tidy(self, prefix: str) -> None:
        """Remove what a killed writer left half-written below the folder ``prefix``, which no one else may be writing to."""

    def delete(self, path: str) -> None:
        """Remove one object. That it is not there is no error."""

    def unfinished_uploads(self, before: datetime) -> Iterator[Stored]:
        """Yield what was begun before a moment and never became an object: path, and the tag that ``abort_upload`` needs."""

    def abort_upload(self, left: Stored) -> None:
        """Remove an upload that was never finished. That it is gone is no error."""

    def delete_prefix(self, prefix: str) -> None:
        """Remove every object below the folder ``prefix``, which must not be "". Nothing there is no error."""


def get_if_there(storage: Readable, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes | None:
    """Return the bytes of an object, or None if there is none. A target that cannot be asked is another matter: PublishFailed.

    sha256, size: as of Readable.get.
    """
    try:
        return storage.get(path, sha256, size=size)
    except PublishFailed as problem:
        if isinstance(problem, Damaged) or storage.head(path) is not None:
            raise
    return None


def clean_path(path: str, *, empty: bool = False) -> str:
    """Return ``path`` without a trailing "/", or raise ValueError if it is not a plain relative object path.

    empty: "" is allowed and means the root.
    """
    path = path.removesuffix("/")
    if not path and empty:
        return path
    if not path or any(ord(char) < 32 or ord(char) == 127 or char == "\\" for char in path):
        raise ValueError(f"not an object path: {path!r}")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"an object path must be relative and stay below the root: {path!r}")
    return path


def sha256_file(file: Path) -> str:
    """Return the SHA-256 of a file as lower-case hex, read in pieces."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
