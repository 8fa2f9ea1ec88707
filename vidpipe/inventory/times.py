"""Write times as playlists do, without drift: EXTINF to the microsecond, TARGETDURATION and FRAME-RATE rounded half up.

In:   exact durations.  Out: exact decimals.  Wrong: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from vidpipe.publish.result import PublishedSegment

_MICROSECONDS = 1_000_000


def whole_seconds(duration: Fraction) -> int:
    """Round half up, as EXT-X-TARGETDURATION compares durations; Python's round() goes to the even neighbour."""
    return (2 * duration.numerator + duration.denominator) // (2 * duration.denominator)


def extinf(segments: Sequence[PublishedSegment]) -> list[Decimal]:
    """Return the EXTINF durations in seconds with six decimals.

    The end of every segment is rounded, not its length: the sum of any run is within a microsecond of the truth, so nothing drifts.
    """
    durations, time, before = [], Fraction(0), 0
    for segment in segments:
        time += segment.duration
        now = whole_seconds(time * _MICROSECONDS)
        durations.append(Decimal(now - before).scaleb(-6))
        before = now
    return durations
