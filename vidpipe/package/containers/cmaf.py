"""Write the segments and the init section of one audio or video track as CMAF (ISO/IEC 23000-19): fragmented MP4.

In:   the InitSection of the track, Cuts; what a protection scheme did to the samples.
Out:  the init section; Segments of styp, one moof and one mdat.
Wrong: ValueError for a cut whose start is no whole tick, a bug of the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidpipe.mp4.boxes import find
from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption, encrypted_moov
from vidpipe.mp4.fragment import AAC_ROLL, write_fragment
from vidpipe.package.cut import Cut
from vidpipe.package.init import InitSection
from vidpipe.package.result import Segment, TrackFacts


@dataclass(frozen=True, slots=True)
class Cmaf:
    """The container of one track."""

    init: InitSection

    @property
    def entry(self) -> bytes:
        """The sample entry, as the encoder wrote it."""
        moov = self.init.moov
        stsd = find(moov, "moov", "trak", "mdia", "minf", "stbl", "stsd")
        return moov[stsd.body + 8 : stsd.end] if stsd else b""

    @property
    def facts(self) -> TrackFacts:
        """What was measured of the track."""
        return self.init.facts

    def header(self, encryption: TrackEncryption | None = None) -> bytes:
        """Return ftyp and moov."""
        if encryption is None:
            return self.init.data
        ftyp, moov = self.init.boxes
        return ftyp + encrypted_moov(moov, encryption)

    def write(self, cut: Cut, encrypted: EncryptedSamples | None = None) -> Segment:
        """Return the segment of a cut."""
        decode_time = cut.start * self.init.facts.timescale
        if decode_time.denominator != 1:
            raise ValueError(f"{cut.track}, segment {cut.index + 1} begins between two ticks")
        return Segment(
            rendition=cut.track,
            index=cut.index,
            start=cut.start,
            duration=cut.duration,
            samples=cut.count,
            data=write_fragment(
                cut.index + 1,
                self.init.track_id,
                decode_time.numerator,
                cut.samples,
                cut.data if encrypted is None else encrypted.data,
                roll=AAC_ROLL if self.init.facts.type == "audio" else None,
                encryption=None if encrypted is None else encrypted.samples,
                override=None if encrypted is None else encrypted.override,
            ),
        )
