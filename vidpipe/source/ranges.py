"""Cut the picture of a source into ranges that are decoded in parallel, and put what was measured of them together. Pure.

In:   a VideoStream with key frames, how many ranges may be decoded at once; later what each range printed.
Out:  PictureRanges; the Measurements of the whole, which are those of one decode from the first picture to the last.
Wrong: BadRange if what a range printed does not begin with its key frame.

A range begins at a key frame and goes on a little beyond the key frame of the next one, for which there are two reasons. The pictures
that an open GOP shows before its key frame need the GOP before, so they belong to the range that ends there; the next one drops their
packets before the decoder sees them, and none of them counts as damaged. And filters compare neighbours: what they print about a key
frame, and of a still that begins or ends close to it, is right only where they have seen the pictures on either side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from math import ceil, floor

from vidpipe.data import Data
from vidpipe.source.facts import VideoStream
from vidpipe.source.quality import SHORTEST_FREEZE, Measurements, merge, read_measurements

LEAST_SECONDS = 20
"""Of a range: its start, and what it decodes beyond its end, take half a second."""
RANGES_A_WORKER = 4
"""So that a range which is harder to decode than others does not end long after them."""
NEIGHBOURS = 4
"""Pictures beyond the end: idet needs two, a still that begins with the last picture three at low rates."""


class BadRange(Exception):
    """A range did not begin where it should."""


class PictureRange(Data):
    """Ticks of the video stream.

    - start: the first picture, a key frame.
    - end: the first picture of the next range; None at the end of the file.
    - seek: whether it is reached by a seek, and not from the beginning.
    - frames: about how many pictures.
    """

    start: int
    end: int | None
    seek: bool
    frames: int

    def seconds(self, video: VideoStream) -> Fraction:
        """How long it lasts."""
        until = self.end * video.time_base if self.end is not None else video.start_pts * video.time_base + video.duration
        return until - self.start * video.time_base


def picture_ranges(video: VideoStream, workers: int) -> tuple[PictureRange, ...]:
    """Return the ranges, one if there is nothing to win or seeks cannot be relied on. workers: ranges that are decoded at once."""
    count = min(int(video.duration / LEAST_SECONDS), workers * RANGES_A_WORKER)
    if workers < 2 or count < 2 or not video.exact_seek:
        count = 1
    starts = [video.start_pts]
    for number in range(1, count):
        wanted = video.start_pts + int(video.duration * number / count / video.time_base)
        key = min(video.key_pts, key=lambda pts: abs(pts - wanted), default=video.start_pts)
        if (key - starts[-1]) * video.time_base >= Fraction(LEAST_SECONDS, 2):
            starts.append(key)
    ends = [*starts[1:], None]
    found = [PictureRange(start=start, end=end, seek=start > video.start_pts, frames=0) for start, end in zip(starts, ends, strict=True)]
    share = video.frames / video.duration if video.duration else Fraction(0)
    return tuple(each.model_copy(update={"frames": ceil(each.seconds(video) * share)}) for each in found)


def input_options(range_: PictureRange, video: VideoStream) -> list[str]:
    """Return ffmpeg's input options that begin a range."""
    if not range_.seek:
        return []
    seconds = floor(range_.start * video.time_base * 10**6) / 10**6
    return [
        # Whatever lies before the key frame, be it that the seek landed earlier or that an open GOP shows it first, is not decoded.
        *(f"-bsf:{video.index}", f"noise=drop='lt(pts,{range_.start})*not(eq(pts,nopts))'"),
        # seek_timestamp: absolute, not relative to the container's start.  noaccurate_seek: nothing else drops pictures
        *("-seek_timestamp", "1", "-noaccurate_seek", "-ss", f"{seconds:.6f}"),
    ]


def range_filter(range_: PictureRange, video: VideoStream) -> str:
    """Return the filter that ends a range, a little after its end. It follows a setpts that makes the first picture of the file 0."""
    start = f"trim=start_pts={range_.start - video.start_pts}"
    if range_.end is None:
        return start
    beyond = SHORTEST_FREEZE + NEIGHBOURS / video.frame_rate
    return f"{start}:end_pts={range_.end - video.start_pts + ceil(beyond / video.time_base)}"


def read_range(lines: Iterable[str], range_: PictureRange, video: VideoStream) -> Measurements:
    """Read what the filters printed of a range. Raises BadRange."""
    lines = iter(lines)
    first = next(lines, "")
    begins = re.match(r"frame:0 +pts:(-?\d+) ", first)
    if range_.seek and (begins is None or int(begins[1]) != range_.start - video.start_pts):
        raise BadRange
    # The filters have seen only one neighbour of the key frame; the range before has seen both, and counts it.
    after = range_.start - video.start_pts if range_.seek else None
    until = range_.end - video.start_pts if range_.end is not None else None
    return read_measurements(chain([first], lines), counted=(after, until))


def whole(parts: Sequence[Measurements]) -> Measurements:
    """Put the ranges together, in their order. They overlap, so nothing has to be guessed about their borders."""
    merged = merge([part.model_copy(update={"start": None, "end": None}) for part in parts])
    return merged.model_copy(update={"start": parts[0].start, "end": parts[-1].end})
