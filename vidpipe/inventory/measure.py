"""Measure the bit rates that a master playlist declares, from the bytes that lie at the target.

In:   stored sizes in bytes (after encryption) and the durations that the media playlist states.
Out:  whole bits a second, rounded up: a declared rate is never below the measured one.
Wrong: ValueError for an empty playlist or a segment without duration; both are bugs of the caller.

The durations are those of EXTINF, so anybody can repeat the measurement from the published package alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

from vidpipe.data import Data
from vidpipe.inventory.times import extinf, whole_seconds
from vidpipe.publish.result import PublishedSegment


class Bitrate(Data):
    """Measured bits a second of one media playlist. peak: over a sliding window.  average: over the whole."""

    peak: int
    average: int


def measure(segments: Sequence[PublishedSegment], target_duration: int, *, i_frames: bool = False) -> Bitrate:
    """Return the peak and the average rate of a media playlist. target_duration: seconds, its EXT-X-TARGETDURATION.

    i_frames: it is that of the first pictures of the segments, each shown until the next one (HLS-IFR-004, -006). All must have one.
    """
    sizes = [listed_bytes(segment, i_frames=i_frames) for segment in segments]
    durations = [Fraction(value) for value in extinf(segments)]
    return Bitrate(peak=peak(sizes, durations, target_duration), average=average(sizes, durations))


def listed_bytes(segment: PublishedSegment, *, i_frames: bool) -> int:
    """Return how much of a segment a playlist lists: all of it, or only its first picture. Raises ValueError if it has none."""
    if not i_frames:
        return segment.size
    if segment.i_frame is None:
        raise ValueError(f"segment {segment.index} of {segment.rendition} has no picture that can be shown by itself")
    return segment.i_frame.size


def peak(sizes: Sequence[int], durations: Sequence[Fraction], target_duration: int) -> int:
    """Return the largest rate of any run of segments that lasts 0.5 to 1.5 target durations (+ 0.5 s), in bits a second.

    The window is that of draft-pantos-hls-rfc8216bis 4.1 (HLS-BW-002). A playlist shorter than every window counts as one run.

    The run of the largest quotient is found as the run of the largest difference 8 * bytes - rate * seconds, for a rate that grows until
    no run exceeds it (W. Dinkelbach, On Nonlinear Fractional Programming, 1967): a few passes, each linear in the segments.
    """
    _check(sizes, durations)
    ticks = math.lcm(*(duration.denominator for duration in durations), 2)  # a second; so all arithmetic is in whole numbers, and exact
    bits = [0, *accumulate(8 * size for size in sizes)]
    times = [0, *accumulate(duration.numerator * (ticks // duration.denominator) for duration in durations)]
    shortest, longest = target_duration * ticks // 2, (3 * target_duration + 1) * ticks // 2
    rate = Fraction(0)
    while (found := _heaviest(bits, times, shortest, longest, rate)) is not None and found > rate:
        rate = found
    return math.ceil(rate * ticks) if rate else average(sizes, durations)


def _heaviest(bits: Sequence[int], times: Sequence[int], shortest: int, longest: int, rate: Fraction) -> Fraction | None:
    """Return the rate of the run that is furthest above ``rate``; None if there is no run. bits, times: sums up to each border.

    A sliding minimum over the borders at which a run that ends here may begin.
    """
    weights = [rate.denominator * sum_ - rate.numerator * time for sum_, time in zip(bits, times, strict=True)]
    begins: deque[int] = deque()  # borders whose weights rise: the first is the least
    most: tuple[int, int, int] | None = None
    come = 0
    for end, time in enumerate(times):
        while come < end and time - times[come] >= shortest:
            while begins and weights[begins[-1]] >= weights[come]:
                begins.pop()
            begins.append(come)
            come += 1
        while begins and time - times[begins[0]] > longest:
            begins.popleft()
        if begins and (most is None or weights[end] - weights[begins[0]] > most[0]):
            most = (weights[end] - weights[begins[0]], begins[0], end)
    return Fraction(bits[most[2]] - bits[most[1]], times[most[2]] - times[most[1]]) if most else None


def average(sizes: Sequence[int], durations: Sequence[Fraction]) -> int:
    """Return all bits over all seconds (HLS-BW-005), in bits a second."""
    _check(sizes, durations)
    return math.ceil(8 * sum(sizes) / sum(durations, Fraction(0)))


def _check(sizes: Sequence[int], durations: Sequence[Fraction]) -> None:
    if not sizes or len(sizes) != len(durations):
        raise ValueError(f"{len(sizes)} sizes and {len(durations)} durations cannot be measured")
    if min(durations) <= 0:
        raise ValueError("a segment without duration has no bit rate")


def target_duration(playlists: Sequence[Sequence[PublishedSegment]]) -> int:
    """Return the one EXT-X-TARGETDURATION of all audio and video playlists, in seconds (HLS-MEDIA-002, HLS-XPL-001)."""
    return max(1, *(whole_seconds(Fraction(value)) for segments in playlists for value in extinf(segments)))
