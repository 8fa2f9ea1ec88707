"""Write the segments of one subtitle track as WebVTT (RFC 8216 section 3.5).

In:   Cuts with cues.
Out:  Segments: a header, and the cues that are shown in it with their full times. One without a cue is a header.
Wrong: ValueError for samples that a scheme has encrypted: text has none, and is protected whole or not at all.

X-TIMESTAMP-MAP ties cue time 0 to time stamp 0, where the picture and the audio of the title begin. A blank line ends every cue, also the
last one: GStreamer parses the segments of a track as one text, in which a cue that only the end of a file ends takes the next header for
its own words, and is lost.
"""

from __future__ import annotations

from fractions import Fraction

from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption
from vidpipe.package.cut import Cue, Cut
from vidpipe.package.result import Segment, TrackFacts

HEADER = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"


class WebVtt:
    """The container of one subtitle track."""

    entry: bytes | None = None
    facts: TrackFacts | None = None

    def header(self, encryption: TrackEncryption | None = None) -> None:
        """Return None: WebVTT has no init section."""

    def write(self, cut: Cut, encrypted: EncryptedSamples | None = None) -> Segment:
        """Return the segment of a cut."""
        if encrypted is not None:
            raise ValueError(f"{cut.track}: WebVTT has no samples to encrypt")
        data = (HEADER + "".join(written(cue) for cue in cut.cues)).encode()
        return Segment(rendition=cut.track, index=cut.index, start=cut.start, duration=cut.duration, samples=cut.count, data=data)


def written(cue: Cue) -> str:
    """Return a cue as it stands in a segment."""
    return f"{_clock(cue.start)} --> {_clock(cue.end)}\n{cue.text}\n\n"


def _clock(seconds: Fraction) -> str:
    rest, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}.{milliseconds:03}"
