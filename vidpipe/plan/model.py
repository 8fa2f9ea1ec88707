"""What a plan is made of: the grid, the chunks, the renditions, and why. Frozen; nothing is decided here."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from vidpipe.data import Data, Rational
from vidpipe.encoders import EIGHT_BITS, Codec, encoder_of
from vidpipe.layout import HLS_ONLY, FormatName
from vidpipe.source.asset import Asset, StreamRef
from vidpipe.source.facts import AudioRole, DynamicRange, Source

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


class Picture(Data):
    """What is done to every frame before it is scaled."""

    deinterlace: bool = False
    rotation: Literal[0, 90, 180, 270] = Field(default=0, description="Degrees clockwise.")
    mirrored: bool = Field(default=False, description="Left and right are swapped, after the rotation.")
    tone_map: ToneMap = Field(default="none", description="The HDR transfer of the source that is brought down to SDR.")
    dynamic_range: DynamicRange = Field(default="SDR", description="What comes out; HDR only as it is in the source.")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> Self:
        if self.tone_map != "none" and self.dynamic_range != "SDR":
            raise ValueError("a picture that is tone-mapped is shown in SDR")
        return self


class VideoEncode(Data):
    """A rung is encoded. Rates are bits a second."""

    make: Literal["encode"] = "encode"
    codec: Codec
    bitrate: int
    max_bitrate: int
    buffer: int = Field(description="Bits.")
    crf: float | None = Field(default=None, description="Quality aimed at instead of bitrate, still capped by max_bitrate.")
    preset: str
    profile: str | None = None


class AudioEncode(Data):
    """A track is encoded."""

    make: Literal["encode"] = "encode"
    codec: Literal["aac"] = "aac"
    bitrate: int = Field(description="Bits per second.")


class AudioCopy(Data):
    """A track is encoded already: the frames of its stream are taken as they are (``plan/copied_tracks.py``)."""

    make: Literal["copy"] = "copy"
    codec: Literal["aac"] = "aac"


class PlannedRendition(Data):
    """What one track of the title is made of."""

    id: str
    stream: StreamRef

    @model_serializer(mode="wrap")
    def _flat(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write one level: "input" and "stream"; "make" says whether it is encoded or copied, and what that takes stands beside it."""
        written: dict[str, Any] = inner(self)
        stream, make = written.pop("stream", {}), written.pop("make", {})
        return {**written, **stream, **make}


class VideoRendition(PlannedRendition):
    """One rung as it will be made. width, height: pixels, even, square.

    frame_step: every frame_step-th frame of the timeline is kept (2 for a 30 fps rung of a 60 fps source).
    """

    make: VideoEncode
    picture: Picture
    width: int
    height: int
    frame_step: int = 1

    @model_validator(mode="after")
    def _enough_bits(self) -> Self:
        if self.picture.dynamic_range != "SDR" and encoder_of(self.make.codec).pixel_format(self.make.profile) == EIGHT_BITS:
            raise ValueError(f"{self.id}: HDR takes 10 bits; give the rung a profile that has them")
        return self

    def frames(self, timeline_frames: int) -> int:
        """Frames of this rendition within that many timeline frames that begin at a segment boundary."""
        return -(-timeline_frames // self.frame_step)


class AudioRendition(PlannedRendition):
    """One audio track as it will be made.

    name: unique within the title, for people; playlists call all renditions of a stream by the first one's.
    default: played unless the viewer chooses; one at most, and its stream is the default in every layout.
    """

    make: AudioEncode | AudioCopy
    channels: int
    sample_rate: int
    language: str | None = None
    name: str
    role: AudioRole = "main"
    default: bool


class SubtitleRendition(PlannedRendition):
    """One subtitle track as it will be made: WebVTT.

    name: unique among the subtitles, for people.  default: shown unless the viewer chooses; at most one is.
    forced: only what every viewer needs translated.  hearing_impaired: includes non-speech sound (SDH).
    codec: of the source's track; it decides what has to be taken out of the text.  channel: CC1 to CC4 of closed captions.
    """

    language: str | None = None
    name: str
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    codec: str
    channel: str | None = None


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

    input: which of the inputs has it.  channel: of closed captions, which lie in the stream.
    """

    input: int = 0
    stream: int
    kind: Literal["audio", "subtitles", "video"]
    channel: str | None = None
    language: str | None = None
    codec: str | None = None
    reason: str

    def __str__(self) -> str:
        described = ", ".join(filter(None, (self.channel, self.language, self.codec)))
        ref = StreamRef(input=self.input, stream=self.stream)
        return f"{self.kind} stream {ref}" + (f" ({described})" if described else "") + f": {self.reason}"


class Plan(Data):
    """Everything that will be made, decided. In JSON the inputs are "source", the main one, and "side_files", the others.

    picture: of the thumbnails, and of what is measured.
    languages: stream -> BCP 47 tag, of tracks whose language a person gave.
    formats: of the manifests.
    left_out: tracks of the source that will not be made.  warnings: what makes the title less than its viewers may expect.
    notes: what else is good to know (deinterlacing, tone mapping, one chunk …).
    """

    asset: Asset
    ladder: str
    grid: Grid
    picture: Picture
    video: tuple[VideoRendition, ...]
    audio: tuple[AudioRendition, ...]
    subtitles: tuple[SubtitleRendition, ...] = ()
    chunks: tuple[Chunk, ...]
    thumbnails: ThumbnailPlan
    decisions: tuple[Decision, ...]
    formats: tuple[FormatName, ...] = HLS_ONLY
    languages: dict[int, str] = {}
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """The main input."""
        return self.asset.main

    @property
    def renditions(self) -> tuple[VideoRendition | AudioRendition, ...]:
        """Everything that is encoded: video, then audio."""
        return (*self.video, *self.audio)

    @model_serializer(mode="wrap")
    def _inputs_apart(self, inner: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = inner(self)
        source, *side_files = written.pop("asset")["inputs"]
        return {"source": source, "side_files": side_files, **written}
