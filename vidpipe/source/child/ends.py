"""Know a large file by its two ends, so that the facts of a file of any size are there at once. In the limited child only.

In:   an open container, what was read of its beginning.
Out:  the same Scan, as if all had been read: where the streams end, and about how much is in them.
Wrong: nothing; where the end cannot be reached cheaply, what the container claims is believed.

What lies between is not seen: damage, gaps, clocks that jump, audio that changes. And nothing is counted: the number of pictures and the
bit rates are estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import av.error

from vidpipe.source.child.opening import Allowance
from vidpipe.source.child.reading import Extent, Scan, base_of, read
from vidpipe.source.child.scan import NONE, Timeline
from vidpipe.source.facts import Shift
from vidpipe.source.limits import SourceLimits

ALLOWED = 128_000_000
"""Bytes that are read in all: a file whose audio lies far from its picture is read in many small pieces."""
BEGINNING = Extent(packets=4_000, bytes=32_000_000)
END = Extent(packets=20_000, bytes=48_000_000)
END_BYTES, END_SECONDS = 2_000_000, 5
"""Of the end, whatever is less; from the key frame before it on."""
LONGEST_LAST = 10
"""Seconds that a last picture is believed to stand."""
BY_BYTES = frozenset({"mpegts", "mpeg"})
"""Containers that can be entered anywhere."""
BY_TIME = frozenset({"mov", "mxf", "avi", "nut", "gxf", "asf", "ogg"})
"""Containers that find a time without reading what lies before it. (Matroska does with an index only, see ``_seek``.)"""


def read_end(
    container: av.container.InputContainer,
    video: Any,
    limits: SourceLimits,
    begun: Scan,
    size: int,
    shifts: Mapping[int, tuple[Shift, ...]] | None,
    allowed: Allowance,
) -> Scan | None:
    """Return what is at the end of a file, or None if that is not reached, or does not follow what has ``begun``."""
    try:
        if not _seek(container, size):
            return None
        end = read(container, video, limits, shifts, extent=END, decode=False)
    except (av.error.FFmpegError, MemoryError):
        return None
    first, last = (max((time for time in scan.video.pts if time != NONE), default=None) for scan in (begun, end))
    if end.stopped or allowed.spent or end.error or first is None or last is None or last <= first:
        return None
    return end


def _seek(container: av.container.InputContainer, size: int) -> bool:
    """Go close to the end. Return False if that would take a walk through the whole file."""
    demuxer = container.format.name.split(",")[0]
    if demuxer in BY_BYTES:
        container.seek(size - END_BYTES, unsupported_byte_offset=True)
        return True
    if demuxer not in BY_TIME and not (demuxer == "matroska" and _has_index(container)):
        return False
    lasting = Fraction(container.duration or 0, av.time_base)
    if lasting <= 0:
        return False
    back = min(Fraction(END_SECONDS), lasting * END_BYTES / size)
    container.seek((container.start_time or 0) + int((lasting - back) * av.time_base), backward=True)
    return True


def _has_index(container: av.container.InputContainer) -> bool:
    """Whether a Matroska file has cues: libav reads them at the first seek, which is made to the beginning here."""
    container.seek(container.start_time or 0, backward=True)
    return any(len(stream.index_entries) > 1 for stream in container.streams.video)


def completed(scan: Scan, end: Scan | None, line: Timeline, video: Any, size: int, claimed: Fraction | None) -> Timeline:
    """Return the time line of the whole, and complete the Scan of its beginning. claimed: seconds that the container says it lasts.

    Of the sizes of packets, those of the beginning are a sample.
    """
    base = base_of(video)
    share = Fraction(size, max(1, scan.size))
    known = line.duration
    if end is not None:
        last = max(time for time in end.video.pts if time != NONE)
        lasts = max(length * base for time, length in zip(end.video.pts, end.video.durations, strict=True) if time == last)
        frame = 1 / line.frame_rate
        known = (last - line.start_pts) * base + (lasts if line.variable and frame < lasts <= LONGEST_LAST else frame)
        scan.video.corrupt.count += end.video.corrupt.count
        scan.video.corrupt.ticks.extend(end.video.corrupt.ticks)
        scan.last = max(scan.last, end.last)
    else:
        known = max(known, claimed or known * share)
    scan.video.size = int(scan.video.size * share)
    for index, track in scan.tracks.items():
        track.size, track.packets_duration = int(track.size * share), 0
        if end is not None and index in end.tracks and end.tracks[index].start is not None:
            later = end.tracks[index]
            track.end = max(track.end, later.end)
            track.corrupt.count += later.corrupt.count
            track.corrupt.ticks.extend(later.corrupt.ticks)
        elif end is None and track.start is not None:
            track.end = max(track.end, int((line.start_pts * base + known) / base_of(video.container.streams[index])))
    frames = round(known * line.frames / line.duration) if line.variable and line.duration else round(known * line.frame_rate)
    return replace(line, duration=known, frames=max(line.frames, frames))
