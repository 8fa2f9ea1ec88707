"""The proof of subtitles: what is sound passes, and every single fault is found and named."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.test_verify import check, object_replaced, opened, unread
from tests.title_support import KEY, PREFIX, WORDS, Encoded, publish_title
from vidpipe.errors import VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.manifest.cues import CueError, read_subtitles
from vidpipe.manifest.hls import playlists
from vidpipe.package.containers.webvtt import HEADER
from vidpipe.package.cut import Cue
from vidpipe.package.result import Segment
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.schemes.aes128 import encrypt
from vidpipe.storage.local import LocalStorage

PLAYLIST = "subtitle-en-sdh.m3u8"


@pytest.fixture(scope="module")
def published(encoded_title: Encoded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    folder = tmp_path_factory.mktemp("published")
    return folder, publish_title(encoded_title, LocalStorage(folder), words=WORDS)


@pytest.fixture
def title(published: tuple[Path, Inventory], tmp_path: Path) -> tuple[Path, Inventory]:
    """A copy of the title that a test may spoil."""
    shutil.copytree(published[0], tmp_path / "target")
    return tmp_path / "target", published[1]


def test_a_sound_title_is_proven(published: tuple[Path, Inventory]) -> None:
    found = check(*published)
    assert (found.objects, found.segments) == (10, 12)
    assert set(found.rates) == {"low", "high", "en", "en-sdh"}


def test_a_clear_title_is_proven(encoded_title: Encoded, tmp_path: Path) -> None:
    check(tmp_path, publish_title(encoded_title, LocalStorage(tmp_path), encrypted=False, words=WORDS))


def test_nothing_of_the_text_lies_open(published: tuple[Path, Inventory]) -> None:
    files = list((published[0] / PREFIX / "subtitles").rglob("*.vtt"))
    assert len(files) == 3
    assert not any(word in file.read_bytes() for file in files for word in (b"WEBVTT", b"One", b"-->"))


def spoiled(
    folder: Path, expected: Inventory, index: int, change: Callable[[str], str], *, clear: bool = False, **facts: object
) -> Inventory:
    """Store a segment with another text, consistently: as if the pipeline itself had made the mistake."""
    (track,) = expected.subtitles
    segment = track.segments[index]
    before = opened(folder, segment).decode()
    text = change(before)
    assert clear or facts or text != before
    again = encrypt(Segment("en-sdh", index, segment.start, segment.duration, segment.samples, text.encode()), KEY)
    assert again.iv
    data = text.encode() if clear else again.data
    iv = again.iv.hex().upper()
    (folder / PREFIX / segment.uri).write_bytes(data)
    changed = replace(segment, size=len(data), sha256=hashlib.sha256(data).hexdigest(), **{"iv": iv, **facts})
    segments = tuple(changed if number == index else other for number, other in enumerate(track.segments))
    playlist = (folder / PREFIX / PLAYLIST).read_text().replace(segment.iv or "", iv)
    expected = expected.model_copy(update={"subtitles": (track.model_copy(update={"segments": segments}),)})
    return object_replaced(folder, expected, PLAYLIST, playlist)


UNREADABLE = "subtitles/en-sdh/00001.vtt", "expected: WebVTT on the title's time line"
NO_HEADER = "found: line 1: it does not begin with WEBVTT, X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0 and a blank line"
DIFFERENCES = {  # id of a case -> where, what was expected, what was found
    "other time line": (*UNREADABLE, NO_HEADER),
    "no time line": (*UNREADABLE, NO_HEADER),
    "no header": (*UNREADABLE, NO_HEADER),
    "a tag": (*UNREADABLE, "found: line 5: a player could misread this text"),
    "another text": (PLAYLIST, "expected: (0.25, 0.5, '<i>One</i>')", "found: (0.25, 0.5, '<i>Two</i>')"),
    "another end": (PLAYLIST, "expected: (0.25, 0.5, '<i>One</i>')", "found: (0.25, 0.499, '<i>One</i>')"),
    "a cue is gone": (PLAYLIST, "expected: 3", "found: 2"),
    "a cue is gone that was counted": ("subtitles/en-sdh/00001.vtt", "expected: 2", "found: 1"),
    "not repeated": (PLAYLIST, "expected: 3", "found: 2"),
    "out of place": ("subtitles/en-sdh/00002.vtt", "expected: a cue after 1.0 s", "found: 2.300 to 2.400 s"),
    "begins with the next": ("subtitles/en-sdh/00002.vtt", "expected: a cue after 1.0 s", "found: 2.000 to 2.400 s"),
    "ended with the last": ("subtitles/en-sdh/00003.vtt", "expected: a cue after 2.0 s", "found: 1.500 to 2.000 s"),
    "a cue too many": (PLAYLIST, "expected: 3", "found: 4"),
}


@pytest.mark.parametrize(
    ("index", "pattern", "new", "facts", "what"),
    [
        pytest.param(0, "MPEGTS:0", "MPEGTS:900000", {}, "cannot be read", id="other time line"),
        pytest.param(0, "X-TIMESTAMP-MAP.*\n", "", {}, "cannot be read", id="no time line"),
        pytest.param(0, "WEBVTT", "WEBVT", {}, "cannot be read", id="no header"),
        pytest.param(0, "One", "<c>One", {}, "cannot be read", id="a tag"),
        pytest.param(0, "One", "Two", {}, "a cue", id="another text"),
        pytest.param(0, "00.500", "00.499", {}, "a cue", id="another end"),
        pytest.param(0, r"(?s)00:00:00.250.*?\n\n", "", {"samples": 1}, "number of cues", id="a cue is gone"),
        pytest.param(0, r"(?s)00:00:00.250.*?\n\n", "", {}, "number of cues", id="a cue is gone that was counted"),
        pytest.param(2, "(?s)00:00:00.800.*", "", {"samples": 0}, "number of segments", id="not repeated"),
        pytest.param(1, r"\Z", "00:00:02.300 --> 00:00:02.400\nlater\n\n", {"samples": 3}, "not shown in this segment", id="out of place"),
        pytest.param(1, r"\Z", "00:00:02.000 --> 00:00:02.400\nlater\n\n", {"samples": 3}, "not shown in this", id="begins with the next"),
        pytest.param(2, r"\Z", "00:00:01.500 --> 00:00:02.000\nearlier\n\n", {"samples": 2}, "not shown in this", id="ended with the last"),
        pytest.param(2, r"\Z", "00:00:02.300 --> 00:00:02.400\nmore\n\n", {"samples": 2}, "number of cues", id="a cue too many"),
    ],
)
def test_a_segment_that_is_not_what_was_planned(
    title: tuple[Path, Inventory],
    index: int,
    pattern: str,
    new: str,
    facts: dict[str, object],
    what: str,
    request: pytest.FixtureRequest,
) -> None:
    folder, expected = title
    wrong = spoiled(folder, expected, index, lambda text: re.sub(pattern, new, text, count=1), **facts)
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, wrong)
    where, *details = DIFFERENCES[request.node.callspec.id]
    assert caught.value.where == str(folder / PREFIX / where)
    assert caught.value.details == tuple(details)


def test_a_cue_that_is_gone_is_missed_in_its_segment(title: tuple[Path, Inventory]) -> None:
    """Of a title whose plan nobody knows any more, that is all that shows it."""
    folder, expected = title
    wrong = spoiled(folder, expected, 0, lambda text: re.sub(r"(?s)00:00:00.250.*?\n\n", "", text, count=1))
    with pytest.raises(VerificationFailed, match="the number of cues is wrong") as caught:
        check(folder, wrong)
    assert caught.value.where == str(folder / PREFIX / expected.subtitles[0].segments[0].uri)


def test_text_between_the_ends_of_a_copy_is_only_compared(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    middle = expected.subtitles[0].segments[1].uri
    assert {path for path in unread(folder, expected) if path.startswith("subtitles/")} == {middle}
    data = (folder / PREFIX / middle).read_bytes()
    (folder / PREFIX / middle).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(VerificationFailed, match="not the one that was verified"):
        unread(folder, expected)


def test_a_segment_that_was_left_clear(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    with pytest.raises(VerificationFailed, match="not encrypted"):
        check(folder, spoiled(folder, expected, 1, str, clear=True))


def test_a_wrong_key(title: tuple[Path, Inventory]) -> None:
    with pytest.raises(VerificationFailed):
        check(*title, key=ContentKey(key_id=KEY.key_id, content_id="title", key=bytes(16)))


def test_another_time_line_than_the_picture(title: tuple[Path, Inventory]) -> None:
    """The second border lies a tenth of a second early; every cue is still where it is shown."""
    folder, expected = title
    (track,) = expected.subtitles
    first, second, third = track.segments
    moved = (
        first,
        replace(second, duration=Fraction(9, 10)),
        replace(third, start=Fraction(19, 10), duration=Fraction(3, 5)),
    )
    text = (folder / PREFIX / PLAYLIST).read_text().replace("EXTINF:0.500000", "EXTINF:0.600000")
    text = re.sub(r"(EXTINF:1.000000,\n.*00002)", lambda found: found[1].replace("1.000000", "0.900000"), text)
    wrong = expected.model_copy(update={"subtitles": (track.model_copy(update={"segments": moved}),)})
    with pytest.raises(VerificationFailed, match="the time line is wrong") as caught:
        check(folder, object_replaced(folder, wrong, PLAYLIST, text))
    assert caught.value.where == str(folder / PREFIX / PLAYLIST)
    borders, found = caught.value.details
    assert borders.startswith("expected: [(0, 1), (1, 2)")
    assert found.startswith("found: [(0, 1), (1, 19/10)")


@pytest.mark.parametrize(("version", "what"), [("6", "the time line"), ("3", "EXT-X-VERSION")])
def test_text_segments_longer_than_their_rounded_target_need_version_6(title: tuple[Path, Inventory], version: str, what: str) -> None:
    """The last one has 1.25 seconds under a target of 1. That the picture has other borders is seen only after that."""
    folder, expected = title
    (track,) = expected.subtitles
    first, second, third = track.segments
    moved = (first, replace(second, duration=Fraction(1, 4)), replace(third, start=Fraction(5, 4), duration=Fraction(5, 4)))
    wrong = expected.model_copy(update={"subtitles": (track.model_copy(update={"segments": moved}),)})
    text = (folder / PREFIX / PLAYLIST).read_text().replace("EXTINF:0.500000", "EXTINF:1.250000")
    text = re.sub(r"EXTINF:1.000000(,\n.*00002)", r"EXTINF:0.250000\1", text).replace("VERSION:3", f"VERSION:{version}")
    with pytest.raises(VerificationFailed, match=f"{what} is wrong"):
        check(folder, object_replaced(folder, wrong, PLAYLIST, text))


IN_PLAYLISTS = {  # id of a case -> where in the playlist, what was expected, what was found
    "group": (":5", r"\['en-sdh'\]", r"\[\]"),
    "member": ("", r"\['subtitle-en-sdh.m3u8'\]", r"\[\]"),
    "language": (":4", "en", "de"),
    "forced": (":4", r"\(True, False\)", r"\(True, True\)"),
    "default": (":4", r"\(True, False\)", r"\(False, False\)"),
    "autoselect": (":4", "AUTOSELECT=YES", "NO"),
    "characteristics": (":4", r"public\.accessibility\.[a-z.,-]+", "None"),
    "bandwidth": (":5", r"\d+", r"\d+"),
    "version": ("", "3", "6"),
    "map": (":9", "None", "video/low/init.mp4"),
    "target": ("", "1", "2"),
    "key": (":7", r"\[\('AES-128', 'keys/\w{32}', '[0-9A-F]{32}'\)\]", r"\[\]"),
    "end": ("", r"\[('[a-z/-]+0000[123].vtt'(, )?){3}\]", r"\[('[a-z/-]+0000[12].vtt'(, )?){2}\]"),
}


@pytest.mark.parametrize(
    ("path", "pattern", "new", "what"),
    [
        pytest.param("master.m3u8", ',SUBTITLES="subtitles"', "", "subtitle group", id="group"),
        pytest.param("master.m3u8", r"#EXT-X-MEDIA:TYPE=SUBTITLES.*\n", "", "list of subtitle renditions", id="member"),
        pytest.param("master.m3u8", 'NAME="English .SDH.",LANGUAGE="en"', 'NAME="x",LANGUAGE="de"', "LANGUAGE", id="language"),
        pytest.param("master.m3u8", "FORCED=NO", "FORCED=YES", "DEFAULT and FORCED", id="forced"),
        pytest.param("master.m3u8", r'(SDH.*)DEFAULT=YES', r"\1DEFAULT=NO", "DEFAULT and FORCED", id="default"),
        pytest.param("master.m3u8", r'(SDH.*)AUTOSELECT=YES', r"\1AUTOSELECT=NO", "AUTOSELECT", id="autoselect"),
        pytest.param("master.m3u8", r',CHARACTERISTICS="[^"]*"', "", "CHARACTERISTICS", id="characteristics"),
        pytest.param("master.m3u8", r",BANDWIDTH=(\d+)", lambda found: f",BANDWIDTH={int(found[1]) - 1000}", "BANDWIDTH", id="bandwidth"),
        pytest.param(PLAYLIST, "VERSION:3", "VERSION:6", "EXT-X-VERSION", id="version"),
        pytest.param(PLAYLIST, "(#EXT-X-KEY)", '#EXT-X-MAP:URI="video/low/init.mp4"\n\\1', "EXT-X-MAP", id="map"),
        pytest.param(PLAYLIST, "TARGETDURATION:1", "TARGETDURATION:2", "TARGETDURATION", id="target"),
        pytest.param(PLAYLIST, r"#EXT-X-KEY.*\n", "", "EXT-X-KEY", id="key"),
        pytest.param(PLAYLIST, r"#EXTINF:[\d.]+,\n.*\n#EXT-X-ENDLIST", "#EXT-X-ENDLIST", "list of segments", id="end"),
    ],
)
def test_a_playlist_that_says_something_else(
    title: tuple[Path, Inventory], path: str, pattern: str, new: str, what: str, request: pytest.FixtureRequest
) -> None:
    folder, expected = title
    text = (folder / PREFIX / path).read_text()
    changed = re.sub(pattern, new, text, count=1)
    assert changed != text
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, object_replaced(folder, expected, path, changed))
    line, *details = IN_PLAYLISTS[request.node.callspec.id]
    assert caught.value.where == str(folder / PREFIX / path) + line
    assert all(map(re.fullmatch, (f"expected: {details[0]}", f"found: {details[1]}"), caught.value.details)), caught.value.details


def test_a_track_of_no_known_language(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    (track,) = expected.subtitles
    expected = expected.model_copy(update={"subtitles": (track.model_copy(update={"language": None}),)})
    text = playlists(expected)["master.m3u8"]
    assert 'NAME="English (SDH)",LANGUAGE="und"' in text
    check(folder, object_replaced(folder, expected, "master.m3u8", text))


@pytest.mark.parametrize("flag", ["default", "forced", "hearing_impaired"])
def test_a_track_that_players_have_to_choose_and_may_not(title: tuple[Path, Inventory], flag: str) -> None:
    folder, expected = title
    (track,) = expected.subtitles
    other = track.model_copy(update={"default": False, "forced": False, "hearing_impaired": False, flag: True})
    expected = expected.model_copy(update={"subtitles": (other,)})
    text = playlists(expected)["master.m3u8"]
    check(folder, object_replaced(folder, expected, "master.m3u8", text))
    lines = text.splitlines(keepends=True)
    spoiled = "".join(line.replace("AUTOSELECT=YES", "AUTOSELECT=NO") if "TYPE=SUBTITLES" in line else line for line in lines)
    assert spoiled != text
    with pytest.raises(VerificationFailed, match="SDH track has AUTOSELECT=NO"):
        check(folder, object_replaced(folder, expected, "master.m3u8", spoiled))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("WEBVTT\n\n", id="no map"),
        pytest.param(HEADER.replace("\n\n", "\nX-TIMESTAMP-MAP=MPEGTS:1\n\n"), id="two maps"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\nno end of line", id="cut"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\n", id="no text"),
        pytest.param(HEADER + "00:02.000 --> 00:01.000\nx\n", id="backward"),
        pytest.param(HEADER + "00:02.000 --> 00:03.000\nx\n\n00:01.000 --> 00:03.000\nx\n", id="out of order"),
        pytest.param(HEADER + "id\n00:01.000 --> 00:02.000\nx\n", id="an id"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000 line:0\nx\n", id="settings"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\na --> b\n", id="arrow"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\na & b\n", id="ampersand"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\na\x1b[1m\n", id="control"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\nX-TIMESTAMP-MAP=MPEGTS:1\n", id="map in a cue"),
        pytest.param(HEADER + "00:01.000 --> 00:02.000\nx-Timestamp-Map=MPEGTS:1\n", id="small map in a cue"),
    ],
)
def test_what_is_no_subtitle_segment(text: str) -> None:
    with pytest.raises(CueError):
        read_subtitles(text.encode())


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(CueError, match="UTF-8"):
        read_subtitles(HEADER.encode() + b"\xff")


def test_cues_are_read_whole() -> None:
    text = HEADER + "00:01.000 --> 00:00:02.500\n<i>a</i> &amp;\nb\n\n100:00:00.000 --> 100:00:01.000\nc\n"
    assert read_subtitles(text.encode()) == [
        Cue(Fraction(1), Fraction(5, 2), "<i>a</i> &amp;\nb"),
        Cue(Fraction(360_000), Fraction(360_001), "c"),
    ]
