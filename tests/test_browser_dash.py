"""A real browser plays the DASH manifest of a title: Chromium, headless, with dash.js and Shaka Player.

Needs what ``tests/playback/chromium.py`` says; without it the tests are skipped and say so. They take half a minute
each, and so run at night.
"""

from __future__ import annotations

import random
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.ingest_support import run, settings, version
from tests.playback.chromium import Show, watch, with_player
from tests.subtitle_support import srt

pytestmark = pytest.mark.nightly

LADDER = """\
name: dash
description: Rungs whose encoder reorders frames, one of half the rate
rungs:
  - {name: low, height: 108, codec: h264, bitrate: 80k, max_bitrate: 80k, buffer: 80k, preset: veryfast, max_frame_rate: 15}
  - {name: high, height: 180, codec: h264, bitrate: 160k, max_bitrate: 160k, buffer: 160k, preset: veryfast}
audio:
  - {codec: aac, bitrate: 64k, channels: 2}
  - {codec: aac, bitrate: 160k, channels: 6}
"""
SPOKEN = (
    ("00:00:00,500", "00:00:02,000", "One"),
    ("00:00:03,500", "00:00:06,500", "over borders"),
    ("00:00:08,000", "00:00:09,000", "end"),
)
FRAMES = 300
SECONDS = float(FRAMES * Fraction(1001, 24000))
AUDIO = [{"name": "English", "language": "en", "channels": 2}, {"name": "German", "language": "de", "channels": 2}]
AUDIO += [{"name": "German (5.1)", "language": "de", "channels": 6}]


@pytest.fixture(scope="module")
def title(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish 300 frames of film with English, and German in 5.1, and subtitles; return the folder of its address."""
    folder = tmp_path_factory.mktemp("dash")
    (folder / "words.srt").write_text(srt(*SPOKEN))
    picture = ("-f", "lavfi", "-i", "testsrc2=s=320x180:r=24000/1001")
    sound = ("-f", "lavfi", "-i", "sine=f=440:r=48000", "-f", "lavfi", "-i", "sine=f=220:r=48000")
    mapped = ("-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-ac:a:0", "2", "-ac:a:1", "6", "-t", f"{SECONDS:.6f}")
    named = [option for at, tag in (("a:0", "eng"), ("a:1", "deu"), ("s:0", "eng")) for option in (f"-metadata:s:{at}", f"language={tag}")]
    encoded = ("-frames:v", str(FRAMES), "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-c:s", "srt", *named)
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *picture, *sound, "-i", str(folder / "words.srt"), *mapped, *encoded]
    subprocess.run([*argv, str(folder / "clip.mkv")], check=True)
    (folder / "dash.yaml").write_text(LADDER)
    configured = settings(folder, encrypt="none").model_copy(update={"ladder": str(folder / "dash.yaml")})
    return version(run(folder / "clip.mkv", configured, content_id="film")).parent


def players() -> list[object]:
    return [pytest.param(name, marks=with_player(name), id=name) for name in ("dash.js", "Shaka Player")]


@pytest.mark.parametrize("name", players())
def test_a_title_starts_seeks_and_plays_to_its_end(title: Path, name: str) -> None:
    chance = random.Random(name)
    steps = [
        {"do": "show", "track": {"name": "English", "language": "en"}},
        {"do": "about"},
        {"do": "play"},
        *({"do": "seek", "to": round(chance.uniform(0.5, SECONDS - 1), 2), "go": 0.3} for _ in range(3)),
        {"do": "play"},
    ]
    (seen,) = watch([Show(title, name, "dash", steps, seconds=SECONDS)])
    assert (seen.report["errors"], seen.missed) == ([], [])
    _, about, whole, *sought, last = seen.steps
    assert whole["ended"]
    from_0_to_end = pytest.approx([0, SECONDS], abs=0.025)  # audio and picture begin and end together: a frame of audio lasts 21 ms
    assert whole["played"] == [from_0_to_end]
    assert whole["buffered"] == [from_0_to_end]
    assert whole["duration"] == pytest.approx(SECONDS, abs=0.001)
    assert whole["frames"] >= FRAMES * 9 // 10
    for step in sought:
        assert step["time"] == pytest.approx(step["wanted"] + 0.3, abs=0.5)
    assert last["ended"]
    assert [cue[1:] for cue in whole["cues"]] == [[0.5, 2.0, "One"], [3.5, 6.5, "over borders"], [8.0, 9.0, "end"]]
    found = about["about"]
    assert found["chosen"] == "en"
    assert sorted((language, tuple(roles), tuple(labels)) for language, roles, labels in found["audio"]) == [
        ("de", ("main",), ("German",)), ("de", ("main",), ("German (5.1)",)), ("en", ("main",), ("English",)),
    ]  # fmt: skip
    assert sorted(found["levels"]) == [[192, 108], [320, 180]]
    assert found["text"] == [["en", ["subtitle"]]]
    assert found["thumbnail"] == [480, 0, 160, 90, "sprite-001.jpg"]


@pytest.mark.parametrize("name", players())
def test_every_rung_and_every_audio_track_plays(title: Path, name: str) -> None:
    steps = [
        *({"do": "audio", "track": track, "seconds": 1.5} for track in AUDIO),
        *({"do": "level", "name": rung, "height": height} for rung, height in (("low", 108), ("high", 180))),
    ]
    show = Show(title, name, "dash", steps, seconds=SECONDS, more={"rate": 2})
    (seen,) = watch([show])
    if not seen.report["ended"]:  # a busy machine starves a player that changes tracks all the time; a fault of the title is there again
        (seen,) = watch([show])
    assert (seen.report["errors"], seen.missed) == ([], [])
    assert [step["ended"] for step in seen.steps[-2:]] == [True, True]
    assert seen.report["time"] == pytest.approx(SECONDS, abs=0.025)
