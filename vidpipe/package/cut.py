"""What packaging cuts out of a track: the samples of one segment, before any container or protection has had its say.

In:   nothing; the cutters of this package make it (``cutting``, ``subtitles``).
Out:  Cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from vidpipe.mp4.boxes import Sample


@dataclass(frozen=True, slots=True)
class Cue:
    """A subtitle. start, end: seconds on the title's time line, whole milliseconds.  text: WebVTT cue text, one line or more."""

    start: Fraction
    end: Fraction
    text: str


@dataclass(frozen=True, slots=True)
class Cut:
    """One segment of a track, not written yet. track: id of the rendition.  index: 0-based position of the segment.

    start, duration: seconds, exact; of audio and video as their decode times say, of text as the grid does.
    samples: frames in decoding order; their offsets are those of the artifact.  data: the bytes of all of them, one after the other.
    cues: of a text track, which has no samples and no data.
    """

    track: str
    index: int
    start: Fraction
    duration: Fraction
    samples: tuple[Sample, ...] = field(default=(), repr=False)
    data: bytes = field(default=b"", repr=False)
    cues: tuple[Cue, ...] = ()

    @property
    def count(self) -> int:
        """Frames, or cues."""
        return len(self.samples) or len(self.cues)
