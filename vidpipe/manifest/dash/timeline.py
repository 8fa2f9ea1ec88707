"""Say where the segments of a track lie and when each is shown: SegmentTemplate with SegmentTimeline, exact to the tick.

In:   a track of an inventory.
Out:  its SegmentTemplate; spans of segments in ticks.
Wrong: ValueError for segments whose names do not count up; that is a bug of whoever named them.

Times are presentation times after the edit list of the init section, as ISO/IEC 23009-1 5.3.9.6 and ISO/IEC 14496-12 have them, and as
MediaSource of browsers counts: Chromium, Firefox and Safari apply an edit list of one entry to what is appended. The edit list skips the
reordering delay of video, so its first frame is shown at 0, and the priming of audio, so its first sample that is heard is at 0.
Then presentationTimeOffset is 0 for every track, which is its default. (An offset as long as the delay would move audio and picture
apart in every player that applies edit lists.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple
from xml.etree.ElementTree import Element

from vidpipe.inventory.model import AudioTrack, MediaTrack, PublishedTrack
from vidpipe.manifest.dash.markup import element
from vidpipe.manifest.grammar import uri
from vidpipe.publish.result import PublishedSegment

_NUMBERED = re.compile(r"(.*?)(0*[1-9][0-9]*)(\.[a-z0-9]+)")


class Span(NamedTuple):
    """When a segment is shown. start, duration: ticks."""

    start: int
    duration: int


def segment_template(track: PublishedTrack, timescale: int) -> Element:
    """Return the SegmentTemplate of a track."""
    first = track.segments[0]
    return element(
        "SegmentTemplate",
        timeline(spans(track, timescale)),
        timescale=timescale,
        initialization=literal(track.init) if isinstance(track, MediaTrack) else None,
        media=template([segment.uri for segment in track.segments]),
        startNumber=first.index + 1,
    )


def spans(track: PublishedTrack, timescale: int) -> list[Span]:
    """Return when each segment of a track is shown."""
    skipped = Fraction(0)  # of video, the edit list only takes back the delay of its frames
    if isinstance(track, AudioTrack):
        if track.delay is None:
            raise ValueError(f"nobody knows what the edit list of {track.id} skips")
        skipped = Fraction(track.delay, timescale)
    return [_span(segment, skipped, timescale) for segment in track.segments]


def _span(segment: PublishedSegment, skipped: Fraction, timescale: int) -> Span:
    """Return when a segment is shown. skipped: seconds at the beginning of the track that its edit list does not show."""
    start = max(Fraction(0), segment.start - skipped)
    end = segment.start + segment.duration - skipped
    first, last = _ticks(start, timescale), _ticks(end, timescale)
    return Span(first, max(1, last - first))


def _ticks(time: Fraction, timescale: int) -> int:
    ticks = time * timescale
    if ticks.denominator != 1:
        raise ValueError(f"{time} s is no whole number of ticks of 1/{timescale} s")
    return ticks.numerator


def timeline(shown: Iterable[Span]) -> Element:
    """Return the SegmentTimeline: segments that follow on one another and last as long are one S."""
    made = element("SegmentTimeline")
    end, repeated = -1, 0
    for span in shown:
        last = made[-1] if len(made) else None
        if last is not None and span.start == end and last.get("d") == str(span.duration):
            repeated += 1
            last.set("r", str(repeated))
        else:
            made.append(element("S", t=span.start if span.start != end else None, d=span.duration))
            repeated = 0
        end = span.start + span.duration
    return made


def template(paths: Sequence[str]) -> str:
    """Return the template of paths that count from 1, such as ``video/720p/$Number%05d$.m4s``."""
    first = _NUMBERED.fullmatch(paths[0])
    if first is None:
        raise ValueError(f"{paths[0]!r} has no number")
    folder, width, suffix = first[1], len(first[2]), first[3]
    if [f"{folder}{number:0{width}d}{suffix}" for number in range(1, len(paths) + 1)] != list(paths):
        raise ValueError(f"the numbers of {paths[0]!r} do not count up from 1")
    return f"{literal(folder)}$Number%0{width}d${literal(suffix)}"


def literal(path: str) -> str:
    """Return a path for a template, in which "$" begins an identifier (ISO/IEC 23009-1 5.3.9.4.4)."""
    return uri(path).replace("$", "$$")
