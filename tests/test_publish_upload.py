"""Uploads beside the encode: headers, order, resume, bounded memory, and what happens when one fails."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from vidpipe import layout
from vidpipe.errors import Interrupted, PublishFailed
from vidpipe.package.result import Segment
from vidpipe.progress import Event, Silent, Uploaded
from vidpipe.protect.result import ProtectedSegment, protected
from vidpipe.publish import parallel
from vidpipe.publish.delivery import delivery
from vidpipe.publish.parallel import UploadsLeft
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.publish.upload import discard, publish_object, publish_segments, remove_object
from vidpipe.storage.local import LocalStorage

PREFIX = "title/20261120T221500Z-3fa9c1"
PATHS = partial(layout.segment, "video")


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


class Watched(LocalStorage):
    """A directory that counts, waits and fails on request. full: so many uploads that run at once, and what happens then."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.active = self.most = 0
        self.written: list[str] = []
        self.fail_on: set[str] = set()
        self.gate: threading.Event | None = None
        self.full: tuple[int, Callable[[], object]] | None = None
        self._lock = threading.Lock()

    def put(self, path: str, data: bytes | Path, **options: Any) -> None:
        with self._lock:
            self.active += 1
            self.most = max(self.most, self.active)
            if self.full and self.active == self.full[0]:
                self.full[1]()
        try:
            if self.gate is not None:
                self.gate.wait(10)
            if path.rpartition("/")[2] in self.fail_on:
                raise PublishFailed("cannot upload: the disk is full", where=path, fix="free some space")
            super().put(path, data, **options)
            self.written.append(path)
        finally:
            with self._lock:
                self.active -= 1


def made(count: int, size: int = 100) -> Iterator[ProtectedSegment]:
    for index in range(count):
        data = bytes([index % 256]) * size
        yield protected(Segment("720p", index, Fraction(6 * index), Fraction(6), 144, data), data)


def published(storage: LocalStorage, segments: Iterator[ProtectedSegment], **options: object) -> list[PublishedSegment]:
    arguments = {"paths": PATHS, "reporter": Silent(), "cancel": threading.Event(), "workers": 4, **options}
    return list(publish_segments(storage, PREFIX, segments, **arguments))  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "library")


def test_segments_lie_where_the_layout_says(storage: Watched) -> None:
    reporter = Recorder()
    found = sorted(published(storage, made(12), reporter=reporter), key=lambda segment: segment.index)
    assert [segment.uri for segment in found] == [f"video/720p/{n:05d}.m4s" for n in range(1, 13)]
    for segment in found:
        data = storage.get(f"{PREFIX}/{segment.uri}")
        assert (segment.size, segment.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert (segment.start, segment.duration, segment.samples) == (6 * segment.index, 6, 144)
    assert sorted(event.path for event in reporter.events if isinstance(event, Uploaded)) == [segment.uri for segment in found]
    assert storage.most <= 4


def test_no_segments_are_no_error(storage: Watched) -> None:
    assert published(storage, made(0)) == []


def test_an_interrupted_upload_continues(storage: Watched) -> None:
    published(storage, made(3))
    storage.written.clear()
    other = storage.root / PREFIX / "video/720p/00002.m4s"
    other.write_bytes(b"?" * 100)  # the same size, but not the same bytes
    reporter = Recorder()
    assert len(published(storage, made(5), reporter=reporter)) == 5
    assert sorted(path.rpartition("/")[2] for path in storage.written) == ["00002.m4s", "00004.m4s", "00005.m4s"]
    assert len(reporter.events) == 3
    assert other.read_bytes() == b"\x01" * 100


def test_what_a_killed_writer_left_half_written_is_removed(storage: Watched) -> None:
    left = storage.root / PREFIX / "video" / "720p" / ".vidpipe-0123456789abcdef.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    published(storage, made(1))
    assert not left.exists()
    assert not list(storage.root.rglob("*.tmp"))


def test_few_segments_are_in_memory(storage: Watched) -> None:
    storage.gate = threading.Event()
    taken = 0

    def counted() -> Iterator[ProtectedSegment]:
        nonlocal taken
        for segment in made(20):
            taken += 1
            yield segment

    results: list[PublishedSegment] = []
    consumer = threading.Thread(target=lambda: results.extend(published(storage, counted(), workers=3)))
    consumer.start()
    end = time.monotonic() + 20
    while storage.most < 3 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.2)
    assert taken == 3  # the uploads stand still, so nothing more is taken
    storage.gate.set()
    consumer.join(20)
    assert len(results) == 20
    assert storage.most <= 3


def test_the_first_failure_stops_the_rest(storage: Watched) -> None:
    storage.fail_on = {"00003.m4s"}
    calls: list[str] = []
    with pytest.raises(PublishFailed, match="disk is full"):
        published(storage, made(200), on_failure=lambda: calls.append("once"))
    assert calls == ["once"]
    assert len(storage.written) < 20


def test_the_maker_of_segments_learns_of_a_failure_at_once(storage: Watched) -> None:
    """An encode that would take minutes for the next segment is stopped; its own error gives way to the cause."""
    storage.fail_on = {"00001.m4s"}
    storage.gate = gate = threading.Event()
    stop = threading.Event()

    def slow() -> Iterator[ProtectedSegment]:
        yield from made(1)
        gate.set()  # the upload fails only now, while the next segment is being made
        if stop.wait(20):
            raise Interrupted("the encode was stopped")
        raise AssertionError("nobody stopped the encode")

    began = time.monotonic()
    with pytest.raises(PublishFailed, match="disk is full") as failure:
        published(storage, slow(), on_failure=stop.set)
    assert time.monotonic() - began < 10
    assert isinstance(failure.value.__cause__, Interrupted)


def test_a_failure_of_the_maker_is_passed_on(storage: Watched) -> None:
    def broken() -> Iterator[ProtectedSegment]:
        yield from made(2)
        raise ValueError("encode")

    with pytest.raises(ValueError, match="encode"):
        published(storage, broken())


@pytest.mark.parametrize("when", ["before", "while-waiting"])
def test_cancel_stops_the_uploads(when: str, storage: Watched) -> None:
    cancel = threading.Event()
    if when == "before":
        cancel.set()
    else:
        storage.gate = threading.Event()
        storage.full = (4, threading.Timer(0.1, cancel.set).start)
        threading.Timer(0.4, storage.gate.set).start()
    with pytest.raises(Interrupted) as stopped:
        published(storage, made(100), cancel=cancel)
    assert not isinstance(stopped.value, UploadsLeft), "all have ended, so that the version can be discarded"
    assert len(storage.written) <= 4


def test_an_upload_that_hangs_is_left_behind(storage: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 0.3)
    storage.gate = threading.Event()
    cancel = threading.Event()
    closed: list[float] = []

    def encode() -> Iterator[ProtectedSegment]:
        try:
            yield from made(100)
        finally:
            closed.append(time.monotonic())

    storage.full = (2, threading.Timer(0.1, cancel.set).start)
    began = time.monotonic()
    with pytest.raises(UploadsLeft, match="2 uploads did not end") as stopped:
        published(storage, encode(), cancel=cancel, workers=2)
    ended = time.monotonic()
    assert ended - began < 3
    assert closed
    assert ended - closed[0] >= 0.3, "the encode was closed before the uploads were waited for"
    assert stopped.value.exit_code == 130
    assert isinstance(stopped.value, PublishFailed), "the next run continues this version: what hangs may still arrive"
    threads = [thread for thread in threading.enumerate() if thread.name == "vidpipe-upload"]
    assert [thread.daemon for thread in threads] == [True] * 2
    storage.gate.set()
    for thread in threads:
        thread.join(10)


def test_one_upload_that_hangs_is_counted_as_one(storage: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 0.1)
    storage.gate = threading.Event()
    cancel = threading.Event()
    storage.full = (1, threading.Timer(0.1, cancel.set).start)
    with pytest.raises(UploadsLeft, match="1 upload did not end"):
        published(storage, made(2), cancel=cancel, workers=1)
    storage.gate.set()


def test_a_failure_does_not_wait_for_what_hangs_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PATIENCE", 0.2)
    hangs = threading.Event()

    def work(item: int) -> int:
        if item:
            raise PublishFailed("the disk is full", fix="free some space")
        hangs.wait(20)
        return item

    began = time.monotonic()
    with pytest.raises(PublishFailed, match="disk is full") as failure:
        list(parallel.in_parallel([0, 1], work, cancel=threading.Event(), workers=2))
    assert 0.2 <= time.monotonic() - began < 10
    assert not isinstance(failure.value, UploadsLeft)
    hangs.set()


def test_of_two_failures_one_is_reported() -> None:
    both, reported = threading.Barrier(2), []

    def work(item: int) -> None:
        both.wait(20)
        raise PublishFailed(f"upload {item} failed", fix="try again")

    options: Any = {"cancel": threading.Event(), "workers": 2, "on_failure": lambda: reported.append("once")}
    with pytest.raises(PublishFailed, match=r"upload [01] failed"):
        list(parallel.in_parallel([0, 1], work, **options))
    assert reported == ["once"]


def test_closing_early_leaves_no_thread(storage: Watched) -> None:
    uploads = publish_segments(storage, PREFIX, made(50), paths=PATHS, reporter=Silent(), cancel=threading.Event(), workers=4)
    next(uploads)
    uploads.close()  # type: ignore[attr-defined] # it is a generator
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vidpipe-upload")]


DELIVERIES = {
    "master.m3u8": ("application/vnd.apple.mpegurl", "public, max-age=3600"),
    "video-720p.m3u8": ("application/vnd.apple.mpegurl", "public, max-age=3600"),
    "record.json": ("application/json", "public, max-age=3600"),
    "video/720p/init.mp4": ("video/mp4", "public, max-age=604800, immutable"),
    "video/720p/00001.m4s": ("video/mp4", "public, max-age=604800, immutable"),
    "audio/en/init.mp4": ("audio/mp4", "public, max-age=604800, immutable"),
    "audio/en/00001.m4s": ("audio/mp4", "public, max-age=604800, immutable"),
    "subtitle-en-sub.m3u8": ("application/vnd.apple.mpegurl", "public, max-age=3600"),
    "subtitles/en-sub/00001.vtt": ("text/vtt", "public, max-age=604800, immutable"),
    "thumbnails/poster.jpg": ("image/jpeg", "public, max-age=2592000, immutable"),
    "thumbnails/sprite-001.jpg": ("image/jpeg", "public, max-age=2592000, immutable"),
    "thumbnails/thumbnails.vtt": ("text/vtt", "public, max-age=2592000, immutable"),
}


@pytest.mark.parametrize("path", DELIVERIES)
def test_every_object_has_its_headers(path: str) -> None:
    found = delivery(path)
    assert (found.content_type, found.cache_control) == DELIVERIES[path]


def test_nothing_else_is_published() -> None:
    with pytest.raises(ValueError, match="content type"):
        delivery("keys/0123.key")


@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_an_object_is_published_and_reported(kind: str, storage: Watched, tmp_path: Path) -> None:
    (tmp_path / "poster").write_bytes(b"jpeg")
    reporter = Recorder()
    made = publish_object(storage, PREFIX, layout.POSTER, b"jpeg" if kind == "bytes" else tmp_path / "poster", reporter=reporter)
    assert (made.path, made.size, made.sha256) == (layout.POSTER, 4, hashlib.sha256(b"jpeg").hexdigest())
    assert storage.get(f"{PREFIX}/{layout.POSTER}") == b"jpeg"
    assert reporter.events == [Uploaded(path=layout.POSTER, bytes=4)]


def test_what_is_kept_is_neither_sent_nor_reported(storage: Watched) -> None:
    """Whoever restores a version knows what it had: the target is not asked, and no event says that anything was uploaded."""
    reporter, asked = Recorder(), []
    older = {"size": 7, "sha256": "0" * 64}

    class Kept:
        def segment(self, made: PublishedSegment) -> PublishedSegment | None:
            asked.append((made.uri, made.sha256))
            return None if made.uri == "video/720p/00002.m4s" else replace(made, iv="A" * 32, **older)

        def object(self, made: PublishedObject) -> PublishedObject | None:
            asked.append((made.path, made.sha256))
            return made.model_copy(update=older)

    kept = Kept()
    found = sorted(published(storage, made(3), reporter=reporter, kept=kept), key=lambda segment: segment.index)
    poster = publish_object(storage, PREFIX, layout.POSTER, b"jpeg", reporter=reporter, kept=kept)
    assert storage.written == [f"{PREFIX}/video/720p/00002.m4s"]
    assert reporter.events == [Uploaded(path="video/720p/00002.m4s", bytes=100)]
    segments = [(PATHS(each.rendition, each.index), each.sha256) for each in made(3)]
    objects = [(layout.POSTER, hashlib.sha256(b"jpeg").hexdigest()), *segments]
    assert sorted(asked) == sorted(objects), "it was asked about what was made now"
    there = (7, "0" * 64, "A" * 32)
    assert [(each.size, each.sha256, each.iv) == there for each in found] == [True, False, True], "and is believed"
    assert (poster.size, poster.sha256) == there[:2]


def test_discard_removes_one_version_and_never_more(storage: Watched) -> None:
    published(storage, made(2))
    publish_object(storage, "title/other", layout.MASTER, b"#EXTM3U\n", reporter=Silent())
    discard(storage, PREFIX)
    assert [found.path for found in storage.list()] == ["title/other/master.m3u8"]
    for prefix in ("title", "title/", "title/v/video"):
        with pytest.raises(ValueError, match="prefix of a version"):
            discard(storage, prefix)


def test_what_was_deleted_and_is_still_there_is_not_taken_for_gone(storage: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    published(storage, made(2))
    path = f"{PREFIX}/video/720p/00001.m4s"
    monkeypatch.setattr(LocalStorage, "delete", lambda *_: None)  # a server that answers 204 and keeps it
    monkeypatch.setattr(LocalStorage, "delete_prefix", lambda *_: None)
    with pytest.raises(PublishFailed, match="still there") as refused:
        remove_object(storage, path)
    assert refused.value.where == storage.location(path)
    with pytest.raises(PublishFailed, match="still there"):
        discard(storage, PREFIX)
    monkeypatch.undo()
    remove_object(storage, path)
    remove_object(storage, path)
    assert storage.head(path) is None


def test_what_a_listing_hides_of_a_discarded_version_is_at_least_not_complete(storage: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    published(storage, made(1))
    for name in (layout.INVENTORY, layout.RECORD):
        publish_object(storage, PREFIX, name, b"{}", reporter=Silent())
    monkeypatch.setattr(LocalStorage, "list", lambda *_: iter(()))  # as a server lists what was there a moment ago
    monkeypatch.setattr(LocalStorage, "delete_prefix", lambda *_: None)
    discard(storage, PREFIX)
    monkeypatch.undo()
    assert [found.path for found in storage.list(PREFIX)] == [f"{PREFIX}/video/720p/00001.m4s"]


def test_the_layout() -> None:
    assert layout.init_section("audio", "en") == "audio/en/init.mp4"
    assert layout.segment("video", "720p", 0) == "video/720p/00001.m4s"
    assert layout.segment("video", "720p", 123_455) == "video/720p/123456.m4s"
    assert layout.media_playlist("audio", "en") == "audio-en.m3u8"
    assert layout.subtitle_playlist("en-sub") == "subtitle-en-sub.m3u8"
    assert layout.subtitle_segment("en-sub", 0) == "subtitles/en-sub/00001.vtt"
    assert layout.sprite(0) == "thumbnails/sprite-001.jpg"
    first, second = (layout.new_version(datetime(2026, 11, 20, hour, 15, tzinfo=UTC)) for hour in (9, 22))
    assert first.startswith("20261120T091500Z-")
    assert first < second
