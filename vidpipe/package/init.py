"""Read the init section of an encoded track, clean it for publishing, and measure what it says.

In:   an artifact: a fragmented MP4 of one track, its first frame shown at 0 and later ones perhaps before their decode time; and what
      only the whole title knows: the delay that its rungs have in common, the track's language and measured bit rates.
Out:  InitSection: ftyp + moov as published, and TrackFacts from its boxes and its first fragment.
       The edit list delays decoding of video by the depth of its reordering, so that composition offsets need not be negative:
       libavformat shows a fragmented track with negative offsets that much too late against its audio.
Wrong: EncodeFailed if the file is no such thing, or says what the published title must not say.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from vidpipe.errors import EncodeFailed
from vidpipe.language_tags import iso_639_2
from vidpipe.mp4 import codecs
from vidpipe.mp4.boxes import BoxError, Movie, Track, children, fragments, read_movie
from vidpipe.mp4.brands import audio_brands, video_brands
from vidpipe.mp4.writing import box, edited, full_box
from vidpipe.package.rates import StreamRates
from vidpipe.package.result import TrackFacts
from vidpipe.plan import Plan
from vidpipe.work.artifacts import Artifact

_BRANDS = ("iso6", "cmfc", "mp41")
"""iso6 for tfdt and default-base-is-moof, cmfc for CMAF (HLS-FMP4-001); the media profiles of the track follow."""

_MOOV = ("mvhd", "trak", "mvex")  # everything else (udta with the name of the muxer) says nothing to a player
_TRAK = ("tkhd", "mdia")

@dataclass(frozen=True, slots=True)
class InitSection:
    """An init section as it will be published.

    moov: as the encoder wrote it, without what says nothing to a player; the same in every chunk of a rung.
    entry: type of its sample entry.  brands: media profiles.  reorder: frames that its own decoder delays.
    track_id: in its boxes.  delay: ticks that the edit list skips: of video the delay of decoding, of audio the priming.
    language: BCP 47.  rates: as measured; None leaves what the encoder was asked for.
    """

    facts: TrackFacts
    moov: bytes = field(repr=False)
    entry: str
    brands: tuple[str, ...]
    reorder: int
    delay: int
    track_id: int = 1
    language: str | None = None
    rates: StreamRates | None = None

    @property
    def data(self) -> bytes:
        """The bytes: ftyp and moov."""
        return b"".join(self.boxes)

    @property
    def boxes(self) -> tuple[bytes, bytes]:
        """Ftyp and moov."""
        brands = b"".join(brand.encode() for brand in (*_BRANDS, *self.brands))
        return box(b"ftyp", b"iso6", bytes(4), brands), _published(self)


def read_init(path: Path, rendition: str) -> InitSection:
    """Return the init section of an artifact, with the delay that it needs by itself. rendition: becomes ``facts.id``."""
    movie, track = read_track(path, rendition)
    try:
        first = next(fragments(path, movie), None)
        if first is None or not first.samples or not first.samples[0].duration:
            raise BoxError("it holds no frame")
        ticks = first.samples[0].duration
        facts = measure_track(track, rendition, ticks)
        if facts.type == "audio":
            reorder, delay = 0, sum(edit.media_time for edit in track.edits)
            brands = audio_brands(codecs.audio(track.entry))
        else:
            picture = codecs.video(track.entry)
            reorder, delay = picture.reorder, picture.reorder * ticks
            brands = video_brands(picture, Fraction(track.timescale, ticks))
        return InitSection(
            facts=facts,
            moov=_cleaned(movie.init),
            entry=track.entry[4:8].decode(),
            brands=brands,
            reorder=reorder,
            delay=delay,
            track_id=track.id,
        )
    except (BoxError, OSError) as error:
        raise broken(rendition, str(error)) from error


def aligned(inits: Mapping[str, InitSection], duration: Fraction) -> dict[str, InitSection]:
    """Return the init sections of a title's rungs with one delay for all, so that players may switch between them. duration: of the title.

    It is the longest that any rung needs. AV1 has none: its frames are stored in the order in which they are shown, and
    composition offsets are forbidden (AV1-ISOBMFF 2.5). A title of a few frames cannot reorder more of them than it has.
    """
    longest = Fraction(0)
    for init in inits.values():
        rate = init.facts.frame_rate or Fraction(1)
        longest = max(longest, min(init.reorder, math.ceil(duration * rate) - 1) / rate)
    return {
        name: init if init.entry == "av01" else replace(init, delay=math.ceil(longest * init.facts.timescale))
        for name, init in inits.items()
    }


def rungs_of(made: Plan, artifacts: Mapping[str, Artifact]) -> dict[str, InitSection]:
    """Return the init section of every rung, with the delay that they have in common. artifacts: of any chunk, by rendition."""
    return aligned({r.id: read_init(artifacts[r.id].path, r.id) for r in made.video}, made.grid.duration)


def respoken(data: bytes, language: str | None) -> bytes:
    """Return an init section as published in which another language stands; nothing else of it changes."""
    ftyp, moov = (data[child.offset : child.end] for child in children(data))
    return ftyp + _spoken_moov(edited(moov, ("trak", "mdia", "elng"), lambda _: b""), language or "")


def measure_track(track: Track, rendition: str, frame_ticks: int) -> TrackFacts:
    """Return the facts of a track. frame_ticks: duration of its first sample. Raises EncodeFailed if players would not take it."""
    if track.handler == "soun":
        coded = codecs.audio(track.entry)
        return TrackFacts(
            id=rendition,
            type="audio",
            codecs=coded.codecs,
            timescale=track.timescale,
            channels=coded.channels,
            layout=coded.layout,
            sample_rate=coded.sample_rate,
        )
    picture = codecs.video(track.entry)
    if (picture.width, picture.height) != (track.width, track.height):
        raise broken(rendition, f"it is shown at {track.width}x{track.height} but stored at {picture.width}x{picture.height}")
    return TrackFacts(
        id=rendition,
        type="video",
        codecs=picture.codecs,
        timescale=track.timescale,
        width=picture.width,
        height=picture.height,
        frame_rate=Fraction(track.timescale, frame_ticks),
        video_range=picture.video_range,
        colour=picture.colour,
    )


def read_track(path: Path, rendition: str) -> tuple[Movie, Track]:
    """Return the movie of an artifact and its only track."""
    try:
        movie = read_movie(path)
    except (BoxError, OSError) as error:
        raise broken(rendition, str(error)) from error
    if len(movie.tracks) != 1 or movie.tracks[0].handler not in ("vide", "soun"):
        raise broken(rendition, f"it has {len(movie.tracks)} tracks; one of video or audio was expected")
    return movie, movie.tracks[0]


def broken(rendition: str, what: str) -> EncodeFailed:
    """The error for an artifact that is not what was planned."""
    return EncodeFailed(
        f"the encoded track is not what was planned: {what}",
        where=rendition,
        fix="run `vidpipe work clean`, then the same command again; if it fails again, report it",
    )


def _cleaned(init: bytes) -> bytes:
    """Return moov with only the boxes that a player needs; its edit list is written anew."""
    moov = next((child for child in children(init) if child.type == "moov"), None)
    if moov is None:
        raise BoxError("there is no moov")
    kept = []
    for child in children(init, moov.body, moov.end):
        if child.type == "trak":
            parts = {part.type: init[part.offset : part.end] for part in children(init, child.body, child.end)}
            kept.append(box(b"trak", *(parts[kind] for kind in _TRAK if kind in parts)))
        elif child.type in _MOOV:
            kept.append(init[child.offset : child.end])
    return box(b"moov", *kept)


def _published(init: InitSection) -> bytes:
    """Return moov with the edit list, the language and the bit rates."""
    moov = _spoken_moov(init.moov, init.language or "")
    if (rates := init.rates) is not None:
        entry = ("trak", "mdia", "minf", "stbl", "stsd", init.entry)
        declared = struct.pack(">III", rates.buffer, rates.peak, rates.average)
        moov = edited(moov, (*entry, "btrt"), lambda _: box(b"btrt", declared))
        if init.entry == "mp4a":
            moov = edited(moov, (*entry, "esds"), lambda old: _rated(old, declared[1:]))  # its buffer has three bytes
    if init.delay:
        # One edit of unknown length (0), as fragmented files have it: 14496-12 8.6.6.
        elst = full_box(b"elst", 0, 0, struct.pack(">IIiHH", 1, 0, init.delay, 1, 0))
        moov = edited(moov, ("trak", "edts"), lambda _: box(b"edts", elst), before="mdia")
    return moov


def _spoken_moov(moov: bytes, language: str) -> bytes:
    moov = edited(moov, ("trak", "mdia", "mdhd"), lambda old: _spoken(old, iso_639_2(language)))
    if "-" in language:  # mdhd has no room for a script or a region
        moov = edited(moov, ("trak", "mdia", "elng"), lambda _: full_box(b"elng", 0, 0, language.encode() + b"\0"))
    return moov


def _spoken(mdhd: bytes, language: str) -> bytes:
    """Return the media header with a language: three letters of five bits each."""
    at = 8 + (32 if mdhd[8] else 20)  # behind the times, which are longer in version 1
    packed = sum((ord(letter) - 0x60) << shift for letter, shift in zip(language, (10, 5, 0), strict=True))
    return mdhd[:at] + packed.to_bytes(2, "big") + mdhd[at + 2 :]


def _rated(esds: bytes, declared: bytes) -> bytes:
    """Return esds with buffer size, peak and average as they stand in its decoder configuration, behind type and stream type."""
    at = 12 + codecs.descriptor(esds[12:], codecs.DECODER_CONFIG)[0] + 2
    return esds[:at] + declared + esds[at + len(declared) :]
