"""Measure the bit rates of the elementary streams while their segments are cut: what btrt and esds declare.

In:   cuts, in any order.
Out:  for each rendition the average, the peak of any second, and the buffer that a decoder fed at the peak rate needs (14496-12 8.5.2).
Wrong: nothing; a rendition without a frame has no rates (ValueError, a bug of the caller).

Measured of the frames and not of the files, so that the numbers are the same clear and encrypted, and again in a run that continues.
"""

from __future__ import annotations

import itertools
import math
from array import array
from dataclasses import dataclass, field
from fractions import Fraction

from vidpipe.package.cut import Cut


@dataclass(frozen=True, slots=True)
class StreamRates:
    """Rates of an elementary stream. buffer: bytes.  peak, average: bits a second."""

    buffer: int
    peak: int
    average: int


@dataclass
class FrameSizes:
    """Collects the sizes of all frames, two or four bytes each, until a title is complete."""

    _sizes: dict[str, dict[int, array[int]]] = field(default_factory=dict)
    _seconds: dict[str, Fraction] = field(default_factory=dict)

    def add(self, cut: Cut) -> None:
        """Remember the frames of a cut; text has none."""
        if cut.samples:
            sizes = [sample.size for sample in cut.samples]
            self._sizes.setdefault(cut.track, {})[cut.index] = array("H" if max(sizes) < 1 << 16 else "I", sizes)
            self._seconds[cut.track] = self._seconds.get(cut.track, Fraction(0)) + cut.duration

    def rates(self, rendition: str) -> StreamRates:
        """Return the rates of a rendition, of which every segment was added once. Its frames last equally long, but the last."""
        segments = self._sizes.get(rendition, {})
        sizes = array("I", itertools.chain.from_iterable(segments[index] for index in sorted(segments)))
        if not sizes:
            raise ValueError(f"no frame of {rendition} was measured")
        frame = self._seconds[rendition] / len(sizes)
        second = max(1, min(len(sizes), round(1 / frame)))
        total = sum(sizes)
        most = in_second = sum(itertools.islice(sizes, second))
        for leaves, comes in zip(sizes, itertools.islice(sizes, second, None), strict=False):
            in_second += comes - leaves
            most = max(most, in_second)
        # Bytes a frame at the peak. Frames at both ends lie in fewer seconds than others: if they are heavy, no second reaches the average.
        heaviest = max(Fraction(most, second), Fraction(total, len(sizes)))
        fed = float(heaviest)
        level = needed = 0.0
        for size in sizes:
            level = max(0.0, level - fed) + size
            needed = max(needed, level)
        return StreamRates(
            buffer=math.ceil(needed),
            peak=math.ceil(8 * heaviest / frame),
            average=math.ceil(8 * total / self._seconds[rendition]),
        )
