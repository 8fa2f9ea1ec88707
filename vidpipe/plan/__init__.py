"""Source + Ladder -> Plan: model.py says what a plan is, decide.py makes one, of the rungs and tracks that are chosen beside it."""

from vidpipe.plan.decide import plan
from vidpipe.plan.model import AudioRendition, Chunk, Grid, LeftOut, Picture, Plan, SubtitleRendition, ThumbnailPlan, VideoRendition
from vidpipe.plan.rungs import fit

__all__ = [
    "AudioRendition",
    "Chunk",
    "Grid",
    "LeftOut",
    "Picture",
    "Plan",
    "SubtitleRendition",
    "ThumbnailPlan",
    "VideoRendition",
    "fit",
    "plan",
]
