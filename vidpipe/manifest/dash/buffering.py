"""Measure how much of each Representation a player has to have before it may begin, at the rate that the manifest declares.

In:   the tracks of an inventory, with their measured rates and segments.
Out:  seconds for minBufferTime.
Wrong: nothing.

The definition is that of ISO/IEC 23009-1 5.3.5.2: over a channel of exactly @bandwidth, beginning at any segment, playback never stops if
it begins when minBufferTime x @bandwidth bits are there. A segment counts as there when it is whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from vidpipe.inventory.model import MediaTrack
from vidpipe.manifest.dash.timeline import spans


def min_buffer_time(tracks: Iterable[MediaTrack]) -> Fraction:
    """Return the seconds that suffice for all tracks."""
    return max(_needed(track) for track in tracks)


def _needed(track: MediaTrack) -> Fraction:
    """Return the longest that a run of segments is late: the bits up to its end, sent at the rate, less what has been played by then."""
    most = late = before = Fraction(0)
    for segment, span in zip(track.segments, spans(track, track.facts.timescale), strict=True):
        sent = Fraction(8 * segment.size, track.bitrate.peak)
        late = max(late - before, Fraction(0)) + sent  # the run goes on, or begins here
        most, before = max(most, late), Fraction(span.duration, track.facts.timescale)
    return most
