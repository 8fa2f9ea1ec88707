"""Measure whether a picture is interlaced, whatever the file says: a few frames here and there, weighed by idet. In the limited child only.

In:   an open container, its video stream and time line, and the frames that were decoded at its beginning.
Out:  Fields: what was seen, and in which order the fields come.
Wrong: nothing; a position that cannot be read or decoded is passed over.

The number of frames is fixed and not the time, so that the same file is always weighed alike. Still pictures and those without
detail give no verdict; nothing is said unless nearly all verdicts agree. Decoding is what it costs, so the search ends as soon as the
frames that are left can no longer change whether it is interlaced: mostly after two positions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, Literal

import av
import av.error
from av.filter import Graph

from vidpipe.source.child.opening import packets
from vidpipe.source.child.scan import Timeline
from vidpipe.source.picture_facts import IDET

POSITIONS, FRAMES = 5, 40  # at so many positions of the file, so many frames in all, at most
BATCH = 8  # frames that are weighed together
ORDER = (0, 3, 1, 4, 2)  # of the positions: the first two lie far apart
PACKETS_TRIED = 60  # more than frames are wanted, before a stream counts as undecodable at a position
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


def measure_fields(container: av.container.InputContainer, video: Any, line: Timeline, base: Fraction, first: list[Any]) -> Fields:
    """Look at a few frames of ``video``. base: seconds a tick of its time line.  first: its first frames; their times are changed."""
    if line.frame_rate > FASTEST or video.codec_context.width * video.codec_context.height > LARGEST:
        return Fields()
    wanted = min(POSITIONS, max(1, len(line.key_pts)))
    start = (line.start_pts - line.late) * base
    starts = [start + line.duration * number / wanted for number in ORDER if number < wanted]
    positions: dict[int | None, Counter[str]] = {}  # by the time of the first frame
    for number, (position, frames) in enumerate(_batches(container, video, starts, first), 1):
        positions[position] = positions.get(position, Counter()) + _verdicts(frames)
        if settled(list(positions.values()), FRAMES - BATCH * number):
            break
    return weighed(list(positions.values()))


def settled(positions: list[Counter[str]], left: int) -> bool:
    """Return whether so many more frames can no longer change whether the picture is interlaced."""
    if left <= 0:
        return True
    total = sum(positions, Counter[str]())
    most, judged_frames = max(total["tff"], total["bff"]), total["tff"] + total["bff"] + total["progressive"]
    if judged_frames < LEAST_VERDICTS:
        return False
    combed = sum(position["tff"] + position["bff"] > position["progressive"] for position in positions)
    return most + left < SURE * (judged_frames + left) or (most >= SURE * (judged_frames + left) and combed >= 2)


def weighed(positions: list[Counter[str]]) -> Fields:
    """Weigh the verdicts of idet at each position: "tff", "bff", "progressive"; others say nothing."""
    total = sum(positions, Counter[str]())
    top, bottom, whole = total["tff"], total["bff"], total["progressive"]
    judged_frames = top + bottom + whole
    if judged_frames < LEAST_VERDICTS:
        return Fields()
    combed = sum(position["tff"] + position["bff"] > position["progressive"] for position in positions)
    share = Fraction(max(top, bottom), judged_frames)
    if share >= SURE and combed >= min(2, len(positions)):
        return Fields("interlaced", top > bottom, share)
    return Fields("progressive" if whole >= SURE * judged_frames else "unclear", None, share)


def _batches(
    container: av.container.InputContainer, video: Any, starts: list[Fraction], first: list[Any]
) -> Iterator[tuple[int | None, list[Any]]]:
    """Yield frames from each position, with the time of its first; of several seeks that land on one key frame, only the first counts."""
    known: set[int | None] = set()
    for start in starts:
        try:
            if start == starts[0] and len(starts) == POSITIONS and len(first) == BATCH:
                batches = iter([first])
            else:
                # without a stream and in microseconds, as ffmpeg's -ss does
                container.seek(int(start * av.time_base), backward=True)
                batches = _frames(container, video)
            for number, batch in enumerate(islice(batches, -(-FRAMES // BATCH // len(starts)))):
                if number == 0:
                    position = batch[0].pts
                    if position in known:
                        break
                    known.add(position)
                yield position, batch
        except (av.error.FFmpegError, MemoryError):
            continue


def _frames(container: av.container.InputContainer, video: Any) -> Iterator[list[Any]]:
    """Yield the frames from where the container stands, a batch at a time."""
    frames: list[Any] = []
    for tried, packet in enumerate(packets(container, video)):
        if tried > PACKETS_TRIED:
            break
        try:
            frames += [frame for frame in video.codec_context.decode(packet) if not frame.is_corrupt]
        except av.error.EOFError:
            break
        except av.error.InvalidDataError:  # the leading pictures of an open GOP lack their references
            continue
        if len(frames) >= BATCH:
            yield frames[:BATCH]
            del frames[:BATCH]
    if frames:
        yield frames


def _kind(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _verdicts(frames: list[Any]) -> Counter[str]:
    first, found = frames[0], Counter[str]()
    frames = [frame for frame in frames if _kind(frame) == _kind(first)]
    if len(frames) < 3:  # idet compares neighbours
        return found
    try:
        graph = Graph()
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
        while True:
            found[sink.pull().metadata.get("lavfi.idet.single.current_frame", "")] += 1
    except (av.error.FFmpegError, MemoryError, ValueError):  # mostly the end
        return found
