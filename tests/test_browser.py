"""A real browser plays what was published: Chromium, headless. Encrypted titles with hls.js, clear ones also by its own HLS.

Needs what ``tests/playback/chromium.py`` says; without it the tests are skipped and say so. Two titles are played by all players that
can, side by side: the small share of the matrix (test_playback.py) that is not left to the night. All versions of hls.js that are named
play the titles that one of them stumbled over. Chromium's own HLS cannot decrypt AES-128 in fragmented MP4: it joins the init section to
the segment before it decrypts. So there only the clear title is played natively.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests.ingest_support import FIXTURES, keys_of, run, settings, version
from tests.playback.chromium import HLSJS, PLAYERS, Show, watch, with_chromium, with_player
from tests.subtitle_support import Words, srt, subtitled

pytestmark = with_chromium
with_hlsjs = with_player("hls.js")


def all_that(*columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the players that are not absent, each with its manifest."""
    return [(name, manifest) for name, manifest in columns if PLAYERS[name].version()]


@with_hlsjs
def test_an_encrypted_title_plays_in_every_player(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    assert result.record.encryption.method == "aes-128"
    columns = all_that(("hls.js", "hls"), ("Shaka Player", "hls"), ("video.js", "hls"))
    keys = keys_of(result, configured)
    shows = [Show(version(result), name, manifest, keys=keys, more={"barcodes": True}) for name, manifest in columns]
    for column, seen in zip(columns, watch(shows), strict=True):
        report, (played,) = seen.report, seen.steps
        assert (report["errors"], seen.missed) == ([], []), column
        assert report["ended"], column
        assert report["time"] == pytest.approx(3.0, abs=0.05), column
        assert (report["width"], report["height"]) in {(90, 160), (180, 320)}
        assert played["frames"] >= 70, column  # less than 75 where another rung takes over
        assert played["shown"][-1][1] >= 73, column  # of 74: a busy browser calls back too late for the last one


@with_hlsjs
@pytest.mark.nightly
@pytest.mark.parametrize("rotated", [False, True], ids=["classes", "classes and periods"])
def test_a_title_with_several_keys_plays_with_hls_js(rotated: bool, tmp_path: Path) -> None:
    """Keys change within a track while it plays, those of all tracks at once; the master playlist has named them before."""
    rotation = {"key_rotation": "1 segment"} if rotated else {}
    configured = settings(tmp_path, segment_seconds=Fraction(1), key_classes="audio-video", session_keys=True, **rotation)
    result = run(FIXTURES / "landscape-24.mp4", configured)
    (seen,) = watch([Show(version(result), "hls.js", "hls", keys=keys_of(result, configured), seconds=14)])
    assert len(result.record.encryption.key_ids) == (2 if not rotated else 2 * result.record.renditions[0].segments)
    assert seen.report["errors"] == []
    assert seen.report["ended"]
    assert seen.report["time"] == pytest.approx(float(result.record.duration), abs=0.05)


@with_hlsjs
def test_encrypted_subtitles_are_shown_by_hls_js(tmp_path: Path) -> None:
    spoken = srt(("00:00:00,500", "00:00:01,000", "<i>One</i> & two"), ("00:00:01,200", "00:00:02,400", "over the border"))
    # Only the one that the source asks for is loaded; a lone track of a Matroska file asks for nothing.
    tracks = (Words(spoken, language="eng", disposition="default"), Words(spoken, language="fra"))
    source = subtitled(tmp_path / "words.mkv", *tracks, options=("-output_ts_offset", "5"))
    configured = settings(tmp_path)
    result = run(source, configured)
    assert [(track.id, track.default) for track in result.record.subtitles] == [("en-sub", True), ("fr-sub", False)]
    (seen,) = watch([Show(version(result), "hls.js", "hls", keys=keys_of(result, configured))])
    assert seen.report["errors"] == []
    assert seen.report["ended"]
    assert seen.report["cues"] == [["English", 0.5, 1.0, "<i>One</i> &amp; two"], ["English", 1.2, 2.4, "over the border"]]


def test_a_clear_title_plays_natively_and_by_dash(tmp_path: Path) -> None:
    configured = settings(tmp_path, encrypt="none")
    spoken = srt(("00:00:00,500", "00:00:01,000", "One"))
    result = run(subtitled(tmp_path / "words.mkv", Words(spoken, language="eng", disposition="default")), configured)
    columns = all_that(("Chromium", "hls"), ("dash.js", "dash"), ("Shaka Player", "dash"), ("video.js", "dash"))
    for column, seen in zip(columns, watch([Show(version(result), *column) for column in columns]), strict=True):
        report = seen.report
        assert report["errors"] == [], column
        assert report["ended"], column
        assert report["duration"] == pytest.approx(3.0, abs=0.1), column
        assert seen.steps[0]["frames"] >= 70, column


HLS_LADDER = """\
name: reordered
description: Rungs whose encoder reorders frames
rungs:
  - {name: 90p, height: 90, codec: h264, bitrate: 60k, max_bitrate: 60k, buffer: 60k, preset: veryfast}
audio:
  - {codec: aac, bitrate: 64k, channels: 2}
"""
HALF_RATE = """\
  - {{name: half, height: 72, codec: h264, bitrate: 40k, max_bitrate: 40k, buffer: 40k, preset: veryfast, max_frame_rate: {0}}}
audio:"""


def tailed(folder: Path, rate: str, tail: int, *, half: bool = False) -> Path:
    """Publish a clip of two segments of 2 s and a tail, and return the folder of its playlists."""
    folder.mkdir()
    frames = 4 * Fraction(rate) + tail
    inputs = ("-f", "lavfi", "-i", f"testsrc2=s=320x180:r={rate}", "-f", "lavfi", "-i", "sine=f=440:r=48000")
    length = ("-frames:v", str(frames), "-t", f"{float(frames / Fraction(rate)):.6f}")
    encoded = (*length, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *encoded, folder / "clip.mp4"], check=True)
    ladder = folder / "ladder.yaml"
    ladder.write_text(HLS_LADDER.replace("audio:", HALF_RATE.format(float(Fraction(rate) / 2))) if half else HLS_LADDER)
    return version(run(folder / "clip.mp4", settings(folder, encrypt="none").model_copy(update={"ladder": str(ladder)})))


def assert_all_end(titles: Sequence[tuple[Path, float]], versions: Sequence[str] = HLSJS) -> None:
    """Play titles of so many seconds in every given version of hls.js, from the beginning to ``ended``.

    A busy machine starves one of many players until hls.js nudges it: what did not play well among others plays once more, alone. A
    fault of the title is there again.
    """
    tolerant = {"tolerant": True}
    shows = [
        (Show(folder, "hls.js", "hls", scripts=(script,), seconds=seconds, more=tolerant), seconds)
        for folder, seconds in titles
        for script in versions
    ]
    for (show, seconds), seen in zip(shows, watch([show for show, _ in shows]), strict=True):
        last = seen.report if plays_whole(seen.report, seconds) else watch([show])[0].report
        assert plays_whole(last, seconds), f"{show.scripts}, {show.folder}: {seen.report}, and alone: {last}"


def plays_whole(seen: dict[str, Any], seconds: float) -> bool:
    """True if a player showed a title of so many seconds from 0 to its end, give or take less than a frame: one of audio lasts 21 ms."""
    whole = [pytest.approx([0, seconds], abs=0.025)]
    return (
        seen["ended"]
        and seen["time"] == pytest.approx(seconds, abs=0.025)
        and seen["duration"] == pytest.approx(seconds, abs=0.025)  # hls.js puts off what it maps to other times
        and seen["buffered"] == whole
        and seen["played"] == whole  # a player that skips a hole plays two ranges
        # Not fatal: hls.js 1.7 takes a segment for nothing new that it has of another rung already.
        and set(seen["errors"]) <= {"bufferAppendNoProgress"}
    )


@with_hlsjs
def test_titles_end_however_short_their_tail(tmp_path: Path) -> None:
    """The edit list skips up to 167 ms here; hls.js 1.7 waited for ever for a tail that is shorter.

    It also left a hole as long as the edit list where it switched to a rung with another timescale, as that of half the rate was.
    """
    tails = (("25/2", 1, False), ("24", 2, False), ("24", 10, True), ("30", 12, False))
    titles = [
        (tailed(tmp_path / str(number), rate, tail, half=half), 4 + float(tail / Fraction(rate)))
        for number, (rate, tail, half) in enumerate(tails)
    ]
    assert_all_end(titles, HLSJS[-1:])


@pytest.mark.nightly
@with_hlsjs
@pytest.mark.parametrize("half", [False, True], ids=["full-rate", "half-rate"])
@pytest.mark.parametrize("rate", ["25/2", "24", "25", "30"])
def test_every_tail_of_1_to_12_frames_ends(tmp_path: Path, rate: str, half: bool) -> None:
    titles = [(tailed(tmp_path / str(tail), rate, tail, half=half), 4 + float(tail / Fraction(rate))) for tail in range(1, 13)]
    for at in range(0, len(titles), 4):
        assert_all_end(titles[at : at + 4])
