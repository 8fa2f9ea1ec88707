"""Measure the bit rates that a master playlist declares, from the bytes that lie at the target.

In:   stored sizes in bytes (after encryption) and the durations that the media playlist states.
Out:  whole bits a second, rounded up: a declared rate is never below the measured one.
Wrong: ValueError for an empty playlist or a segment without duration; both are bugs of the caller.

The durations are those of EXTINF, so anybody can repeat the measurement from the published package alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from vidpipe.data import Data
from vidpipe.manifest.times import extinf, whole_seconds
from vidpipe.package.result import PublishedSegment


class Bitrate(Data):
    """Measured bits a second of one media playlist. peak: over a sliding window.  average: over the whole."""

    peak: int
    average: int


def measure(segments: Sequence[PublishedSegment], target_duration: int) -> Bitrate:
    """Return the peak and the average rate of a media playlist. target_duration: seconds, its EXT-X-TARGETDURATION."""
    sizes = [segment.size for segment in segments]
    durations = [Fraction(value) for value in extinf(segments)]
    return Bitrate(peak=peak(sizes, durations, target_duration), average=average(sizes, durations))


def peak(sizes: Sequence[int], durations: Sequence[Fraction], target_duration: int) -> int:
    """Return the largest rate of any run of segments that lasts 0.5 to 1.5 target durations (+ 0.5 s), in bits a second.

    The window is that of draft-pantos-hls-rfc8216bis 4.1 (HLS-BW-002). A playlist shorter than every window counts as one run.
    """
    _check(sizes, durations)
    shortest = Fraction(target_duration, 2)
    longest = Fraction(3 * target_duration, 2) + Fraction(1, 2)
    best = Fraction(0)
    for first in range(len(sizes)):
        size, duration = 0, Fraction(0)
        for index in range(first, len(sizes)):
            size += sizes[index]
            duration += durations[index]
            if duration > longest:
                break
            if duration >= shortest:
                best = max(best, 8 * size / duration)
    return math.ceil(best) if best else average(sizes, durations)


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
