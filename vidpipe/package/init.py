"""Read the init section of an encoded track, clean it for publishing, and measure what it says.

In:   an artifact: a fragmented MP4 of one track, its first frame shown at 0 and later ones perhaps before their decode time.
Out:  InitSection: ftyp + moov as published, and TrackFacts from its boxes and its first fragment.
       The edit list delays decoding of video by the depth of its reordering, so that composition offsets need not be negative:
       libavformat shows a fragmented track with negative offsets that much too late against its audio.
Wrong: EncodeFailed if the file is no such thing, or says what the published title must not say.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from vidpipe.errors import EncodeFailed
from vidpipe.media.boxes import BoxError, Movie, Track, children, fragments, read_movie
from vidpipe.package import codecs
from vidpipe.package.fragment import box, full_box
from vidpipe.package.result import TrackFacts

FTYP = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", b"iso6", 0, b"iso6", b"cmfc", b"mp41")
"""Brands: iso6 for tfdt and default-base-is-moof, cmfc for CMAF (HLS-FMP4-001)."""

_MOOV = ("mvhd", "trak", "mvex")  # everything else (udta with the name of the muxer) says nothing to a player
_TRAK = ("tkhd", "edts", "mdia")


@dataclass(frozen=True, slots=True)
class InitSection:
    """A published init section. data: ftyp and moov."""

    data: bytes = field(repr=False)
    facts: TrackFacts


def read_init(path: Path, rendition: str) -> InitSection:
    """Return the init section of an artifact. rendition: becomes ``facts.id``."""
    movie, track = read_track(path, rendition)
    try:
        first = next(fragments(path, movie), None)
        if first is None or not first.samples or not first.samples[0].duration:
            raise BoxError("it holds no frame")
        ticks = first.samples[0].duration
        facts = measure_track(track, rendition, ticks)
        delay = 0 if facts.type == "audio" else codecs.video(track.entry).reorder * ticks
        return InitSection(data=FTYP + _clean_moov(movie.init, delay), facts=facts)
    except (BoxError, OSError) as error:
        raise broken(rendition, str(error)) from error


def measure_track(track: Track, rendition: str, frame_ticks: int) -> TrackFacts:
    """Return the facts of a track. frame_ticks: duration of its first sample. Raises EncodeFailed if players would not take it."""
    if track.handler == "soun":
        sound = codecs.audio(track.entry)
        return TrackFacts(
            id=rendition,
            type="audio",
            codecs=sound.codecs,
            timescale=track.timescale,
            channels=sound.channels,
            sample_rate=sound.sample_rate,
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
        fix="run `vidpipe work clean` and the same command again, so that it is encoded anew; report it if it stays",
    )


def _clean_moov(init: bytes, delay: int) -> bytes:
    """Return moov with only the boxes that a player needs; sizes follow. delay: ticks that the edit list skips, 0 keeps what is there."""
    moov = next((child for child in children(init) if child.type == "moov"), None)
    if moov is None:
        raise BoxError("there is no moov")
    kept = []
    for child in children(init, moov.body, moov.end):
        if child.type == "trak":
            parts = {part.type: init[part.offset : part.end] for part in children(init, child.body, child.end) if part.type in _TRAK}
            if delay:
                # One edit of unknown length (0), as fragmented files have it: 14496-12 8.6.6.
                parts["edts"] = box(b"edts", full_box(b"elst", 0, 0, struct.pack(">IIiHH", 1, 0, delay, 1, 0)))
            kept.append(box(b"trak", *(parts[kind] for kind in _TRAK if kind in parts)))
        elif child.type in _MOOV:
            kept.append(init[child.offset : child.end])
    return box(b"moov", *kept)
