"""Read a bitrate ladder: strict YAML -> Ladder of Rungs. Knows nothing of ffmpeg.

In:   a name of a shipped ladder ("streaming") or the path of a YAML file.
Out:  a Ladder.
Wrong: UsageError that names file, line and key: unknown key, duplicate rung, a bad number, an unknown codec.
"""

from __future__ import annotations

from typing import Literal

from vidpipe.data import Data, Rational


class Rung(Data):
    """One wish of a ladder. height: lines of the short side's target for landscape.  bitrate, max_bitrate: bits/s.  buffer: bits.

    crf: constant quality capped by max_bitrate.  max_frame_rate: frames a second that are not exceeded.
    """

    name: str
    height: int
    codec: Literal["h264", "hevc", "av1"]
    bitrate: int
    max_bitrate: int
    buffer: int
    crf: float | None = None
    preset: str
    profile: str | None = None
    max_frame_rate: Rational | None = None


class AudioRung(Data):
    """An audio wish. bitrate: bits/s.  channels: 2 or 6."""

    codec: Literal["aac"] = "aac"
    bitrate: int = 128_000
    channels: int = 2
    sample_rate: int = 48_000


class Ladder(Data):
    """A named set of rungs, ascending, and the audio that goes with them."""

    name: str
    description: str
    rungs: tuple[Rung, ...]
    audio: tuple[AudioRung, ...] = (AudioRung(),)
