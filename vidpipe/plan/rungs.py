"""Choose the rungs of a ladder for a source: Source + Ladder -> the video renditions, and why each rung was kept or dropped.

In:   a Source (its picture as it is shown), a Ladder, the frame rate of the timeline, what is done to every frame.
Out:  renditions with even sizes that never enlarge the picture, at least one; a Decision for each rung of the ladder.
Wrong: UsageError if the ladder has no rungs.
"""

from __future__ import annotations

import math
from fractions import Fraction

from vidpipe.encoders import encoder_of
from vidpipe.errors import UsageError
from vidpipe.ladder import Ladder, Rung
from vidpipe.plan.model import Decision, Picture, VideoEncode, VideoRendition
from vidpipe.source.asset import StreamRef
from vidpipe.source.facts import Source

NEARLY = Fraction(11, 10)
"""A rung up to this much larger than the source is kept at the source's own size: 1918x1078 is still a 1080p source."""


def choose(source: Source, ladder: Ladder, rate: Fraction, picture: Picture) -> tuple[list[VideoRendition], list[Decision]]:
    """Keep the rungs that do not enlarge the picture; keep one at the source's own size if all would."""
    size = source.video.display_size
    seen = f"{text(size[0])}x{text(size[1])}"
    stream = StreamRef(stream=source.video.index)
    kept: list[VideoRendition] = []
    decisions: list[Decision] = []
    for rung in ladder.rungs:
        box = (Fraction(16, 9) * rung.height, Fraction(rung.height))
        factor = _factor(size, box)
        if factor > NEARLY:
            decisions.append(Decision(rung=rung.name, kept=False, reason=f"would upscale the source, which is {seen}"))
            continue
        rendition = _rendition(rung, fit(size, box), rate, stream, picture)
        kept.append(rendition)
        reason = f"{rendition.width}x{rendition.height}" + (" (the size of the source)" if factor >= 1 else f" from {seen}")
        decisions.append(Decision(rung=rung.name, kept=True, reason=reason + _slower(rendition, rate)))
    if kept:
        return kept, decisions
    if not ladder.rungs:
        raise UsageError("the ladder has no rungs", where=ladder.name, fix="add at least one rung")
    lowest = min(range(len(ladder.rungs)), key=lambda i: _unfitness(ladder.rungs[i]))
    rendition = _rendition(ladder.rungs[lowest], fit(size, (max(size), min(size))), rate, stream, picture)
    reason = f"{rendition.width}x{rendition.height}: every rung is larger than the source ({seen}), the lowest is encoded at that size"
    decisions[lowest] = Decision(rung=rendition.id, kept=True, reason=reason + _slower(rendition, rate))
    return [rendition], decisions


def _unfitness(rung: Rung) -> tuple[bool, int, int]:
    """Order rungs by how well each can be the only one: it has to play everywhere, and on a slow connection."""
    return not encoder_of(rung.codec).plays_everywhere, rung.height, rung.bitrate


def _rendition(rung: Rung, size: tuple[int, int], rate: Fraction, stream: StreamRef, picture: Picture) -> VideoRendition:
    return VideoRendition(
        id=rung.name,
        stream=stream,
        make=VideoEncode(
            codec=rung.codec,
            bitrate=rung.bitrate,
            max_bitrate=rung.max_bitrate,
            buffer=rung.buffer,
            crf=rung.crf,
            preset=rung.preset,
            profile=rung.profile,
        ),
        picture=picture,
        width=size[0],
        height=size[1],
        frame_step=slowdown(rate, rung.max_frame_rate) if rung.max_frame_rate else 1,
    )


def slowdown(rate: Fraction, limit: Fraction) -> int:
    """Return which n-th frame is kept so that ``limit`` holds, to within a hundredth: a camera's 30.02 fps is 30."""
    return max(1, math.ceil(rate / limit - Fraction(1, 100)))


def _slower(rendition: VideoRendition, rate: Fraction) -> str:
    return f", {text(rate / rendition.frame_step)} fps of {text(rate)}" if rendition.frame_step > 1 else ""


def fit(size: tuple[Fraction, Fraction], box: tuple[Fraction | int, Fraction | int]) -> tuple[int, int]:
    """Return the even width and height of a picture of ``size`` scaled down into ``box``; the box turns with portrait pictures.

    The aspect is kept to within the rounding to even numbers (4:2:0 chroma needs them). A smaller picture is never enlarged.
    """
    factor = min(_factor(size, box), Fraction(1))
    width, height = (_even(side * factor, limit=side) for side in size)
    return width, height


def _factor(size: tuple[Fraction, Fraction], box: tuple[Fraction | int, Fraction | int]) -> Fraction:
    width, height = size if size[0] >= size[1] else (size[1], size[0])
    return min(box[0] / width, box[1] / height)


def _even(side: Fraction, limit: Fraction) -> int:
    nearest = math.floor(side / 2 + Fraction(1, 2)) * 2
    return max(2, min(nearest, math.floor(limit / 2) * 2))


def text(number: Fraction) -> str:
    """Write a number of frames or pixels as people do: 29.97, 30."""
    return f"{float(number):.3f}".rstrip("0").rstrip(".")
