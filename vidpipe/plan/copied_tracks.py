"""Take a track as it is encoded already: a rendition that is planned + its stream -> the same rendition, copied.

In:   a Plan, and one of its audio renditions.
Out:  the AudioRendition with ``make`` = AudioCopy, and the channels and the sample rate of its stream.
Wrong: UsageError with every reason why the stream cannot be copied.

A copy is cut at the frames that are there: nothing can be filled with silence, and little be cut off. So the frames have to follow each
other from the beginning of the picture to its end. (Video is always encoded: a copy would need a closed GOP with an IDR picture
wherever the grid has a segment, which the packet scan does not look for.)
"""

from __future__ import annotations

from fractions import Fraction

from vidpipe.errors import UsageError
from vidpipe.plan.model import AudioCopy, AudioRendition, Plan

LATEST = Fraction(1, 500)
"""Seconds after the picture at which the first frame may begin: times that are rounded to milliseconds."""

MISSING = Fraction(1, 20)
"""Seconds that may be missing at the end, or somewhere between: two frames of AAC."""


def copied(plan: Plan, rendition: AudioRendition) -> AudioRendition:
    """Return an audio rendition that is copied instead of encoded. Raises UsageError if its stream cannot be."""
    source, stream = plan.asset.source(rendition.stream), plan.asset.audio(rendition.stream)
    end = source.zero + plan.grid.duration
    coded = (stream.codec, stream.profile)
    reasons = {
        f"it is {' '.join(filter(None, coded))}, not AAC-LC": coded != ("aac", "LC"),
        "its channel layout or sample rate changes": bool(stream.changes),
        "its timestamps jump or have gaps": bool(stream.steps or stream.shifts) or abs(stream.duration - stream.packets_duration) > MISSING,
        f"it begins {float(stream.offset):.3f} s after the video": stream.offset > LATEST,
        f"it begins {-float(stream.offset):.3f} s before the video": stream.cut > 0,
        f"it ends {float(end - stream.start - stream.duration):.3f} s before the video": stream.start + stream.duration < end - MISSING,
    }
    if any(reasons.values()):
        raise UsageError(
            f"audio stream {rendition.stream} cannot be copied: {', '.join(reason for reason, applies in reasons.items() if applies)}",
            where=source.name,
            fix="encode it",
        )
    copy = {"make": AudioCopy(), "channels": stream.channels, "sample_rate": stream.sample_rate}
    return rendition.model_copy(update=copy)
