"""The proof of the master playlist: SCORE, by which a player of two codecs gets the better picture; dynamic range, keys, outputs, rates."""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.dash_support import cuts, rung, title
from tests.test_manifest import LADDER, UHD, variant
from vidpipe.errors import VerificationFailed
from vidpipe.inventory.model import Inventory, VideoTrack
from vidpipe.manifest.hls import playlists
from vidpipe.manifest.master import write_master
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.protect.key_source import DrmSignal
from vidpipe.storage import open_storage
from vidpipe.verify.readback import Readback
from vidpipe.verify.variants import check_master, check_scores

HEVC = variant("hevc-1080p", 1920, 1080, 4_000_000, 3_500_000, "hvc1.1.6.L120.90")
WEAK = variant("hevc-weak", 1920, 1080, 2_500_000, 2_000_000, "hvc1.1.6.L120.90")


def parsed(text: str) -> MasterPlaylist:
    master = parse(text.encode())
    assert isinstance(master, MasterPlaylist)
    return master


def check(tmp_path: Path, text: str) -> None:
    check_scores(Readback(open_storage(str(tmp_path)), "x", threading.Event()), "master.m3u8", parsed(text))


def test_scores_rise_with_the_picture_and_with_what_a_codec_makes_of_its_bits(tmp_path: Path) -> None:
    text = write_master([*LADDER, UHD, HEVC, WEAK])
    scores = {item.uri: item.score for item in parsed(text).variants}
    rising = sorted(scores, key=lambda uri: scores[uri] or 0)
    assert rising == [f"video-{name}.m3u8" for name in ("360p", "720p", "hevc-weak", "1080p", "hevc-1080p", "2160p")]
    check(tmp_path, text)


def test_a_title_in_one_codec_has_none(tmp_path: Path) -> None:
    text = write_master(LADDER)
    assert "SCORE" not in text
    check(tmp_path, text)


@pytest.mark.parametrize(
    ("pattern", "replacement", "what"),
    [
        (r",SCORE=4", "", "which variants have a SCORE"),
        (r",SCORE=\d+", "", "which variants have a SCORE"),
        (r",SCORE=1", ",SCORE=9", "the sizes in the order of SCORE"),
    ],
    ids=["one is missing", "all are missing", "the smallest is the best"],
)
def test_wrong_scores_are_found(tmp_path: Path, pattern: str, replacement: str, what: str) -> None:
    text = re.sub(pattern, replacement, write_master([*LADDER, UHD, HEVC, WEAK]))
    with pytest.raises(VerificationFailed) as failed:
        check(tmp_path, text)
    assert what in failed.value.what


def test_scores_of_one_codec_alone_are_found(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="which variants have a SCORE"):
        check(tmp_path, write_master(LADDER).replace("FRAME-RATE", "SCORE=1,FRAME-RATE"))


# --- what a title says beyond its rates -----------------------------------------------------------------------------

BORDERS = cuts(Fraction(4), Fraction(2))
FILM = Fraction(24000, 1001)


def check_whole(tmp_path: Path, made: Inventory, text: str, key_url: str | None = None) -> None:
    """Prove a master playlist of a title whose bytes are as its inventory says."""
    facts, rates = {track.id: track.facts for track in made.media}, {track.id: track.bitrate for track in made.tracks}
    check_master(Readback(open_storage(str(tmp_path)), "x", threading.Event()), made, text.encode(), facts, rates, key_url)


def written(made: Inventory) -> str:
    return playlists(made)["master.m3u8"]


def refused(tmp_path: Path, made: Inventory, old: str, new: str) -> tuple[str, str, str, str]:
    """Return what is said of a playlist in which one thing is another: what, the text of the line, what was expected, what found."""
    text = written(made)
    spoiled = re.sub(old, new, text, count=1)
    assert spoiled != text
    with pytest.raises(VerificationFailed) as caught:
        check_whole(tmp_path, made, spoiled)
    line = (caught.value.where or "").partition("master.m3u8")[2]
    expected, found = caught.value.details
    words = spoiled.splitlines()[int(line[1:]) - 1] if line else ""
    return caught.value.what, words, expected.removeprefix("expected: "), found.removeprefix("found: ")


def keyed(track: VideoTrack, key_id: str) -> VideoTrack:
    segments = tuple(replace(one, key_id=key_id, iv="0" * 32) for one in track.segments)
    return track.model_copy(update={"segments": segments, "scheme": "cbcs"})


SAID = '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://{}",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'


def coded(name: str) -> str:
    return base64.b64encode(SAID.format(name).encode()).decode()


def signal(key_id: str) -> DrmSignal:
    return DrmSignal(key_id=key_id, system_id="s", hls_master=coded(key_id[:2]))


SIZES = ((1024, 576), (1180, 500), (1920, 1080), (2074, 1000), (3840, 2160))
LEVELS = ("NONE", "TYPE-0", "TYPE-0", "TYPE-1", "TYPE-1")
KEYS = tuple(f"{number:032x}" for number in range(1, 7))
LICENSED = title(
    [keyed(rung(height, BORDERS, width=width), key) for (width, height), key in zip(SIZES, KEYS, strict=False)]
    + [keyed(rung(90, BORDERS), KEYS[5])],
    Fraction(4),
    keys=KEYS,
    drm=tuple(map(signal, KEYS[:5])),
    session_keys=True,
)


def test_outputs_are_declared_for_what_a_license_is_needed_for(tmp_path: Path) -> None:
    """A player with an unprotected screen must not choose what its license forbids it to show: HD needs HDCP, more needs HDCP 2.2."""
    check_whole(tmp_path, LICENSED, written(LICENSED))
    for (width, height), level in zip(SIZES, LEVELS, strict=True):
        other = "TYPE-1" if level == "NONE" else "NONE"
        what, line, *details = refused(tmp_path, LICENSED, rf"(RESOLUTION={width}x{height},.*HDCP-LEVEL=)[^,]*", rf"\g<1>{other}")
        assert (what, f"={width}x{height}," in line, details) == ("HDCP-LEVEL is wrong", True, [level, other])
    found = refused(tmp_path, LICENSED, "RESOLUTION=160x90", "RESOLUTION=160x90,HDCP-LEVEL=NONE")
    assert (found[0], *found[2:]) == ("HDCP-LEVEL is wrong", "None", "NONE")


def test_keys_are_named_as_they_are_and_as_drm_systems_want_it(tmp_path: Path) -> None:
    what, line, expected, found = refused(tmp_path, LICENSED, f"keys/{KEYS[1]}", f"keys/{KEYS[0]}")
    assert (what, line) == ("EXT-X-SESSION-KEY is wrong", "")
    assert expected == str([("SAMPLE-AES", f"keys/{key}") for key in KEYS])
    assert found == expected.replace(KEYS[1], KEYS[0])
    elsewhere = re.sub('URI="keys/', f'URI="https://keys.example.com/{LICENSED.content_id}/', written(LICENSED))
    check_whole(tmp_path, LICENSED, elsewhere, "https://keys.example.com/{content_id}/{key_id}")
    what, line, expected, found = refused(tmp_path, LICENSED, "skd://00", "skd://11")
    assert (what, line) == ("EXT-X-SESSION-KEY of DRM systems is wrong", "")
    assert (expected, found) == (str([SAID.format("00")]), str([SAID.format("11")]))


def test_a_title_from_before_may_name_the_keys_of_later_periods_too(tmp_path: Path) -> None:
    """It plays, and a version never changes. Any other list is wrong."""
    first = keyed(rung(90, BORDERS), KEYS[0])
    (begin, *rest) = first.segments
    later = first.model_copy(update={"segments": (begin, *(replace(one, key_id=KEYS[1]) for one in rest))})
    made = title([later], Fraction(4), keys=KEYS[:2], drm=tuple(map(signal, KEYS[:2])), session_keys=True)
    (own,) = re.findall(r'#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="keys.*\n', written(made))
    said = SAID.format(KEYS[0][:2]) + "\n"
    more = own.replace(KEYS[0], KEYS[1])
    named = zip(KEYS[:2], ("aa", "bb"), strict=True)
    drm = tuple(DrmSignal(key_id=key_id, system_id="s", hls_master=coded(name)) for key_id, name in named)
    for signals, old in ((made.drm, (own, more, said)), (drm, (own, more, f"{SAID.format('aa')}\n", f"{SAID.format('bb')}\n"))):
        made = made.model_copy(update={"drm": signals})
        now = written(made)
        assert more not in now
        lines = re.sub(r"#EXT-X-SESSION-KEY.*\n", "", now).partition("#EXT-X-INDEPENDENT-SEGMENTS\n")
        check_whole(tmp_path, made, now)
        check_whole(tmp_path, made, "".join((*lines[:2], *old, lines[2])))
        for wrong in (old[1:], (own, own, *old[2:]), old[:-1]):
            with pytest.raises(VerificationFailed, match="EXT-X-SESSION-KEY"):
                check_whole(tmp_path, made, "".join((*lines[:2], *wrong, lines[2])))


def test_in_a_title_with_hdr_all_rungs_say_what_they_are(tmp_path: Path) -> None:
    """HLS-MVP-007: players of SDR screens look for the rungs that they can show."""
    hdr = rung(2160, BORDERS, codecs="hvc1.2.4.L150.90", video_range="PQ")
    made = title([hdr, rung(720, BORDERS, codecs="hvc1.1.6.L93.90")], Fraction(4))
    check_whole(tmp_path, made, written(made))
    assert refused(tmp_path, made, ",VIDEO-RANGE=SDR", "")[::2] == ("VIDEO-RANGE is wrong", "SDR")
    assert refused(tmp_path, made, "VIDEO-RANGE=PQ", "VIDEO-RANGE=HLG")[2:] == ("PQ", "HLG")


@pytest.mark.parametrize(
    ("rate", "nearest", "off"),
    [
        pytest.param(FILM, "23.976", "23.977", id="film"),
        pytest.param(Fraction(48001, 2000), "24.000", "23.999", id="between two of three decimals"),
    ],
)
def test_frame_rates_are_those_of_the_frames_to_three_decimals(tmp_path: Path, rate: Fraction, nearest: str, off: str) -> None:
    made = title([rung(90, BORDERS, rate=rate)], Fraction(4))
    check_whole(tmp_path, made, re.sub(r"FRAME-RATE=[\d.]+", f"FRAME-RATE={nearest}", written(made)))
    what, _, expected, found = refused(tmp_path, made, r"FRAME-RATE=[\d.]+", f"FRAME-RATE={off}")
    assert (what, expected, found) == ("FRAME-RATE is wrong", str(float(rate)), off.rstrip("0"))


def test_what_is_no_master_playlist(tmp_path: Path) -> None:
    made = title([rung(90, BORDERS)], Fraction(4))
    for text, says in (
        ("#EXTINF", ("the playlist cannot be read", "expected: a master playlist")),
        (playlists(made)["video-90p.m3u8"], ("the playlist is of the wrong kind", "expected: a master playlist")),
    ):
        with pytest.raises(VerificationFailed) as caught:
            check_whole(tmp_path, made, text)
        assert (caught.value.what, caught.value.details[0]) == says
        assert caught.value.where == str(tmp_path / "x" / "master.m3u8")
