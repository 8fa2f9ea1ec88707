"""Real clips of strangers, where the folder ../shared/media is present: each becomes a title that decodes to what its record says."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.ingest_support import joined, run, settings
from tests.playback import barcodes

MEDIA = Path(__file__).parent.parent.parent / "shared" / "media"
CLIPS = sorted(path.name for path in MEDIA.glob("*.*") if path.suffix not in (".txt", ".tsv"))
ORDINARY = ("broadcast-1080i", "hdr10", "rotated270", "srt-subs")
"""Beginnings of names. The others are long, or resemble a generated clip of tests/source_support.py; nightly."""

pytestmark = pytest.mark.skipif(not CLIPS, reason="there are no real clips in ../shared/media")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n.startswith(ORDINARY) else pytest.mark.nightly) for n in CLIPS or ["none"]])
def test_a_real_clip_becomes_a_title(name: str, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, chunk_seconds=Fraction(10))
    result = run(MEDIA / name, configured)
    (video,) = [rendition for rendition in result.record.renditions if rendition.type == "video"]
    times = barcodes.read_times(joined(result, configured, f"video-{video.id}.m3u8", tmp_path), "v:0")
    rate = Fraction(video.frame_rate or 0).limit_denominator(1001)
    assert times == [n / rate for n in range(len(times))]
    assert float(len(times) / rate) == pytest.approx(result.record.duration, abs=1e-4)
    for track in result.record.audio:
        samples = barcodes.read_samples(joined(result, configured, f"audio-{track.id}.m3u8", tmp_path))
        assert len(samples) / 2 / 48000 == pytest.approx(result.record.duration, abs=0.05)
