"""Read a WebVTT thumbnails track, strictly: which picture of which sprite stands for which time.

In:   the bytes of the track.
Out:  one Picture for each cue, in order.
Wrong: CueError with the line: not WebVTT, a cue out of order, a payload that is not ``sheet.jpg#xywh=x,y,width,height``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from vidpipe.data import Data, Seconds

_TIME = r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d\.\d{3})"
_TIMES = re.compile(rf"{_TIME} --> {_TIME}")
_PICTURE = re.compile(r"([^#\s]+)#xywh=(\d+),(\d+),([1-9]\d*),([1-9]\d*)")


class CueError(ValueError):
    """The track cannot be read."""


class Picture(Data):
    """A cue. start, end: seconds.  sheet: URI relative to the track.  x, y, width, height: pixels on it.  line: 1-based."""

    line: int
    start: Seconds
    end: Seconds
    sheet: str
    x: int
    y: int
    width: int
    height: int


def read_pictures(data: bytes) -> Iterator[Picture]:
    """Yield the pictures of a thumbnails track. Each begins where the one before ends; the first at 0."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise CueError("it is not UTF-8") from error
    if not lines or lines[0] != "WEBVTT":
        raise CueError("line 1: it does not begin with WEBVTT")
    time = Fraction(0)
    for number, line in enumerate(lines, 1):
        if "-->" not in line:
            continue
        times = _TIMES.fullmatch(line)
        picture = _PICTURE.fullmatch(lines[number]) if number < len(lines) else None
        if times is None or picture is None:
            raise CueError(f"line {number}: this is no cue of a picture")
        start, end = _seconds(times.group(1, 2, 3)), _seconds(times.group(4, 5, 6))
        if start != time or end <= start:
            raise CueError(f"line {number}: the cue does not begin where the one before ends")
        time = end
        x, y, width, height = (int(value) for value in picture.group(2, 3, 4, 5))
        yield Picture(line=number, start=start, end=end, sheet=picture[1], x=x, y=y, width=width, height=height)


def _seconds(parts: tuple[str | None, ...]) -> Fraction:
    hours, minutes, seconds = (Fraction(part or 0) for part in parts)
    return 3600 * hours + 60 * minutes + seconds
