"""Bit rates of elementary streams, compared with the slow and plain way to compute them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidpipe.mp4.boxes import Sample
from vidpipe.package.cut import Cue, Cut
from vidpipe.package.rates import FrameSizes, StreamRates


def segment(index: int, sizes: list[int], rate: int = 25, name: str = "v") -> Cut:
    samples = tuple(Sample(0, size, 1, 0, 0) for size in sizes)
    return Cut(name, index, Fraction(0), Fraction(len(sizes), rate), samples)


@given(st.lists(st.lists(st.integers(1, 9999), min_size=1, max_size=40), min_size=1, max_size=5), st.sampled_from([1, 5, 24, 25]))
@example(runs=[[9, 1, 1, 1, 1, 9]], rate=5)  # no second is as heavy as the whole
def test_rates(runs: list[list[int]], rate: int) -> None:
    measured = FrameSizes()
    for index in reversed(range(len(runs))):  # chunks end in any order
        measured.add(segment(index, runs[index], rate))
    rates = measured.rates("v")
    sizes = [size for run in runs for size in run]
    window = min(rate, len(sizes))
    seconds = [Fraction(8 * sum(sizes[at : at + window]) * rate, window) for at in range(len(sizes) - window + 1)]
    peak = max(*seconds, Fraction(8 * sum(sizes) * rate, len(sizes)))
    assert rates.average == math.ceil(Fraction(8 * sum(sizes) * rate, len(sizes)))
    assert rates.peak == math.ceil(peak)
    # what a buffer that is fed at the peak rate has to hold: no run of frames takes more than it holds and what arrives meanwhile
    needed = max(
        sum(sizes[a : b + 1]) - float(peak) / 8 * (b - a) / rate for a in range(len(sizes)) for b in range(a, len(sizes))
    )
    assert abs(rates.buffer - needed) <= 1
    assert rates.average <= rates.peak


def test_renditions_are_apart_and_text_is_not_counted() -> None:
    measured = FrameSizes()
    measured.add(segment(0, [100, 100]))
    measured.add(segment(0, [7], name="w"))
    measured.add(Cut("text", 0, Fraction(0), Fraction(6), cues=(Cue(Fraction(0), Fraction(1), "One"),)))
    assert measured.rates("v") == StreamRates(buffer=100, peak=20_000, average=20_000)
    assert measured.rates("w").average == 1400
    with pytest.raises(ValueError, match="no frame of text"):
        measured.rates("text")
