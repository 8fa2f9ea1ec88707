"""Objects shared with another version: copied where they are the same, sent where they are not, and what came is looked at."""

from __future__ import annotations

import hashlib
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.encode_support import Seen
from vidpipe.errors import Interrupted
from vidpipe.package.result import Segment
from vidpipe.progress import Copied, Silent, Uploaded
from vidpipe.protect.result import protected
from vidpipe.publish.copies import Shared
from vidpipe.publish.delivery import delivery
from vidpipe.publish.result import ObjectEntry, PublishedSegment
from vidpipe.publish.upload import publish_object, publish_segments
from vidpipe.storage.base import Stored
from vidpipe.storage.compression import decompressed
from vidpipe.storage.local import LocalStorage

OLD, NEW = "film/1", "film/2"
POSTER, MASTER, SEGMENT = "thumbnails/poster.jpg", "master.m3u8", "video/low/00001.m4s"
BYTES = {POSTER: b"a poster", MASTER: b"#EXTM3U\n", SEGMENT: b"a segment"}


class Bucket(LocalStorage):
    """A target that keeps headers, as S3 does. written: paths that were sent.  asked: those that it was asked to copy, and their sizes."""

    keeps_headers = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.headers: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []
        self.asked: list[tuple[str, int]] = []

    def put(self, path: str, data: bytes | Path, **options: Any) -> None:
        self.headers[path] = {name: options.get(name) for name in ("content_type", "cache_control", "content_encoding")}
        self.written.append(path)
        assert options["sha256"] == hashlib.sha256(data if isinstance(data, bytes) else data.read_bytes()).hexdigest(), "S3 keeps it"
        super().put(path, data, **options | {"content_encoding": None})

    def copy(self, source: str, path: str, *, size: int) -> bool:
        self.asked.append((source, size))
        self.headers[path] = self.headers.get(source, self.headers.get(path, {}))
        return super().copy(source, path, size=size)

    def head(self, path: str) -> Stored | None:
        found = super().head(path)
        return found and found.model_copy(update=self.headers.get(path, {}))


def entry(data: bytes) -> ObjectEntry:
    return ObjectEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    storage = Bucket(tmp_path)
    for path, data in BYTES.items():
        publish_object(storage, OLD, path, data, reporter=Silent())
    storage.written.clear()
    return storage


@pytest.fixture
def shared(bucket: Bucket) -> Shared:
    return Shared(bucket, OLD, {path: entry(data) for path, data in BYTES.items()})


def send(bucket: Bucket, shared: Shared, path: str, data: bytes) -> list[Copied | Uploaded]:
    seen = Seen()
    sent = publish_object(bucket, NEW, path, data, reporter=seen, shared=shared)
    assert (sent.path, sent.entry) == (path, entry(data))
    assert bucket.get(f"{NEW}/{path}") == data
    head = bucket.head(f"{NEW}/{path}")
    assert head
    assert (head.content_type, head.cache_control) == (delivery(path).content_type, delivery(path).cache_control)
    return [event for event in seen.events if isinstance(event, (Copied, Uploaded))]


@pytest.mark.parametrize("path", BYTES)
def test_what_is_the_same_is_copied(bucket: Bucket, shared: Shared, path: str) -> None:
    assert send(bucket, shared, path, BYTES[path]) == [Copied(path=path, bytes=len(BYTES[path]))]
    assert (bucket.asked, bucket.written, shared.copied) == ([(f"{OLD}/{path}", len(BYTES[path]))], [], {path})


def lost(bucket: Bucket) -> None:
    (bucket.root / OLD / POSTER).unlink()


def rotten(bucket: Bucket) -> None:
    (bucket.root / OLD / POSTER).write_bytes(b"A poster")


def shorter(bucket: Bucket) -> None:
    (bucket.root / OLD / POSTER).write_bytes(b"poster")


def old_type(bucket: Bucket) -> None:
    bucket.headers[f"{OLD}/{POSTER}"]["content_type"] = "image/jpg"


def old_age(bucket: Bucket) -> None:
    bucket.headers[f"{OLD}/{POSTER}"]["cache_control"] = "public, max-age=60"


@pytest.mark.parametrize("spoil", [lost, rotten, shorter, old_type, old_age])
def test_what_a_copy_would_spoil_is_sent(bucket: Bucket, shared: Shared, spoil: Any) -> None:
    spoil(bucket)
    assert send(bucket, shared, POSTER, BYTES[POSTER]) == [Uploaded(path=POSTER, bytes=8)]
    assert shared.copied == set()


@pytest.mark.parametrize(
    ("path", "data"),
    [
        pytest.param(POSTER, b"b poster", id="other bytes"),
        pytest.param(POSTER, b"a larger poster", id="another size"),
        pytest.param("thumbnails/sprite-001.jpg", b"a poster", id="not in the other version"),
    ],
)
def test_what_is_not_the_same_is_sent(bucket: Bucket, shared: Shared, path: str, data: bytes) -> None:
    assert send(bucket, shared, path, data) == [Uploaded(path=path, bytes=len(data))]
    assert (bucket.asked, bucket.written, shared.copied) == ([], [f"{NEW}/{path}"], set())


def test_a_folder_keeps_no_headers_that_could_be_wrong(bucket: Bucket, tmp_path: Path) -> None:
    folder = Shared(LocalStorage(tmp_path), OLD, {POSTER: entry(BYTES[POSTER])})
    assert folder.copy(NEW, POSTER, *dict(entry(BYTES[POSTER])).values())
    assert folder.copied == {POSTER}


def test_what_lies_there_already_is_no_copy(bucket: Bucket, shared: Shared) -> None:
    """Whoever put it there is not known: it has to be read back whole."""
    lost(bucket)
    publish_object(bucket, NEW, POSTER, BYTES[POSTER], reporter=Silent())
    assert send(bucket, shared, POSTER, BYTES[POSTER]) == [Uploaded(path=POSTER, bytes=8)]
    assert shared.copied == set()


def test_an_object_that_was_copied_and_is_sent_after_all_is_no_copy(bucket: Bucket, shared: Shared) -> None:
    send(bucket, shared, POSTER, BYTES[POSTER])
    send(bucket, shared, POSTER, b"b poster")
    assert shared.copied == set(), "it has to be read back whole"


def test_a_playlist_that_is_compressed_now_is_no_copy_of_the_plain_one(bucket: Bucket, shared: Shared) -> None:
    """And on a folder nothing is compressed: no web server in front of it would say so."""
    sent = publish_object(bucket, NEW, MASTER, BYTES[MASTER], reporter=Silent(), gzip=True, shared=shared)
    assert (sent.content_encoding, shared.copied) == ("gzip", set())
    assert bucket.headers[f"{NEW}/{MASTER}"]["content_encoding"] == "gzip"
    assert decompressed(bucket.get(f"{NEW}/{MASTER}")) == BYTES[MASTER]
    again = Shared(bucket, NEW, {MASTER: sent.entry})
    assert publish_object(bucket, "film/3", MASTER, BYTES[MASTER], reporter=Silent(), gzip=True, shared=again) == sent
    assert again.copied == {MASTER}
    assert publish_object(bucket, NEW, "manifest.mpd", b"<MPD/>", reporter=Silent(), gzip=True).content_encoding == "gzip"
    poster = publish_object(bucket, NEW, POSTER, BYTES[POSTER], reporter=Silent(), gzip=True)
    assert poster.content_encoding is None, "pictures are compressed already"


def segments(bucket: Bucket, shared: Shared | None, *data: bytes) -> tuple[list[PublishedSegment], list[Any]]:
    made = [protected(Segment("low", n, Fraction(n), Fraction(1), 25, each), each, bytes(15) + b"\xab", "k") for n, each in enumerate(data)]
    seen = Seen()
    options: Any = {"reporter": seen, "cancel": threading.Event(), "workers": 2, "shared": shared}
    sent = publish_segments(bucket, NEW, made, paths=lambda name, index: f"video/{name}/{index + 1:05d}.m4s", **options)
    return sorted(sent, key=lambda segment: segment.index), seen.events


def test_segments_that_are_the_same_are_copied(bucket: Bucket, shared: Shared) -> None:
    found, events = segments(bucket, shared, BYTES[SEGMENT], b"another")
    assert [segment.entry for segment in found] == [entry(BYTES[SEGMENT]), entry(b"another")]
    assert {(segment.iv, segment.key_id) for segment in found} == {("00" * 15 + "AB", "k")}
    assert sorted(events, key=lambda event: event.path) == [
        Copied(path=SEGMENT, bytes=9),
        Uploaded(path="video/low/00002.m4s", bytes=7),
    ]
    assert (bucket.written, shared.copied) == ([f"{NEW}/video/low/00002.m4s"], {SEGMENT})


def test_segments_that_are_there_already_are_no_copies(bucket: Bucket, shared: Shared) -> None:
    segments(bucket, shared, BYTES[SEGMENT])
    assert shared.copied == {SEGMENT}
    _, events = segments(bucket, shared, BYTES[SEGMENT])
    assert (events, shared.copied) == ([], set()), "whoever put it there is not known: it has to be read back whole"


# --- without looking --------------------------------------------------------------------------------------------------


def copy_all(shared: Shared, moves: dict[str, str], cancel: threading.Event | None = None) -> tuple[frozenset[str], list[Any]]:
    seen = Seen()
    return shared.copy_all(NEW, moves, reporter=seen, cancel=cancel or threading.Event(), workers=2), seen.events


def test_objects_are_copied_to_other_places_and_what_is_lost_is_named(bucket: Bucket, shared: Shared) -> None:
    lost(bucket)
    missing, events = copy_all(shared, {"video/high/00001.m4s": SEGMENT, POSTER: POSTER})
    assert missing == {POSTER}
    assert set(bucket.asked) == {(f"{OLD}/{SEGMENT}", 9), (f"{OLD}/{POSTER}", 8)}
    assert events == [Copied(path="video/high/00001.m4s", bytes=9)]
    assert shared.copied == {"video/high/00001.m4s"}
    assert bucket.get(f"{NEW}/video/high/00001.m4s") == BYTES[SEGMENT]


def test_a_stop_ends_the_copying(shared: Shared) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        copy_all(shared, {path: path for path in BYTES}, cancel)
    assert shared.copied == set()
