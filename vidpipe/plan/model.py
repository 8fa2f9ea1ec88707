"""What a plan is made of: the grid, the chunks, the renditions, and why. Frozen; nothing is decided here."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from vidpipe.data import Data, Rational
from vidpipe.encoders import Codec
from vidpipe.source.facts import AudioRole, Source

ToneMap = Literal["none", "pq", "hlg"]


class Grid(Data):
    """The common time grid. frame_rate: of the timeline; all counts are in frames of the timeline.

    borrowed: frames that the last segment takes from the one before it so that it is not too short; all of them joins the two.
    """

    frame_rate: Rational
    frames: int
    gop_frames: int
    segment_frames: int
    chunk_frames: int
    borrowed: int = 0

    @property
    def duration(self) -> Fraction:
        """Seconds of the whole timeline."""
        return self.frames / self.frame_rate

    @property
    def segments(self) -> int:
        """Number of segments."""
        return -(-self._last_start // self.segment_frames) + 1

    @property
    def _last_start(self) -> int:
        return (self.frames - 1) // self.segment_frames * self.segment_frames - self.borrowed

    def start(self, segment: int) -> int:
        """First frame of a segment, counted from 0; of the segment after the last, the end."""
        return min(segment * self.segment_frames, self._last_start) if segment < self.segments else self.frames

    def segment_of(self, frame: int) -> int:
        """The segment that holds a frame of the timeline; frames after the end count for the last."""
        return self.segments - 1 if frame >= self._last_start else frame // self.segment_frames

    def segments_of(self, chunk: Chunk) -> range:
        """The segments of a chunk."""
        return range(self.segment_of(chunk.start), self.segment_of(chunk.start + chunk.frames - 1) + 1)

    @property
    def segment_duration(self) -> Fraction:
        """Seconds of every segment but the last."""
        return self.segment_frames / self.frame_rate

    @property
    def longest_segment(self) -> Fraction:
        """Seconds of the longest segment."""
        return max(self.time(self.start(1)), self.duration - self.time(self._last_start))

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
    codec: Codec
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

    name: unique within the title, for people; playlists call all renditions of a stream by the first one's.
    default: played unless the viewer chooses; one at most, and its stream is the default in every layout.
    """

    id: str
    stream: int
    codec: Literal["aac"] = "aac"
    bitrate: int
    channels: int
    sample_rate: int
    language: str | None = None
    name: str
    role: AudioRole = "main"
    default: bool


class SubtitleRendition(Data):
    """One subtitle track as it will be made: WebVTT. stream: index in the source.

    name: unique among the subtitles, for people.  default: shown unless the viewer chooses; at most one is.
    forced: only what every viewer needs translated.  hearing_impaired: includes non-speech sound (SDH).
    codec: of the source's track; it decides what has to be taken out of the text.  channel: CC1 to CC4 of closed captions.
    """

    id: str
    stream: int
    language: str | None = None
    name: str
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    codec: str
    channel: str | None = None


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


class LeftOut(Data):
    """A track of the source that viewers will not get. stream: its index.  codec: None if it is not known.  reason: a sentence's end.

    channel: of closed captions, which lie in the stream.
    """

    stream: int
    kind: Literal["audio", "subtitles", "video"]
    channel: str | None = None
    language: str | None = None
    codec: str | None = None
    reason: str

    def __str__(self) -> str:
        described = ", ".join(filter(None, (self.channel, self.language, self.codec)))
        return f"{self.kind} stream {self.stream}" + (f" ({described})" if described else "") + f": {self.reason}"


class Plan(Data):
    """Everything that will be made, decided.

    languages: stream -> BCP 47 tag, of tracks whose language a person gave.
    left_out: tracks of the source that will not be made.  warnings: what makes the title less than its viewers may expect.
    notes: what else is good to know (deinterlacing, tone mapping, one chunk …).
    """

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
    languages: dict[int, str] = {}
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def renditions(self) -> tuple[VideoRendition | AudioRendition, ...]:
        """Everything that is encoded: video, then audio."""
        return (*self.video, *self.audio)
