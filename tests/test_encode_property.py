"""Property: for any rate, length, GOP of the source, use of B-frames and number of chunks, chunked and whole encodes show the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.encode_support import clip, remux, tiny_plan, whole
from tests.test_encode_seam import RATES, shown
from vidpipe.media.ffmpeg import FFmpeg, find
from vidpipe.work.artifacts import Store

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@st.composite
def sources(draw: st.DrawFn) -> tuple[str, int, int, int, str, int]:
    """A source: rate, frames, GOP and B-frames of its own encoder, container; and the frames of a chunk (segments have 24)."""
    frames = draw(st.integers(1, 150))
    chunk = 24 * draw(st.integers(1, 4))
    bframes, container = draw(st.sampled_from([0, 2, 3])), draw(st.sampled_from(["mp4", "mkv"]))
    return draw(st.sampled_from(RATES)), frames, draw(st.integers(1, 60)), bframes, container, chunk


def check(drawn: tuple[str, int, int, int, str, int], program: FFmpeg) -> None:
    rate, frames, gop, bframes, container, chunk = drawn
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", str(bframes)]
        source = clip(folder / "source.mp4", rate, frames, gop=gop, options=options)
        if container == "mkv":
            source = remux(source, folder / "source.mkv")
        plan = tiny_plan(source, chunk=chunk)
        chunked = shown(plan, Store(folder / "work"), program, folder / "chunked.mp4")
        single = shown(whole(plan), Store(folder / "whole"), program, folder / "single.mp4")
        assert chunked == single == list(range(frames))


@settings(max_examples=5, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(sources())
def test_chunked_and_whole_show_every_frame_at_its_time(drawn: tuple[str, int, int, int, str, int]) -> None:
    check(drawn, find())


@pytest.mark.nightly
@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(sources())
def test_chunked_and_whole_show_every_frame_at_its_time_for_long(drawn: tuple[str, int, int, int, str, int]) -> None:
    check(drawn, find())
