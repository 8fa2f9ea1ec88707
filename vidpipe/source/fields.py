"""Measure whether a picture is interlaced, whatever the file says: a few frames here and there, judged by idet. In the limited child only.

In:   an open container, its video stream and time line.
Out:  Fields: what was seen, and in which order the fields come.
Wrong: nothing; a place that cannot be read or decoded is passed over.

The number of frames is fixed and not the time, so that the same file is always judged alike. Still pictures and those without
detail give no verdict; nothing is said unless nearly all verdicts agree.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import av.error
from av.filter import Graph

from vidpipe.source.opening import packets
from vidpipe.source.picture import IDET
from vidpipe.source.scan import Timeline

PLACES, FRAMES = 5, 40  # at so many places of the file, so many frames in all; about 0.3 s of H.264 at 1080p
PACKETS_TRIED = 20  # more than frames are wanted at a place, before its stream counts as undecodable there
LEAST_VERDICTS = 10
SURE = Fraction(4, 5)  # share of the verdicts that has to agree
FASTEST = 30  # frames a second, and
LARGEST = 1920 * 1152  # pixels: no standard has interlaced pictures beyond either

Seen = Literal["interlaced", "progressive", "unclear"]


@dataclass(frozen=True)
class Fields:
    """What was seen.  top_first: the upper field is the earlier one; None unless interlaced.

    share: of the pictures with a verdict that are interlaced, in the order of most of them.
    """

    seen: Seen = "unclear"
    top_first: bool | None = None
    share: Fraction = Fraction(0)


def measure_fields(container: av.container.InputContainer, video: Any, line: Timeline, base: Fraction) -> Fields:
    """Look at a few frames of ``video``. base: seconds a tick of its time line."""
    if line.frame_rate > FASTEST or video.codec_context.width * video.codec_context.height > LARGEST:
        return Fields()
    places: dict[int | None, Counter[str]] = {}  # by the time of the first frame: several seeks may land on one key frame
    wanted = min(PLACES, max(1, len(line.key_pts)))
    start = (line.start_pts - line.late) * base
    for number in range(wanted):
        try:
            # without a stream and in microseconds, as ffmpeg's -ss does
            container.seek(int((start + line.duration * number / wanted) * av.time_base), backward=True)
            frames = _frames(container, video, FRAMES // wanted)
            first = frames[0].pts if frames else None
            if first not in places:
                places[first] = _verdicts(frames)
        except (av.error.FFmpegError, MemoryError, ValueError):
            continue
    return judged(list(places.values()))


def judged(places: list[Counter[str]]) -> Fields:
    """Judge the verdicts of idet at each place: "tff", "bff", "progressive"; others say nothing."""
    total = sum(places, Counter[str]())
    top, bottom, whole = total["tff"], total["bff"], total["progressive"]
    told = top + bottom + whole
    if told < LEAST_VERDICTS:
        return Fields()
    combed = sum(place["tff"] + place["bff"] > place["progressive"] for place in places)
    share = Fraction(max(top, bottom), told)
    if share >= SURE and combed >= min(2, len(places)):
        return Fields("interlaced", top > bottom, share)
    return Fields("progressive" if whole >= SURE * told else "unclear", None, share)


def _frames(container: av.container.InputContainer, video: Any, count: int) -> list[Any]:
    frames: list[Any] = []
    for tried, packet in enumerate(packets(container, video)):
        if len(frames) >= count or tried > count + PACKETS_TRIED:
            break
        try:
            frames += [frame for frame in video.codec_context.decode(packet) if not frame.is_corrupt]
        except av.error.EOFError:
            break
        except av.error.InvalidDataError:  # the leading pictures of an open GOP lack their references
            continue
    return [frame for frame in frames[:count] if _kind(frame) == _kind(frames[0])]


def _kind(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _verdicts(frames: list[Any]) -> Counter[str]:
    if len(frames) < 3:  # idet compares neighbours
        return Counter()
    first, found, graph = frames[0], Counter[str](), Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=Fraction(1, FASTEST))
    judge, sink = graph.add("idet", IDET), graph.add("buffersink")
    source.link_to(judge)
    judge.link_to(sink)
    graph.configure()
    for number, frame in enumerate(frames):
        frame.pts = number  # the source's own may be missing
        frame.time_base = Fraction(1, FASTEST)
        source.push(frame)
    source.push(None)
    try:
        while True:
            found[sink.pull().metadata.get("lavfi.idet.single.current_frame", "")] += 1
    except (av.error.EOFError, av.error.BlockingIOError):
        return found
