"""What packaging knows of an encode when everything is cut: read once, and needed again when the title is put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from vidpipe.package.cut import Cue
from vidpipe.package.init import InitSection
from vidpipe.package.rates import FrameSizes


@dataclass
class Packaged:
    """All by the id of a rendition. inits: of video and audio.  frames: in an audio track.  sizes: of all frames.

    cues: of a subtitle track.  unusable: why a subtitle track is left out.
    """

    inits: dict[str, InitSection] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    sizes: FrameSizes = field(default_factory=FrameSizes)
    cues: dict[str, tuple[Cue, ...]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
