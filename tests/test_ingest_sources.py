"""Every odd but ordinary source becomes a title: frame count, duration, geometry, audio and sync are compared with the source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.ingest_support import joined, onsets, run, settings
from tests.playback import barcodes
from tests.source_support import CASES, make
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.plan import fit
from vidpipe.settings import Settings

AAC_FRAME = Fraction(1024, 48000)
CODEC_DELAY = {"avi", "interlaced-bottom", "avi-h264", "flv", "ts-offset", "ps", "interlaced", "mkv-29.97", "webm"}
"""Sources whose audio was encoded with a delay that the container does not declare: up to 40 ms, and no fault of ours."""

TURNED = {"rotated", "mirrored", "flipped", "mirrored-rotated"}
NO_BARCODE = {*TURNED, "interlaced", "interlaced-mp4", "interlaced-unflagged", "interlaced-bottom"}
"""On its side, turned round, or two frames woven into one."""


def shown(name: str, frames: int) -> list[int]:
    """Return the source frame that each frame of the title has to show."""
    if name == "vfr":  # frames 0 to 19, then every third: each is held until the next one's time
        return [n if n < 20 else max(19, n // 3 * 3) for n in range(frames)]
    if name == "high-rate":  # 120 fps becomes 60
        return [2 * n for n in range(frames)]
    if name == "avi":  # ffmpeg writes an empty chunk after the first frame, because MP3 begins a little before it
        return [max(0, n - 1) for n in range(frames)]
    return list(range(frames))


ALIKE = {
    "dnxhd-mxf", "flv", "interlaced-mp4", "flagged-progressive", "flipped", "rotated", "subtitles-mp4", "surround-51", "portrait",
    "mkv-start-5", "h264-10bit-422", "under-a-gop", "mono",
}  # fmt: skip
"""Sources that another one resembles in all that an ingest does to it; every one is measured by tests/test_source_probe.py."""


NOTES = {
    "interlaced": "bwdif",
    "hdr10": "tone-mapped",
    "hlg": "tone-mapped",
    "vfr": "converted to a constant",
    "surround-71": "downmixed",
    "no-audio": "no audio",
    "subtitles-mkv": "subtitle",
    "wide-pixels": "square",
    "rotated": "rotated",
    "mirrored": "mirrored",
    "interlaced-unflagged": "although the file does not say so",
}
"""What the plan says of a source."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.nightly] if name in ALIKE else []) for name in CASES])
def test_source_becomes_a_title(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    source = make(name, tmp_path)
    configured = settings(tmp_path, 90)
    result = run(source, configured)
    if name in NOTES:
        assert_noted(name, source, configured)
    (video,) = [rendition for rendition in result.record.renditions if rendition.type == "video"]

    file = joined(result, configured, f"video-{video.id}.m3u8", tmp_path)
    decoded = barcodes.decode(file)
    rate = Fraction(video.frame_rate or 0).limit_denominator(1001)
    frames = {"high-rate": 30, "vfr": len(decoded.numbers)}.get(name, case.frames)
    assert len(decoded.numbers) == frames
    assert decoded.times == [n / rate for n in range(len(decoded.times))]
    assert result.record.duration == pytest.approx(float(len(decoded.times) / rate), abs=1e-4)
    assert (video.width, video.height) == fit((Fraction(case.width), Fraction(case.height)), (160, 90))
    if name not in NO_BARCODE:
        assert decoded.numbers == shown(name, len(decoded.numbers))
    if name == "vfr":
        assert len(decoded.numbers) in range(58, 61)
    if name in ("hdr10", "hlg"):  # white and black of the barcode stay far apart: HDR shown as if it were SDR would be a grey picture
        levels = barcodes.read_levels(file)
        assert min(levels) <= 24
        assert max(levels) >= 170

    assert [track.channels for track in result.record.audio] == [2] * len(case.audio)
    for track in result.record.audio:
        samples = barcodes.read_samples(joined(result, configured, f"audio-{track.id}.m3u8", tmp_path))
        assert len(samples) / 2 / 48000 == pytest.approx(result.record.duration, abs=float(2 * AAC_FRAME))
        beep = Fraction(3, 2) if name == "late-audio" else 1
        if result.record.duration > beep:
            late = min(abs(onset - beep) for onset in onsets(samples))
            assert late <= (AAC_FRAME if name not in CODEC_DELAY else Fraction(4, 100)), f"the beep is {float(late):.3f} s off"


def test_the_plan_says_that_a_picture_was_turned(tmp_path: Path) -> None:
    assert_noted("rotated", make("rotated", tmp_path), settings(tmp_path, 90))


def assert_noted(name: str, source: Path, configured: Settings) -> None:
    made = prepare(IngestRequest(source=str(source)), configured)
    assert any(NOTES[name] in note for note in made.notes)
