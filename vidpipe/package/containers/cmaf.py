"""Write the segments and the init section of one audio or video track as CMAF (ISO/IEC 23000-19): fragmented MP4.

In:   the InitSection of the track, or the init section as it was published; Cuts; what a protection scheme did to the samples.
Out:  the init section; Segments of styp, one moof and one mdat. Of a track that is published, Cuts again.
Wrong: ValueError for a cut whose start is no whole tick, a bug of the caller; BoxError for published bytes that are no such track.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

from vidpipe.mp4.boxes import BoxError, find, parse_movie, read_fragments
from vidpipe.mp4.decryption import clear_init, redeclared
from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption, encrypted_moov
from vidpipe.mp4.fragment import AAC_ROLL, STYP, write_fragment
from vidpipe.package.cut import Cut
from vidpipe.package.init import InitSection
from vidpipe.package.result import IFrame, Segment, TrackFacts


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
        return _written(cut, encrypted, self.init.facts, self.init.track_id)


class PublishedCmaf:
    """The container of a track that is published: its clear segments are taken apart, and written again as they were."""

    def __init__(self, init: bytes, facts: TrackFacts) -> None:
        self._init, _ = clear_init(init)
        self._movie, self.facts = parse_movie(self._init), facts
        if len(self._movie.tracks) != 1:
            raise BoxError(f"there are {len(self._movie.tracks)} tracks; one was expected")

    @property
    def entry(self) -> bytes:
        """The sample entry, clear."""
        return self._movie.tracks[0].entry

    def header(self, encryption: TrackEncryption | None = None) -> bytes:
        """Return the init section as it was, but for what it says of the encryption."""
        return redeclared(self._init, encryption)

    def cut(self, segment: Segment) -> Cut:
        """Return what a clear segment was written of."""
        fragments = tuple(read_fragments(io.BytesIO(segment.data), self._movie))
        if len(fragments) != 1 or len(fragments[0].samples) != segment.samples:
            raise BoxError(f"it has not one fragment of {segment.samples} frames")
        samples = fragments[0].samples
        return Cut(
            track=segment.rendition,
            index=segment.index,
            start=segment.start,
            duration=segment.duration,
            samples=samples,
            data=b"".join(segment.data[sample.offset : sample.offset + sample.size] for sample in samples),
        )

    def write(self, cut: Cut, encrypted: EncryptedSamples | None = None) -> Segment:
        """Return the segment of a cut."""
        return _written(cut, encrypted, self.facts, self._movie.tracks[0].id)


def _written(cut: Cut, encrypted: EncryptedSamples | None, facts: TrackFacts, track: int) -> Segment:
    decode_time = cut.start * facts.timescale
    if decode_time.denominator != 1:
        raise ValueError(f"{cut.track}, segment {cut.index + 1} begins between two ticks")
    media = cut.data if encrypted is None else encrypted.data
    data = write_fragment(
        cut.index + 1,
        track,
        decode_time.numerator,
        cut.samples,
        media,
        roll=AAC_ROLL if facts.type == "audio" else None,
        encryption=None if encrypted is None else encrypted.samples,
        override=None if encrypted is None else encrypted.override,
    )
    begin, end = len(STYP), len(data) - len(media) + cut.samples[0].size
    return Segment(
        rendition=cut.track,
        index=cut.index,
        start=cut.start,
        duration=cut.duration,
        samples=cut.count,
        data=data,
        i_frame=IFrame(offset=begin, size=end - begin) if facts.type == "video" else None,
    )
