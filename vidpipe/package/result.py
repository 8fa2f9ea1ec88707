"""What packaging hands on: init sections and segments with the facts that were measured from their bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from vidpipe.data import Data, Rational


class TrackFacts(Data):
    """What an init section and its segments say of a track.

    codecs: RFC 6381 string.  width, height, frame_rate: video only.  channels, sample_rate: audio only.  video_range: SDR, PQ or HLG.
    colour: colour primaries, transfer characteristics and matrix coefficients of ITU-T H.273, of video.
    layout: ChannelConfiguration of ISO/IEC 23091-3, of audio. Versions that were made before 0.2.0 do not know these two.
    """

    id: str
    type: Literal["video", "audio"]
    codecs: str
    timescale: int
    width: int | None = None
    height: int | None = None
    frame_rate: Rational | None = None
    video_range: Literal["SDR", "PQ", "HLG"] | None = None
    colour: tuple[int, int, int] | None = None
    channels: int | None = None
    layout: int | None = None
    sample_rate: int | None = None


@dataclass(frozen=True, slots=True)
class IFrame:
    """The part of a segment that shows its first picture and no other: its moof, and its first sample. offset, size: bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Segment:
    """One media segment as its container wrote it. index: 0-based position.  samples: frames in it; of WebVTT, cues.

    start, duration: seconds, exact, from its own tfdt and trun; of WebVTT, from the grid.
    data: clear, but for samples that a protection scheme has encrypted before it was written.
    i_frame: of video.
    """

    rendition: str
    index: int
    start: Fraction
    duration: Fraction
    samples: int
    data: bytes = field(repr=False)
    i_frame: IFrame | None = None
