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
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidpipe.data import Data
from vidpipe.errors import Interrupted, PublishFailed
from vidpipe.layout import SUBTITLES_FOLDER, THUMBNAILS
from vidpipe.package.result import PublishedSegment
from vidpipe.progress import Reporter, Uploaded
from vidpipe.storage.base import Storage, clean_path, sha256_file
from vidpipe.storage.compression import compressed

if TYPE_CHECKING:
    from vidpipe.protect.result import ProtectedSegment

PATIENCE = 3.0
"""Seconds that running uploads get to end once the run is to stop; one that hangs gives up by itself only minutes later."""
TICK = 0.2  # seconds between looks at the cancel signal

CacheClass = Literal["video", "thumbnails", "metadata"]

CACHE_SECONDS: dict[CacheClass, int] = {"video": 604_800, "thumbnails": 2_592_000, "metadata": 3_600}
"""How long each class may be cached: 7 days, 30 days, 1 hour. Also written into the record."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an object is sent to players. content_type, cache_control: the HTTP headers of these names."""

    content_type: str
    cache_control: str


_TYPES: dict[str, tuple[str, CacheClass]] = {
    ".m4s": ("video/mp4", "video"),  # below audio/ it is audio/mp4 (Apple's authoring specification 10.4)
    ".mp4": ("video/mp4", "video"),
    ".ts": ("video/mp2t", "video"),
    ".jpg": ("image/jpeg", "thumbnails"),
    ".vtt": ("text/vtt", "thumbnails"),  # below subtitles/ it is a media segment
    ".m3u8": ("application/vnd.apple.mpegurl", "metadata"),
    ".json": ("application/json", "metadata"),
}


class UploadsLeft(Interrupted, PublishFailed):
    """Interrupted while uploads are running that do not end. They may still arrive, so that the version must not be discarded:
    as after any PublishFailed, the next run continues it.
    """


class PublishedObject(Data):
    """An object as it lies at the target. path: relative to the version's prefix.

    size, sha256 (lower-case hex): of the stored bytes, compressed or not.  content_encoding: how they are compressed, None if they are not.
    """

    path: str
    size: int
    sha256: str
    content_encoding: Literal["gzip"] | None = None


def delivery(path: str) -> Delivery:
    """Return Content-Type and Cache-Control of an object, from its path below the version. ValueError for a kind that is not published."""
    suffix = Path(path).suffix
    if suffix not in _TYPES:
        raise ValueError(f"no content type for {path!r}")
    content_type, cache = _TYPES[suffix]
    if path.startswith("audio/") and content_type == "video/mp4":
        content_type = "audio/mp4"
    if path.startswith(f"{SUBTITLES_FOLDER}/"):
        cache = "video"
    # Everything below a version's prefix stays as it is, but playlists and records are the handle to take a title back: no "immutable".
    immutable = "" if cache == "metadata" else ", immutable"
    return Delivery(content_type, f"public, max-age={CACHE_SECONDS[cache]}{immutable}")


def is_compressible(path: str) -> bool:
    """Return whether an object is text that only players read: playlists and the thumbnails track.

    Not the segments of subtitles, which are encrypted and whose size is a part of the declared rates, and not the record, which programs
    copy without looking at its headers.
    """
    return path.endswith(".m3u8") or path == THUMBNAILS


def publish_object(
    storage: Storage, prefix: str, path: str, data: bytes | Path, *, reporter: Reporter, gzip: bool = False
) -> PublishedObject:
    """Upload one object of a version. prefix: of the version.  path: relative to it; its suffix decides the headers.

    gzip: store it compressed if it is such text and the target can say so.
    """
    encoding: Literal["gzip"] | None = None
    if gzip and storage.keeps_headers and isinstance(data, bytes) and is_compressible(path):
        data, encoding = compressed(data), "gzip"
    size, sha256 = (data.stat().st_size, sha256_file(data)) if isinstance(data, Path) else (len(data), hashlib.sha256(data).hexdigest())
    _put(storage, prefix, path, data, sha256, encoding)
    reporter.emit(Uploaded(path=path, bytes=size))
    return PublishedObject(path=path, size=size, sha256=sha256, content_encoding=encoding)


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
) -> Iterator[PublishedSegment]:
    """Upload segments as they come and yield each one when it lies at the target, in the order in which the uploads end.

    paths: (rendition, index) -> path relative to ``prefix``, see vidpipe.layout.  workers: parallel uploads.
    ``segments`` is consumed in the caller's thread, never more than ``workers`` ahead of the uploads.
    on_failure: called once, from an upload thread, as soon as an upload fails, so that whoever makes the segments can stop (the next
    segment may be minutes away); whatever ``segments`` raises then gives way to the failure of the upload.

    Raises the first PublishFailed, or Interrupted when ``cancel`` is set. Then, and when the generator is closed, ``segments`` is closed
    first (if it is a generator), and running uploads are waited for: for PATIENCE at most once a run is to stop. Later ones are left
    behind on daemon threads, which keep no process alive.
    """
    storage.tidy(prefix)
    present = {stored.path: stored.size for stored in storage.list(prefix)}
    failure = _FirstFailure(on_failure)

    def upload(segment: ProtectedSegment) -> PublishedSegment:
        uri = paths(segment.rendition, segment.index)
        path = f"{prefix}/{uri}"
        try:
            if not _is_there(storage, path, segment, present.get(path)):
                _put(storage, prefix, uri, segment.data, segment.sha256)
                reporter.emit(Uploaded(path=uri, bytes=len(segment.data)))
        except BaseException as problem:
            failure.note(problem)
            raise
        return _published(segment, uri)

    uploads = _Uploads(upload)
    source = iter(segments)
    try:
        while True:
            try:
                segment = next(source, None)
            except Exception as problem:
                if failure.first is not None:
                    raise failure.first from problem
                raise
            if segment is None:
                break
            _stop_if(cancel, failure)
            uploads.begin(segment)
            del segment  # the upload holds it now; nothing else keeps its bytes while the next one is made
            yield from uploads.finished(room=workers - 1, cancel=cancel, failure=failure)
        yield from uploads.finished(room=0, cancel=cancel, failure=failure)
    except BaseException as problem:
        if isinstance(source, Generator):
            source.close()
        left = uploads.settle(cancel, failure)
        if left and isinstance(problem, Interrupted):
            raise UploadsLeft(
                f"stopped; {left} upload{'s' if left > 1 else ''} did not end and may still reach the target",
                fix="run the same command again to continue, or give it up: vidpipe work clean --unfinished",
            ) from problem
        raise


def discard(storage: Storage, prefix: str) -> None:
    """Remove a version that was never published. prefix: ``{content_id}/{version}``, never a shorter one."""
    if clean_path(prefix).count("/") != 1:
        raise ValueError(f"not the prefix of a version: {prefix!r}")
    storage.delete_prefix(prefix)


class _FirstFailure:
    """Remembers the first failed upload and reports it at once."""

    def __init__(self, told: Callable[[], None] | None) -> None:
        self.first: BaseException | None = None
        self._told = told
        self._lock = threading.Lock()

    def note(self, problem: BaseException) -> None:
        with self._lock:
            if self.first is not None:
                return
            self.first = problem
        if self._told is not None:
            self._told()


class _Uploads:
    """Uploads, each on a thread of its own. Daemon threads: those of ThreadPoolExecutor are joined when the process ends, however long
    one hangs.
    """

    def __init__(self, upload: Callable[[ProtectedSegment], PublishedSegment]) -> None:
        self._upload = upload
        self._running: dict[Future[PublishedSegment], threading.Thread] = {}

    def begin(self, segment: ProtectedSegment) -> None:
        future: Future[PublishedSegment] = Future()
        thread = threading.Thread(target=self._run, args=(future, segment), name="vidpipe-upload", daemon=True)
        self._running[future] = thread
        thread.start()

    def finished(self, *, room: int, cancel: threading.Event, failure: _FirstFailure) -> Iterator[PublishedSegment]:
        """Yield what is done, and wait until at most ``room`` uploads are running."""
        while True:
            _stop_if(cancel, failure)
            for future in [future for future in self._running if future.done()]:
                self._running.pop(future).join()
                yield future.result()
            if len(self._running) <= room:
                return
            wait(self._running, timeout=TICK, return_when=FIRST_COMPLETED)  # wakes up to look at cancel, too

    def settle(self, cancel: threading.Event, failure: _FirstFailure) -> int:
        """Wait for running uploads, not long once the run is to stop. Return how many are left behind."""
        deadline: float | None = None
        while not all(future.done() for future in self._running):
            if deadline is None and (cancel.is_set() or failure.first is not None):
                deadline = time.monotonic() + PATIENCE
            if deadline is not None and time.monotonic() > deadline:
                break
            wait(self._running, timeout=TICK)
        for future in [future for future in self._running if future.done()]:
            self._running.pop(future).join()
        return len(self._running)

    def _run(self, future: Future[PublishedSegment], segment: ProtectedSegment) -> None:
        try:
            result = self._upload(segment)
        except BaseException as problem:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(problem)
        else:
            future.set_result(result)


def _stop_if(cancel: threading.Event, failure: _FirstFailure) -> None:
    if failure.first is not None:
        raise failure.first
    if cancel.is_set():
        raise Interrupted("stopped while uploading", fix="run the same command again to continue")


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
    )
