"""The proof of media segments and init sections: what their own bytes say is measured, and every single fault is found and named."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from tests.test_verify import check, find, object_replaced, opened, replaced, rewritten
from tests.title_support import KEY, PREFIX, Encoded, publish_title, with_tracks
from vidpipe.errors import Interrupted, PublishFailed, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.mp4.boxes import NON_SYNC, Sample, parse_movie, read_fragments
from vidpipe.mp4.fragment import write_fragment
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.delivery import delivery
from vidpipe.publish.result import ObjectEntry
from vidpipe.storage.base import Stored
from vidpipe.storage.compression import compressed
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.readback import Readback

FIRST, SECOND, LAST = "video/low/00001.m4s", "video/low/00002.m4s", "video/low/00003.m4s"


@pytest.fixture(scope="module")
def published(encoded_title: Encoded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    folder = tmp_path_factory.mktemp("published")
    return folder, publish_title(encoded_title, LocalStorage(folder))


@pytest.fixture
def title(published: tuple[Path, Inventory], tmp_path: Path) -> tuple[Path, Inventory]:
    """A copy of the title that a test may spoil."""
    shutil.copytree(published[0], tmp_path / "target")
    return tmp_path / "target", published[1]


Samples = list[Sample]


def late_key_frame(samples: Samples) -> Samples:
    return [replace(samples[0], flags=samples[0].flags | NON_SYNC), *samples[1:]]


def retimed(longer: dict[int, int]) -> Callable[[Samples], Samples]:
    """Return a change of durations. longer: place in the order of showing -> ticks; the frames after it are shown as much later."""

    def change(samples: Samples) -> Samples:
        times = [time + sample.cts for time, sample in zip(accumulate((s.duration for s in samples), initial=0), samples, strict=False)]
        late = 0
        for place, n in enumerate(sorted(range(len(samples)), key=times.__getitem__)):
            times[n] += late
            samples[n] = replace(samples[n], duration=samples[n].duration + longer.get(place, 0))
            late += longer.get(place, 0)
        decoded = accumulate((sample.duration for sample in samples), initial=0)
        return [replace(sample, cts=time - at) for sample, time, at in zip(samples, times, decoded, strict=False)]

    return change


EVERY = "the duration of every frame but the last"


@pytest.mark.parametrize(
    ("uri", "change", "what", "where", "details"),
    [
        pytest.param(FIRST, lambda samples: samples[:-1], "the number of frames is wrong", FIRST, ("24", "23"), id="a frame is gone"),
        pytest.param(FIRST, late_key_frame, "does not begin with a key frame", FIRST, ("a sync sample", "none"), id="no key frame"),
        pytest.param(FIRST, retimed({23: 100}), r"the duration \(s\) is wrong", FIRST, ("1", "3097/3072"), id="another duration"),
        pytest.param(FIRST, retimed({5: 100, 6: -100}), EVERY, "video-low.m3u8", ("612", "412"), id="uneven frames"),
        pytest.param(LAST, retimed({10: 100, 11: -100}), EVERY, "video-low.m3u8", ("612", "512"), id="an uneven end"),
    ],
)
def test_frames_that_are_not_what_was_planned(
    title: tuple[Path, Inventory], uri: str, change: Callable[[Samples], Samples], what: str, where: str, details: tuple[str, str]
) -> None:
    folder, expected = title
    clear = opened(folder, find(expected, uri))
    (fragment,) = read_fragments(io.BytesIO(clear), parse_movie((folder / PREFIX / "video/low/init.mp4").read_bytes()))
    media = clear[fragment.samples[0].offset :]
    number, time = fragment.sequence, fragment.decode_time
    assert write_fragment(number, 1, time, list(fragment.samples), media) == clear
    changed = write_fragment(number, 1, time, change(list(fragment.samples)), media)
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, rewritten(folder, expected, uri, changed))
    assert caught.value.where == str(folder / PREFIX / where)
    assert caught.value.details == (f"expected: {details[0]}", f"found: {details[1]}")


@pytest.mark.parametrize(
    ("change", "what", "details"),
    [
        pytest.param(lambda data: data[:-100], "not fragmented MP4", ("moof and mdat", "the box 'mdat' .*"), id="cut, then encrypted"),
        pytest.param(lambda data: data * 2, "the number of fragments is wrong", ("1", "2"), id="twice"),
        pytest.param(lambda data: data[:24], "the number of fragments is wrong", ("1", "0"), id="no fragment"),
    ],
)
def test_a_segment_that_is_not_one_fragment(
    title: tuple[Path, Inventory], change: Callable[[bytes], bytes], what: str, details: tuple[str, str]
) -> None:
    folder, expected = title
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, rewritten(folder, expected, FIRST, change(opened(folder, find(expected, FIRST)))))
    assert caught.value.where == str(folder / PREFIX / FIRST)
    assert all(map(re.fullmatch, (f"expected: {details[0]}", f"found: {details[1]}"), caught.value.details)), caught.value.details


def test_a_clear_segment_that_is_something_else(encoded_title: Encoded, tmp_path: Path) -> None:
    expected = publish_title(encoded_title, LocalStorage(tmp_path), encrypted=False)
    with pytest.raises(VerificationFailed, match="of the wrong kind") as caught:
        check(tmp_path, replaced(tmp_path, expected, FIRST, b"<html>no such object</html>"))
    assert caught.value.where == str(tmp_path / PREFIX / FIRST)
    assert caught.value.details == ("expected: a media segment", "found: b'<html>no'")


def segment_changed(uri: str, **changes: Any) -> Callable[[Any], dict[str, Any]]:
    def change(track: Any) -> dict[str, Any]:
        return {"segments": tuple(replace(segment, **changes) if segment.uri == uri else segment for segment in track.segments)}

    return change


SAYS, INIT = "what the init section says is wrong", "video/low/init.mp4"


def facts_changed(**changes: object) -> Callable[[Any], dict[str, Any]]:
    return lambda track: {"facts": track.facts.model_copy(update=changes)} if track.id == "low" else {}


@pytest.mark.parametrize(
    ("change", "what", "where", "details"),
    [
        pytest.param(segment_changed(SECOND, start=Fraction(3, 2)), r"the start \(s\) is wrong", SECOND, ("1", "3/2"), id="start"),
        pytest.param(facts_changed(width=162), SAYS, INIT, (".* width=162 .*", ".* width=160 .*"), id="width"),
        pytest.param(facts_changed(codecs="avc1.42C00A"), SAYS, INIT, (".*'avc1.42C00A'.*", ".*'avc1.4D.*"), id="codecs"),
    ],
)
def test_an_inventory_that_says_something_else(
    published: tuple[Path, Inventory], change: Callable[[Any], dict[str, Any]], what: str, where: str, details: tuple[str, str]
) -> None:
    folder, expected = published
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, with_tracks(expected, change))
    assert caught.value.where == str(folder / PREFIX / where)
    assert all(map(re.fullmatch, (f"expected: {details[0]}", f"found: {details[1]}"), caught.value.details)), caught.value.details


def test_two_segments_under_one_iv(title: tuple[Path, Inventory]) -> None:
    """Under one key, they would show which of their first bytes are the same."""
    folder, expected = title
    first, second = find(expected, FIRST), find(expected, SECOND)
    text = (folder / PREFIX / "video-low.m3u8").read_text().replace(second.iv or "", first.iv or "")
    spoiled = with_tracks(expected, segment_changed(SECOND, iv=first.iv))
    with pytest.raises(VerificationFailed, match="share an IV") as caught:
        check(folder, object_replaced(folder, spoiled, "video-low.m3u8", text))
    assert caught.value.where == str(folder / PREFIX / "video-low.m3u8:12")
    assert caught.value.details == ("expected: an IV of its own", f"found: {first.iv}")


@pytest.mark.parametrize("lost", [2, 1])
def test_audio_that_ends_early(title: tuple[Path, Inventory], lost: int) -> None:
    """Audio may end within a target duration of the picture, as sources have it."""
    folder, expected = title

    def shorter(track: Any) -> dict[str, Any]:
        left = track.segments[:-lost]
        return {"segments": left, "frames": sum(segment.samples for segment in left)} if track.id == "en" else {}

    lines = (folder / PREFIX / "audio-en.m3u8").read_text().splitlines()
    at = [number for number, line in enumerate(lines) if line.startswith("#EXTINF")][-lost]
    spoiled = object_replaced(folder, with_tracks(expected, shorter), "audio-en.m3u8", "\n".join([*lines[:at], lines[-1], ""]))
    with pytest.raises(VerificationFailed, match="shorter or longer" if lost == 2 else "BANDWIDTH") as caught:
        check(folder, spoiled)
    if lost == 2:
        assert caught.value.where == str(folder / PREFIX / "audio-en.m3u8")
        assert caught.value.details == ("expected: 2.5", "found: 1.024")


def test_a_segment_of_which_nobody_knows_the_iv(published: tuple[Path, Inventory]) -> None:
    folder, expected = published
    segment = replace(find(expected, FIRST), iv=None)
    target = Readback(LocalStorage(folder), PREFIX, threading.Event())
    with pytest.raises(VerificationFailed, match="an encrypted segment has no key or no IV"):
        target.opened(segment, scheme_of("aes-128"), {KEY.key_id: KEY}, ("a media segment", lambda data: data[4:8] == b"styp"))


ONE = "ftyp and moov with one track"


def no_boxes(data: bytes) -> bytes:
    return bytes(len(data))


def second_track(data: bytes) -> bytes:
    at = data.index(b"trak") - 4
    trak = data[at : at + int.from_bytes(data[at : at + 4], "big")]
    moov = data.index(b"moov") - 4
    size = struct.pack(">I", int.from_bytes(data[moov : moov + 4], "big") + len(trak))
    return data[:moov] + size + data[moov + 4 : at] + trak + data[at:]


@pytest.mark.parametrize(
    ("change", "what", "details"),
    [
        pytest.param(no_boxes, "cannot be read", (ONE, "there is no box moov"), id="no boxes"),
        pytest.param(second_track, "cannot be read", (ONE, "too many .*"), id="two tracks"),
        pytest.param(
            lambda data: data.replace(b"avcC", b"xxxC"),
            "the init section is wrong",
            (r"avc1\.\w{6}", "the video sample entry cannot be read: .*"),
            id="no decoder configuration",
        ),
    ],
)
def test_an_init_section_that_players_cannot_use(
    title: tuple[Path, Inventory], change: Callable[[bytes], bytes], what: str, details: tuple[str, str]
) -> None:
    folder, expected = title
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, object_replaced(folder, expected, INIT, change((folder / PREFIX / INIT).read_bytes())))
    assert caught.value.where == str(folder / PREFIX / INIT)
    assert all(map(re.fullmatch, (f"expected: {details[0]}", f"found: {details[1]}"), caught.value.details)), caught.value.details


def test_rungs_that_count_in_other_ticks(title: tuple[Path, Inventory]) -> None:
    """Each is right by itself, but a player that switches between them would jump."""
    folder, expected = title
    init = bytearray((folder / PREFIX / INIT).read_bytes())
    movie = parse_movie(bytes(init))
    for box, value in ((b"mdhd", 12288), (b"elst", 1024)):
        at = init.index(box) + 16
        assert int.from_bytes(init[at : at + 4], "big") == value
        init[at : at + 4] = (2 * value).to_bytes(4, "big")
    for uri in (FIRST, SECOND, LAST):
        clear = opened(folder, find(expected, uri))
        (fragment,) = read_fragments(io.BytesIO(clear), movie)
        samples = [replace(sample, duration=2 * sample.duration, cts=2 * sample.cts) for sample in fragment.samples]
        data = write_fragment(fragment.sequence, 1, 2 * fragment.decode_time, samples, clear[fragment.samples[0].offset :])
        expected = rewritten(folder, expected, uri, data)
    expected = with_tracks(object_replaced(folder, expected, INIT, bytes(init)), facts_changed(timescale=24576))
    expected = with_tracks(expected, lambda track: {"delay": 2048} if track.id == "low" else {})
    with pytest.raises(VerificationFailed, match="the timescale is wrong") as caught:
        check(folder, expected)
    assert caught.value.where == str(folder / PREFIX / "video/high/init.mp4")
    assert caught.value.details == ("expected: 24576", "found: 12288")



# --- what a target states of copies -----------------------------------------------------------------------------------


class Answers(LocalStorage):
    """A target whose answers are given."""

    answer: Stored | PublishFailed | None = None

    def head(self, path: str) -> Stored | None:
        assert path.startswith("t/v/x.")
        if isinstance(self.answer, PublishFailed):
            raise self.answer
        return self.answer


ENTRY = ObjectEntry(size=4, sha256="0" * 64)
PROVEN = f"(4, '{'0' * 64}')"


@pytest.mark.parametrize(
    ("answer", "what", "details"),
    [
        pytest.param(None, "not the one that was verified", (PROVEN, "None"), id="none"),
        pytest.param(Stored(path="t/v/x.jpg", size=4), "not the one that was verified", (PROVEN, "(4, None)"), id="hash unknown"),
    ],
)
def test_a_copy_of_which_the_target_does_not_say_what_it_is(
    answer: Stored | None, what: str, details: tuple[str, str], tmp_path: Path
) -> None:
    storage = Answers(tmp_path)
    storage.answer = answer
    with pytest.raises(VerificationFailed, match=what) as caught:
        Readback(storage, "t/v", threading.Event()).compare("x.jpg", ENTRY)
    assert caught.value.where == str(tmp_path / "t/v/x.jpg")
    assert caught.value.details == (f"expected: {details[0]}", f"found: {details[1]}")
    storage.answer = Stored(path="t/v/x.jpg", size=4, sha256="0" * 64)
    Readback(storage, "t/v", threading.Event()).compare("x.jpg", ENTRY)


def test_a_target_that_does_not_answer_is_no_difference(tmp_path: Path) -> None:
    """Whoever takes it for one removes hours of uploads that are as they were sent."""
    storage, target = Answers(tmp_path), Readback(Answers(tmp_path), "t/v", threading.Event())
    (tmp_path / "t/v/x.jpg").mkdir(parents=True)  # it cannot be read
    storage.answer = Stored(path="t/v/x.jpg", size=4)
    with pytest.raises(PublishFailed) as failed:
        Readback(storage, "t/v", threading.Event()).read("x.jpg", 4, "0" * 64)
    assert failed.value.exit_code == 5
    with pytest.raises(VerificationFailed, match="there is none") as missing:
        target.read("x.jpg", 4, "0" * 64)
    assert missing.value.details == ("expected: 4 bytes", "found: nothing")
    storage.answer = PublishFailed("no answer", fix="try again")
    for look in (Readback.compare, lambda at, path, entry: at.read(path, entry.size, entry.sha256)):
        with pytest.raises(PublishFailed, match="no answer"):
            look(Readback(storage, "t/v", threading.Event()), "x.jpg", ENTRY)


def test_a_compressed_playlist_needs_its_header(tmp_path: Path) -> None:
    """Without it, players take the compressed bytes for the playlist."""
    storage, data = Answers(tmp_path), compressed(b"#EXTM3U\n")
    (tmp_path / "t" / "v").mkdir(parents=True)
    (tmp_path / "t" / "v" / "x.m3u8").write_bytes(data)
    entry = ObjectEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest(), content_encoding="gzip")
    target = Readback(storage, "t/v", threading.Event())
    storage.answer = Stored(path="t/v/x.m3u8", size=len(data), content_encoding="gzip")
    assert target.keep("x.m3u8", entry, keep=True) == ("x.m3u8", b"#EXTM3U\n")
    for answer in (storage.answer.model_copy(update={"content_encoding": None}), None):
        storage.answer = answer
        with pytest.raises(VerificationFailed, match="Content-Encoding") as caught:
            target.keep("x.m3u8", entry, keep=False)
        assert caught.value.details == ("expected: gzip", "found: None")
        assert caught.value.where == str(tmp_path / "t/v/x.m3u8")


def test_a_compressed_copy_is_one_if_its_header_says_so(tmp_path: Path) -> None:
    class Keeps(Answers):
        keeps_headers = True

    entry = ObjectEntry(size=4, sha256="0" * 64, content_encoding="gzip")
    storage, headers = Keeps(tmp_path), delivery("x.m3u8")
    stated = {"size": 4, "sha256": "0" * 64, "content_type": headers.content_type, "cache_control": headers.cache_control}
    storage.answer = Stored(path="t/v/x.m3u8", content_encoding="gzip", **stated)
    Readback(storage, "t/v", threading.Event()).compare("x.m3u8", entry)
    storage.answer = Stored(path="t/v/x.m3u8", **stated)
    with pytest.raises(VerificationFailed, match="other headers"):
        Readback(storage, "t/v", threading.Event()).compare("x.m3u8", entry)


def test_a_stop_ends_the_comparing_of_copies(tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted, match="while verifying"):
        Readback(Answers(tmp_path), "t/v", cancel).compare("x.jpg", ENTRY)
