"""Read WebVTT, strictly, and independent of what writes it: the thumbnails track, and the segments of a subtitle track.

In:   the bytes of the track, or of a segment.
Out:  one ThumbnailCue, or one Cue, for each cue, in order.
Wrong: CueError with the line: not WebVTT, a cue out of order, a picture that is not ``sheet.jpg#xywh=x,y,width,height``, a segment whose
       header does not tie its times to the title's zero, a text that a player could misread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from vidpipe.data import Data, Seconds
from vidpipe.package.cut import Cue

_TIME = r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d\.\d{3})"
_TIMES = re.compile(rf"{_TIME} --> {_TIME}")
_PICTURE = re.compile(r"([^#\s]+)#xywh=(\d+),(\d+),([1-9]\d*),([1-9]\d*)")
_MAP = "X-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0"  # the picture begins at time stamp 0
_TEXT = re.compile(r"(?:[^<>&\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]|</?[ibu]>|&(?:amp|lt|gt|nbsp|lrm|rlm);)+")


class CueError(ValueError):
    """The track cannot be read."""


class ThumbnailCue(Data):
    """A cue. start, end: seconds.  sheet: URI relative to the track.  x, y, width, height: pixels on it.  line: 1-based."""

    line: int
    start: Seconds
    end: Seconds
    sheet: str
    x: int
    y: int
    width: int
    height: int


def read_pictures(data: bytes) -> Iterator[ThumbnailCue]:
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
            raise CueError(f"line {number}: this is not the cue of a thumbnail")
        start, end = _seconds(times.group(1, 2, 3)), _seconds(times.group(4, 5, 6))
        if start != time or end <= start:
            raise CueError(f"line {number}: the cue does not begin where the one before ends")
        time = end
        x, y, width, height = (int(value) for value in picture.group(2, 3, 4, 5))
        yield ThumbnailCue(line=number, start=start, end=end, sheet=picture[1], x=x, y=y, width=width, height=height)


def read_subtitles(data: bytes) -> list[Cue]:
    """Return the cues of a subtitle segment; none if it is a header only."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise CueError("it is not UTF-8") from error
    if lines[:3] != ["WEBVTT", _MAP, ""]:
        raise CueError(f"line 1: it does not begin with WEBVTT, {_MAP} and a blank line")
    if lines[-1]:
        raise CueError(f"line {len(lines)}: the last line does not end")
    cues: list[Cue] = []
    at = 3
    while at < len(lines) - 1:
        times = _TIMES.fullmatch(lines[at])
        end = lines.index("", at)
        if times is None or end == at + 1:
            raise CueError(f"line {at + 1}: this is not a cue")
        for number in range(at + 1, end):
            if not _TEXT.fullmatch(lines[number]) or "X-TIMESTAMP-MAP" in lines[number].upper():
                raise CueError(f"line {number + 1}: a player could misread this text")
        cue = Cue(_seconds(times.group(1, 2, 3)), _seconds(times.group(4, 5, 6)), "\n".join(lines[at + 1 : end]))
        if cue.end <= cue.start or (cues and cue.start < cues[-1].start):
            raise CueError(f"line {at + 1}: the cue ends before it begins, or begins before the one above it")
        cues.append(cue)
        at = end + 1
    return cues


def _seconds(parts: tuple[str | None, ...]) -> Fraction:
    hours, minutes, seconds = (Fraction(part or 0) for part in parts)
    return 3600 * hours + 60 * minutes + seconds
