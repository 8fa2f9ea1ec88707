"""Decide what will be encoded, before anything is: Source + Ladder -> Plan. Pure; touches no file and no process.

In:   a Source (measured facts) and a Ladder (wishes).
Out:  a Plan: one rational time grid for all rungs, the renditions with their exact sizes, the chunks, and for each
      rung of the ladder why it was kept or dropped.
Wrong: UsageError if the ladder cannot give a single rendition.

The grid: frame n of the timeline is shown at n / frame_rate. A GOP is a whole number of frames, a segment a whole number
of GOPs, a chunk a whole number of segments, so that every rung cuts at the same instants and nothing drifts.

Subtitles are shown unasked only if the source chose some: in MP4 and QuickTime the flag that says so means only that a track is enabled,
and in Matroska a track has it unless it is taken away, so there it counts only if another text track is without.
"""

from __future__ import annotations

import math
import unicodedata
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from vidpipe.data import Data, Rational
from vidpipe.errors import UsageError
from vidpipe.ladder import Ladder, Rung
from vidpipe.source.facts import AudioStream, Source, SubtitleStream

VideoCodec = Literal["h264", "hevc", "av1"]
ToneMap = Literal["none", "pq", "hlg"]


class Grid(Data):
    """The common time grid. frame_rate: of the timeline; all counts are in frames of the timeline."""

    frame_rate: Rational
    frames: int
    gop_frames: int
    segment_frames: int
    chunk_frames: int

    @property
    def duration(self) -> Fraction:
        """Seconds of the whole timeline."""
        return self.frames / self.frame_rate

    @property
    def segments(self) -> int:
        """Number of segments."""
        return -(-self.frames // self.segment_frames)

    @property
    def segment_duration(self) -> Fraction:
        """Seconds of a full segment."""
        return self.segment_frames / self.frame_rate

    def time(self, frame: int) -> Fraction:
        """Seconds at which a frame of the timeline is shown."""
        return frame / self.frame_rate


class Chunk(Data):
    """A run of whole segments that one ffmpeg process encodes: frames [start, start + frames) of the timeline."""

    index: int
    start: int
    frames: int


class VideoRendition(Data):
    """One rung as it will be encoded.

    width, height: pixels, even, square.  bitrate, max_bitrate: bits a second.  buffer: bits.
    crf: quality aimed at instead of bitrate, still capped by max_bitrate.
    frame_step: every frame_step-th frame of the timeline is kept (2 for a 30 fps rung of a 60 fps source).
    """

    id: str
    codec: VideoCodec
    width: int
    height: int
    bitrate: int
    max_bitrate: int
    buffer: int
    crf: float | None = None
    preset: str
    profile: str | None = None
    frame_step: int = 1

    def frames(self, timeline_frames: int) -> int:
        """Frames of this rendition within that many timeline frames that begin at a segment boundary."""
        return -(-timeline_frames // self.frame_step)


class AudioRendition(Data):
    """One audio track as it will be encoded. stream: index in the source.  bitrate: bits a second.

    name: unique within the title, for people.  default: played unless the viewer chooses.
    """

    id: str
    stream: int
    codec: Literal["aac"] = "aac"
    bitrate: int
    channels: int
    sample_rate: int
    language: str | None = None
    name: str
    default: bool


class SubtitleRendition(Data):
    """One subtitle track as it will be made: WebVTT. stream: index in the source.

    name: unique among the subtitles, for people.  default: shown unless the viewer chooses; at most one is.
    forced: only what every viewer needs translated.  hearing_impaired: also tells what is heard.
    codec: of the source's track; it decides what has to be taken out of the text.
    """

    id: str
    stream: int
    language: str | None = None
    name: str
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    codec: str


class Picture(Data):
    """What is done to every frame before it is scaled. mirrored: left and right are swapped, after the rotation."""

    deinterlace: bool = False
    rotation: Literal[0, 90, 180, 270] = 0
    mirrored: bool = False
    tone_map: ToneMap = "none"


class ThumbnailPlan(Data):
    """Sprites: one picture every interval frames of the timeline, width x height pixels, columns x rows on a sheet.

    posters: timeline frames that are candidates for the poster.
    """

    interval: int
    width: int
    height: int
    columns: int
    rows: int
    poster_width: int
    poster_height: int
    posters: tuple[int, ...]


class Decision(Data):
    """Why a rung of the ladder was kept or dropped."""

    rung: str
    kept: bool
    reason: str


class Plan(Data):
    """Everything that will be made, decided. notes: sentences for the person (deinterlacing, tone mapping, one chunk …)."""

    source: Source
    ladder: str
    grid: Grid
    picture: Picture
    video: tuple[VideoRendition, ...]
    audio: tuple[AudioRendition, ...]
    subtitles: tuple[SubtitleRendition, ...] = ()
    chunks: tuple[Chunk, ...]
    thumbnails: ThumbnailPlan
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()

    @property
    def renditions(self) -> tuple[VideoRendition | AudioRendition, ...]:
        """Everything that is encoded: video, then audio."""
        return (*self.video, *self.audio)


MAX_FRAME_RATE = 60
"""Frames a second that no rendition exceeds (HLS-SEG-008, Apple 1.14)."""

NEARLY = Fraction(11, 10)
"""A rung up to this much larger than the source is kept at the source's own size: 1918x1078 is still a 1080p source."""

SPRITE_BOX = (160, 90)
SPRITE_COLUMNS, SPRITE_ROWS = 10, 10
SPRITE_COUNT, SPRITE_SECONDS = 100, (1, 10)
"""About 100 sprites a title, but none closer than 1 s and none further apart than 10 s."""

POSTER_BOX = (1920, 1080)
POSTER_AT = (Fraction(1, 10), Fraction(3, 10), Fraction(1, 2))
"""Where poster candidates are taken, as shares of the duration; the one that shows most is used."""


def plan(source: Source, ladder: Ladder, *, gop_seconds: Fraction, segment_seconds: Fraction, chunk_seconds: Fraction) -> Plan:
    """Decide everything that will be made of ``source``. All times in seconds; they are wishes, rounded to whole frames.

    Raises UsageError if the ladder has no rungs to choose from.
    """
    slowdown = _slowdown(source.video.frame_rate, Fraction(MAX_FRAME_RATE))
    rate = source.video.frame_rate / slowdown
    video, decisions = _choose(source, ladder, rate)
    audio = _audio(source, ladder)
    subtitles = _subtitles(source, {rung.name for rung in ladder.rungs} | {rendition.id for rendition in audio})
    grid = _grid(source, rate, [rendition.frame_step for rendition in video], gop_seconds, segment_seconds, chunk_seconds)
    return Plan(
        source=source,
        ladder=ladder.name,
        grid=grid,
        picture=_picture(source),
        video=tuple(video),
        audio=tuple(audio),
        subtitles=tuple(subtitles),
        chunks=tuple(_chunks(grid, whole=not source.video.exact_seek)),
        thumbnails=_thumbnails(source, grid),
        decisions=tuple(decisions),
        notes=(*_notes(source, grid, slowdown), *(_subtitle_note(stream, subtitles) for stream in source.subtitles)),
    )


def fit(size: tuple[Fraction, Fraction], box: tuple[Fraction | int, Fraction | int]) -> tuple[int, int]:
    """Return the even width and height of a picture of ``size`` scaled down into ``box``; the box turns with portrait pictures.

    The aspect is kept to within the rounding to even numbers (4:2:0 chroma needs them). A smaller picture is never enlarged.
    """
    factor = min(_factor(size, box), Fraction(1))
    width, height = (_even(side * factor, limit=side) for side in size)
    return width, height


def _factor(size: tuple[Fraction, Fraction], box: tuple[Fraction | int, Fraction | int]) -> Fraction:
    width, height = size if size[0] >= size[1] else (size[1], size[0])
    return min(box[0] / width, box[1] / height)


def _even(side: Fraction, limit: Fraction) -> int:
    nearest = math.floor(side / 2 + Fraction(1, 2)) * 2
    return max(2, min(nearest, math.floor(limit / 2) * 2))


def _choose(source: Source, ladder: Ladder, rate: Fraction) -> tuple[list[VideoRendition], list[Decision]]:
    """Keep the rungs that do not enlarge the picture; keep one at the source's own size if all would."""
    size = source.video.display_size
    seen = f"{_text(size[0])}x{_text(size[1])}"
    kept: list[VideoRendition] = []
    decisions: list[Decision] = []
    for rung in ladder.rungs:
        box = (Fraction(16, 9) * rung.height, Fraction(rung.height))
        factor = _factor(size, box)
        if factor > NEARLY:
            decisions.append(Decision(rung=rung.name, kept=False, reason=f"would enlarge the picture: the source shows {seen}"))
            continue
        rendition = _rendition(rung, fit(size, box), rate)
        kept.append(rendition)
        reason = f"{rendition.width}x{rendition.height}" + (" (the source's own size)" if factor >= 1 else f" from {seen}")
        decisions.append(Decision(rung=rung.name, kept=True, reason=reason + _slower(rendition, rate)))
    if kept:
        return kept, decisions
    if not ladder.rungs:
        raise UsageError("the ladder has no rungs", where=ladder.name, fix="add at least one rung")
    lowest = min(range(len(ladder.rungs)), key=lambda i: (ladder.rungs[i].height, ladder.rungs[i].bitrate))
    rendition = _rendition(ladder.rungs[lowest], fit(size, (max(size), min(size))), rate)
    reason = f"{rendition.width}x{rendition.height}: every rung is larger than the source ({seen}), the lowest is encoded at its size"
    decisions[lowest] = Decision(rung=rendition.id, kept=True, reason=reason + _slower(rendition, rate))
    return [rendition], decisions


def _rendition(rung: Rung, size: tuple[int, int], rate: Fraction) -> VideoRendition:
    return VideoRendition(
        id=rung.name,
        codec=rung.codec,
        width=size[0],
        height=size[1],
        bitrate=rung.bitrate,
        max_bitrate=rung.max_bitrate,
        buffer=rung.buffer,
        crf=rung.crf,
        preset=rung.preset,
        profile=rung.profile,
        frame_step=_slowdown(rate, rung.max_frame_rate) if rung.max_frame_rate else 1,
    )


def _slowdown(rate: Fraction, limit: Fraction) -> int:
    """Return which n-th frame is kept so that ``limit`` holds, to within a hundredth: a camera's 30.02 fps is 30."""
    return max(1, math.ceil(rate / limit - Fraction(1, 100)))


def _slower(rendition: VideoRendition, rate: Fraction) -> str:
    return f", {_text(rate / rendition.frame_step)} fps of {_text(rate)}" if rendition.frame_step > 1 else ""


def _grid(source: Source, rate: Fraction, steps: list[int], gop: Fraction, segment: Fraction, chunk: Fraction) -> Grid:
    """Round the wished times to whole frames; a GOP is whole in the slower rungs too."""
    unit = math.lcm(*steps)
    gop_frames = max(1, round(gop * rate / unit)) * unit
    segment_frames = max(1, round(segment / gop)) * gop_frames
    chunk_frames = max(1, round(chunk * rate / segment_frames)) * segment_frames
    frames = max(1, math.floor(source.duration * rate + Fraction(1, 2)))
    return Grid(frame_rate=rate, frames=frames, gop_frames=gop_frames, segment_frames=segment_frames, chunk_frames=chunk_frames)


def _chunks(grid: Grid, *, whole: bool) -> list[Chunk]:
    """Share the segments evenly among chunks of about the wished length, so that parallel chunks end together."""
    segments = grid.segments
    count = 1 if whole else max(1, round(Fraction(grid.frames, grid.chunk_frames)))
    edges = [min(i * segments // count * grid.segment_frames, grid.frames) for i in range(count)] + [grid.frames]
    return [Chunk(index=i, start=start, frames=end - start) for i, (start, end) in enumerate(pairwise(edges))]


def _picture(source: Source) -> Picture:
    tone_map: dict[str, ToneMap] = {"HDR10": "pq", "HLG": "hlg"}
    video = source.video
    return Picture(
        deinterlace=video.interlaced,
        rotation=video.rotation,
        mirrored=video.mirrored,
        tone_map=tone_map.get(video.colour.dynamic_range, "none"),
    )


def _audio(source: Source, ladder: Ladder) -> list[AudioRendition]:
    """One rendition for each source track and audio rung; a surround rung only for tracks that have the channels."""
    heard = [stream for stream in source.audio if _is_heard(stream, source)]
    default = next((stream.index for stream in heard if stream.default), heard[0].index if heard else -1)
    renditions: list[AudioRendition] = []
    rungs = {rung.name for rung in ladder.rungs}  # ids of all renditions share the published tree
    for number, stream in enumerate(heard, 1):
        for place, rung in enumerate(ladder.audio):
            if rung.channels > 2 and stream.widest.channels < rung.channels:
                continue
            surround = f"-{rung.channels}ch" if rung.channels > 2 else ""
            base = (stream.language or ("und" if len(heard) == 1 else f"track{number}")) + surround
            name = _name(stream.title or stream.language or ("Main" if len(heard) == 1 else f"Track {number}"))
            taken_ids, taken_names = rungs | {r.id for r in renditions}, {r.name for r in renditions}
            renditions.append(
                AudioRendition(
                    id=_unique(base, taken_ids, "-"),
                    stream=stream.index,
                    codec=rung.codec,
                    bitrate=rung.bitrate,
                    channels=rung.channels,
                    sample_rate=rung.sample_rate,
                    language=stream.language,
                    name=_unique(name + (" 5.1" if rung.channels == 6 else ""), taken_names, " "),
                    default=stream.index == default and place == 0,
                )
            )
    return renditions


def _is_heard(stream: AudioStream, source: Source) -> bool:
    """Tell whether any of the sound falls into the time of the picture."""
    begin, end = source.video.start, source.video.start + source.duration
    return stream.packets > 0 and stream.start < end and stream.start + stream.duration > begin


def _subtitles(source: Source, taken: set[str]) -> list[SubtitleRendition]:
    """One rendition for each text track with something to show. taken: ids of all other renditions."""
    shown = [stream for stream in source.subtitles if _is_shown(stream, source)]
    default = next((stream.index for stream in shown if stream.default), None) if _chooses(source) else None
    renditions: list[SubtitleRendition] = []
    for number, stream in enumerate(shown, 1):
        kind = "forced" if stream.forced else "sdh" if stream.hearing_impaired else "sub"
        language = stream.language or ("und" if len(shown) == 1 else f"track{number}")
        name = _name(stream.title or stream.language or ("Subtitles" if len(shown) == 1 else f"Subtitles {number}"))
        told = {"forced": "forced", "sdh": "SDH"}.get(kind, "")
        if told.lower() not in name.lower():
            name = f"{name} ({told})"
        renditions.append(
            SubtitleRendition(
                id=_unique(f"{language}-{kind}", taken | {r.id for r in renditions}, "-"),
                stream=stream.index,
                language=stream.language,
                name=_unique(name, {r.name for r in renditions}, " "),
                default=stream.index == default,
                forced=stream.forced,
                hearing_impaired=stream.hearing_impaired,
                codec=stream.codec,
            )
        )
    return renditions


def _chooses(source: Source) -> bool:
    """Tell whether somebody chose subtitles that are shown unasked."""
    return source.demuxer != "mov" and not all(stream.default for stream in source.subtitles if stream.text)


def _is_shown(stream: SubtitleStream, source: Source) -> bool:
    """Tell whether it is text, and any of it falls into the time of the picture."""
    begin, end = source.video.start, source.video.start + source.duration
    return stream.text and stream.start is not None and stream.start < end and stream.start + (stream.duration or 0) >= begin


def _subtitle_note(stream: SubtitleStream, renditions: list[SubtitleRendition]) -> str:
    what = f"subtitle stream {stream.index} ({', '.join(filter(None, [stream.language, stream.codec]))})"
    name = next((rendition.name for rendition in renditions if rendition.stream == stream.index), None)
    if name is not None:
        return f"{what} becomes WebVTT {name!r}: its words are kept, its fonts and places are not"
    return f"{what} is not published: " + ("it shows nothing while the picture runs" if stream.text else "only text can be")


def _name(text: str) -> str:
    """A name as playlists can say it: composed (NFC), so that names which look the same are the same, and without quotation marks."""
    return unicodedata.normalize("NFC", text).replace('"', "'")


def _unique(name: str, taken: set[str], joint: str) -> str:
    return next(n for n in (name, *(f"{name}{joint}{i}" for i in range(2, len(taken) + 3))) if n not in taken)


def _thumbnails(source: Source, grid: Grid) -> ThumbnailPlan:
    seconds = min(max(grid.duration / SPRITE_COUNT, Fraction(SPRITE_SECONDS[0])), Fraction(SPRITE_SECONDS[1]))
    width, height = fit(source.video.display_size, SPRITE_BOX)
    poster_width, poster_height = fit(source.video.display_size, POSTER_BOX)
    return ThumbnailPlan(
        interval=max(1, round(seconds * grid.frame_rate)),
        width=width,
        height=height,
        columns=SPRITE_COLUMNS,
        rows=SPRITE_ROWS,
        poster_width=poster_width,
        poster_height=poster_height,
        posters=tuple(sorted({math.floor(share * grid.frames) for share in POSTER_AT})),
    )


def _notes(source: Source, grid: Grid, slowdown: int) -> list[str]:
    video = source.video
    notes = []
    if video.interlaced:
        told = "" if video.flagged_interlaced else " although the file does not say so"
        notes.append(f"interlaced source{told}: deinterlaced with bwdif")
        if video.measured_fields == "progressive":
            notes.append("its fields look like whole pictures where they were measured; deinterlacing softens them a little")
    if video.colour.dynamic_range != "SDR":
        notes.append(f"{video.colour.dynamic_range} source: tone-mapped to SDR (BT.709) for every rung")
    if video.variable_frame_rate:
        notes.append(f"variable frame rate: made constant at {_text(grid.frame_rate)} fps; audio keeps its time")
    if slowdown > 1:
        notes.append(f"{_text(video.frame_rate)} fps source: every {slowdown}. frame is used, HLS allows at most {MAX_FRAME_RATE} fps")
    if video.rotation:
        notes.append(f"rotated {video.rotation} degrees clockwise, as its metadata asks")
    if video.mirrored:
        notes.append("mirrored left to right, as its metadata asks")
    if video.sample_aspect != 1:
        notes.append(f"pixels of {video.sample_aspect.numerator}:{video.sample_aspect.denominator} made square")
    if not source.audio:
        notes.append("no audio: the title has none")
    for stream in source.audio:
        if not _is_heard(stream, source):
            notes.append(f"audio stream {stream.index} has no sound while the picture runs: left out")
        elif stream.widest.channels > 2:
            notes.append(f"audio stream {stream.index} ({stream.widest.layout}) is downmixed to stereo")
        if stream.changes:
            notes.append(f"audio stream {stream.index} changes on the way: all of it is first made {stream.widest}")
    if not video.exact_seek and grid.frames > grid.chunk_frames:
        notes.append(f"encoded as one chunk: {video.seek_problem or 'the source cannot be sought exactly'}")
    return notes


def _text(number: Fraction) -> str:
    return f"{float(number):.3f}".rstrip("0").rstrip(".")
