"""Asset + Ladder -> Plan: model.py says what a plan is, decide.py makes one, of the rungs and tracks that are chosen beside it."""

from vidpipe.plan.copied_tracks import copied
from vidpipe.plan.decide import plan
from vidpipe.plan.model import (
    AudioCopy,
    AudioEncode,
    AudioRendition,
    Chunk,
    Grid,
    LeftOut,
    Picture,
    Plan,
    SubtitleRendition,
    ThumbnailPlan,
    VideoEncode,
    VideoRendition,
)
from vidpipe.plan.rungs import fit

__all__ = [
    "AudioCopy",
    "AudioEncode",
    "AudioRendition",
    "Chunk",
    "Grid",
    "LeftOut",
    "Picture",
    "Plan",
    "SubtitleRendition",
    "ThumbnailPlan",
    "VideoEncode",
    "VideoRendition",
    "copied",
    "fit",
    "plan",
]
