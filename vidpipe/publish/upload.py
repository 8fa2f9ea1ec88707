"""Upload a version, object by object, below its own prefix. Nothing points at it before the catalog does.

In:   ProtectedSegments as they come out of the encode, and the small objects (init sections, pictures, playlists, the record).
Out:  PublishedSegments (for the playlists) and PublishedObjects, each with size and hash for the verification.
Wrong: PublishFailed from the storage: the first failed upload stops the others and is raised; Interrupted on cancel (UploadsLeft if
       uploads are still running then).

Segments go up beside the encode on a few threads; only as many segments as threads are in memory. What is already at the target with the
same size and hash is not sent again, so that an interrupted upload continues.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from vidpipe.errors import PublishFailed
from vidpipe.layout import INVENTORY, RECORD, THUMBNAILS
from vidpipe.progress import Copied, Reporter, Uploaded
from vidpipe.publish.copies import Shared
from vidpipe.publish.delivery import delivery
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.storage.base import Storage, clean_path, sha256_file
from vidpipe.storage.compression import compressed

if TYPE_CHECKING:
    from vidpipe.protect.result import ProtectedSegment


class Kept(Protocol):
    """Knows what lies at the target already while a version is made again.

    Both return it as it was published, and then nothing is sent in its place, whatever was made now; None if it is lost. Both may raise.
    """

    def segment(self, made: PublishedSegment) -> PublishedSegment | None:
        """Return the segment that lies there."""

    def object(self, made: PublishedObject) -> PublishedObject | None:
        """Return the object that lies there."""


def is_compressible(path: str) -> bool:
    """Return whether an object is text that only players read: playlists, the DASH manifest and the thumbnails track.

    Not the segments of subtitles, which are encrypted and whose size is a part of the declared rates, and not the record, which programs
    copy without looking at its headers.
    """
    return path.endswith((".m3u8", ".mpd")) or path == THUMBNAILS


def publish_object(
    storage: Storage,
    prefix: str,
    path: str,
    data: bytes | Path,
    *,
    reporter: Reporter,
    gzip: bool = False,
    shared: Shared | None = None,
    kept: Kept | None = None,
) -> PublishedObject:
    """Upload one object of a version. prefix: of the version.  path: relative to it; its suffix decides the headers.

    gzip: store it compressed if it is such text and the target can say so.  shared: another version at this target, from which it is copied
    if it is the same there.  kept: what need not be sent, because this version had it before.
    """
    encoding: Literal["gzip"] | None = None
    if gzip and storage.keeps_headers and isinstance(data, bytes) and is_compressible(path):
        data, encoding = compressed(data), "gzip"
    size, sha256 = (data.stat().st_size, sha256_file(data)) if isinstance(data, Path) else (len(data), hashlib.sha256(data).hexdigest())
    made = PublishedObject(path=path, size=size, sha256=sha256, content_encoding=encoding)
    if kept is not None and (there := kept.object(made)):
        return there
    if shared is not None and shared.copy(prefix, path, size, sha256, encoding):
        reporter.emit(Copied(path=path, bytes=size))
    else:
        _put(storage, prefix, path, data, sha256, encoding)
        reporter.emit(Uploaded(path=path, bytes=size))
        if shared is not None:
            shared.copied.discard(path)
    return made


def publish_segments(
    storage: Storage,
    prefix: str,
    segments: Iterable[ProtectedSegment],
    *,
    paths: Callable[[str, int], str],
    reporter: Reporter,
    cancel: threading.Event,
    workers: int,
    on_failure: Callable[[], None] | None = None,
    shared: Shared | None = None,
    kept: Kept | None = None,
) -> Iterator[PublishedSegment]:
    """Upload segments as they come and yield each one when it lies at the target, in the order in which the uploads end.

    paths: (rendition, index) -> path relative to ``prefix``, see vidpipe.layout.  workers: parallel uploads.
    ``segments`` is consumed in the caller's thread, never more than ``workers`` ahead of the uploads.
    on_failure: called once, from an upload thread, as soon as an upload fails, so that whoever makes the segments can stop (the next
    segment may be minutes away); whatever ``segments`` raises then gives way to the failure of the upload.

    Raises the first PublishFailed, or Interrupted when ``cancel`` is set. Then, and when the generator is closed, ``segments`` is closed
    first (if it is a generator), and running uploads are waited for, though not for long (see ``in_parallel``).
    shared: another version at this target; what is the same there is copied, and not sent.
    kept: knows of each segment whether it is at the target; None asks the target.
    """
    storage.tidy(prefix)
    present = {stored.path: stored.size for stored in storage.list(prefix)}

    def upload(segment: ProtectedSegment) -> PublishedSegment:
        uri = paths(segment.rendition, segment.index)
        path = f"{prefix}/{uri}"
        size = len(segment.data)
        made = _published(segment, uri)
        there: PublishedSegment | None = None
        if kept is not None:
            there = kept.segment(made)
        elif _is_there(storage, path, segment, present.get(path)):
            there = made
        if there is None:
            if shared is not None and shared.copy(prefix, uri, size, segment.sha256):
                reporter.emit(Copied(path=uri, bytes=size))
                return made
            _put(storage, prefix, uri, segment.data, segment.sha256)
            reporter.emit(Uploaded(path=uri, bytes=size))
        if shared is not None:
            shared.copied.discard(uri)
        return there or made

    yield from in_parallel(segments, upload, cancel=cancel, workers=workers, on_failure=on_failure)


def discard(storage: Storage, prefix: str) -> None:
    """Remove a version that was never published. prefix: ``{content_id}/{version}``, never a shorter one."""
    if clean_path(prefix).count("/") != 1:
        raise ValueError(f"not the prefix of a version: {prefix!r}")
    for path in (RECORD, INVENTORY):  # by name, and first: whatever a listing hides, what is left is not taken for a complete version
        remove_object(storage, f"{prefix}/{path}")
    storage.delete_prefix(prefix)
    if left := next(storage.list(prefix), None):  # an answer that it was deleted proves nothing
        raise _still_there(storage.location(left.path))


def remove_object(storage: Storage, path: str) -> None:
    """Remove one object, and look whether it has gone."""
    storage.delete(path)
    if storage.head(path) is not None:
        raise _still_there(storage.location(path))


def _still_there(where: str) -> PublishFailed:
    fix = "run the same command again; if it stays, look at what else writes to the target, and at the rights of these credentials"
    return PublishFailed("the object was deleted, and is still there", where=where, fix=fix)


def _is_there(storage: Storage, path: str, segment: ProtectedSegment, size: int | None) -> bool:
    if size != len(segment.data):
        return False
    stored = storage.head(path)
    return stored is not None and stored.size == size and stored.sha256 == segment.sha256


def _put(storage: Storage, prefix: str, path: str, data: bytes | Path, sha256: str, encoding: str | None = None) -> None:
    headers = delivery(path)
    storage.put(
        f"{prefix}/{path}",
        data,
        content_type=headers.content_type,
        cache_control=headers.cache_control,
        sha256=sha256,
        content_encoding=encoding,
    )


def _published(segment: ProtectedSegment, uri: str) -> PublishedSegment:
    return PublishedSegment(
        rendition=segment.rendition,
        index=segment.index,
        uri=uri,
        start=segment.start,
        duration=segment.duration,
        samples=segment.samples,
        size=len(segment.data),
        sha256=segment.sha256,
        iv=segment.iv.hex().upper() if segment.iv is not None else None,
        key_id=segment.key_id,
        i_frame=segment.i_frame,
    )
