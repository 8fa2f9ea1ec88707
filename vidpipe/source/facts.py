"""What is true of a source file: the types that ``probe`` fills in and every later stage reads.

All times are seconds from the container's own zero unless said otherwise; ``start_pts`` and ``key_pts`` are in ticks of
the stream's ``time_base``. Text that comes from the file (languages, titles, codec names) is already free of control characters.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from vidpipe.data import Data, Field, Rational, Seconds

DynamicRange = Literal["SDR", "HDR10", "HLG"]
AudioRole = Literal["main", "description", "clear-speech", "commentary"]
"""What an audio track is for. description: also describes the picture, for viewers who do not see it.  clear-speech: mixed so that speech
is understood more easily.  commentary: talks about the film. Everything else (original, dub, music) is main.
"""


LEAST_EARLY = Fraction(1, 20)
"""Seconds of audio before the picture that are not worth a word: the delay of an encoder."""


class Stretch(Data):
    """A stretch of the time line, seconds from the first presentable video frame."""

    start: Seconds
    end: Seconds

    def moved(self, by: Fraction) -> Stretch:
        """Return it some seconds later."""
        return Stretch(start=self.start + by, end=self.end + by)


class Shift(Data):
    """From the byte ``position`` of the file on, ``seconds`` are added to the times of a stream, up to its next Shift."""

    position: int
    seconds: Seconds


class Colour(Data):
    """Colour description, in FFmpeg's names; "unknown" where the file says nothing."""

    primaries: str = "unknown"
    transfer: str = "unknown"
    matrix: str = "unknown"
    range: str = "unknown"
    dynamic_range: DynamicRange = "SDR"
    dolby_vision: bool = False
    mastering_display: str | None = Field(default=None, description="SMPTE ST 2086, as x265 writes it.")
    max_cll: int | None = Field(default=None, description="Maximum content light level (CTA 861.3), cd/m2.")
    max_fall: int | None = Field(default=None, description="Maximum frame-average light level (CTA 861.3), cd/m2.")


class VideoStream(Data):
    """The one video stream that is encoded (cover art never is)."""

    index: int
    codec: str
    profile: str | None = None
    pixel_format: str
    bit_depth: int
    width: int = Field(description="Stored pixels before rotation, less what is cropped off.")
    height: int = Field(description="As width.")
    cropped: bool = Field(default=False, description="By the container, not only by the codec.")
    sample_aspect: Rational = Fraction(1)
    rotation: Literal[0, 90, 180, 270] = Field(default=0, description="Degrees clockwise that a player applies.")
    mirrored: bool = Field(default=False, description="The display matrix also mirrors the picture (left and right, after the rotation).")
    display_aspect: Rational | None = Field(default=None, description="Width : height as a viewer sees it.")
    chroma: str = Field(default="unknown", description='"4:2:0", "4:2:2" and so on.')
    field_order: str = Field(default="progressive", description="tt, bb, tb, bt, progressive or unknown.")
    interlaced: bool = Field(default=False, description="It is deinterlaced, because frames are flagged so or look so.")
    flagged_interlaced: bool = Field(default=False, description="Frames are flagged interlaced.")
    measured_fields: Literal["interlaced", "progressive", "unclear"] = Field(
        default="unclear", description="What a sample of decoded frames shows, whatever the flags say."
    )
    interlaced_share: Rational = Field(default=Fraction(0), description="Of the frames of that sample with a verdict.")
    colour: Colour = Colour()
    declared_frame_rate: Rational | None = None
    frame_rate: Rational = Field(
        description="Measured by packet scan, snapped to the nearest standard rate where within tolerance; the rate to encode at."
    )
    variable_frame_rate: bool = False
    time_base: Rational
    start_pts: int = Field(description="Ticks of the first frame that can be decoded.")
    start: Seconds = Field(
        description="start_pts in seconds, by which audio is aligned; earlier if the file has no presentation times, and start_pts is only "
        "what ffmpeg makes of it."
    )
    lead_in: Seconds = Field(
        default=Fraction(0),
        description="Seconds of the file before `start`, from where players begin to count: audio, or pictures that cannot be decoded.",
    )
    duration: Seconds
    frames: int = Field(description="Decodable frames by packet scan.")
    packets: int | None = Field(default=None, description="Packets that are shown; there cannot be more pictures.")
    key_pts: tuple[int, ...] = Field(
        default=(), description="Ticks of the key frames from start_pts on, thinned to one every half second at most."
    )
    longest_gop: Seconds = Fraction(0)
    shortest_gop: Seconds = Fraction(0)
    mean_gop: Seconds = Fraction(0)
    reorder_frames: int = Field(default=0, description="Depth of B-frame reordering.")
    declared_duration: Seconds | None = None
    longest_gap: Seconds = Field(default=Fraction(0), description="Seconds between two neighbouring frames.")
    longest_gap_at: Seconds = Field(default=Fraction(0), description="Where it is, from the first frame on.")
    missing_timestamps: int = Field(default=0, description="Packets without one.")
    duplicate_timestamps: int = Field(default=0, description="Packets with that of another one.")
    backward_timestamps: int = Field(default=0, description="Packets whose time goes back.")
    duplicate_at: tuple[Stretch, ...] = Field(default=(), description="The first stretches with duplicate timestamps.")
    broken_at: tuple[Stretch, ...] = Field(default=(), description="The first stretches with missing or backward timestamps.")
    corrupt_packets: int = 0
    corrupt_at: tuple[Stretch, ...] = Field(default=(), description="The first stretches with corrupt packets.")
    bit_rate: int | None = None
    exact_seek: bool = Field(default=True, description="Every chunk may start with a seek.")
    seek_problem: str | None = Field(default=None, description="Why it may not, so that the source is encoded as one chunk.")
    shifts: tuple[Shift, ...] = Field(
        default=(),
        description="What makes its times continuous where the clock of the file jumps; all other facts are those of the moved times.",
    )

    @property
    def display_size(self) -> tuple[Fraction, Fraction]:
        """Width and height in square pixels as a viewer sees them: sample aspect and rotation applied. Not rounded."""
        width, height = self.width * self.sample_aspect, Fraction(self.height)
        if self.sample_aspect < 1:  # squeeze the height up instead: never throw stored lines or columns away
            width, height = Fraction(self.width), self.height / self.sample_aspect
        return (height, width) if self.rotation in (90, 270) else (width, height)


class AudioFormat(Data):
    """The format of decoded audio at some time."""

    sample_rate: int
    channels: int
    layout: str

    def __str__(self) -> str:
        return f"{self.layout} at {self.sample_rate} Hz"


class AudioFormatChange(Data):
    """The audio format changes mid-stream. at: seconds from the first video frame on."""

    at: Seconds
    before: AudioFormat
    after: AudioFormat


class AudioStream(Data):
    """An audio stream."""

    index: int
    codec: str
    profile: str | None = None
    sample_rate: int = Field(description="Hz, at its beginning.")
    channels: int = Field(description="At its beginning.")
    layout: str = Field(description="At its beginning.")
    language: str | None = Field(default=None, description="BCP 47 tag.")
    title: str | None = None
    default: bool = Field(default=False, description="The container marks it default.")
    role: AudioRole = Field(default="main", description="What its flags say that it is for.")
    start: Seconds
    duration: Seconds
    packets_duration: Seconds = Field(
        default=Fraction(0),
        description="Seconds of audio in its packets, whatever their times say; 0 where they do not say how long they are.",
    )
    decodable: bool = Field(default=True, description="There is a decoder, and what it gives is described: channels and sample rate.")
    offset: Seconds = Field(default=Fraction(0), description="Seconds that it begins after the first video frame (negative: before).")
    declared_duration: Seconds | None = None
    packets: int
    changes: tuple[AudioFormatChange, ...] = Field(
        default=(), description="Where the audio format changes, the first of them (MOST_CHANGES)."
    )
    steps: tuple[Seconds, ...] = Field(
        default=(),
        description="Where its clock, otherwise even, leaves a gap or goes back: seconds from the first video frame on (MOST_STEPS).",
    )
    corrupt_packets: int = 0
    corrupt_at: tuple[Stretch, ...] = ()
    bit_rate: int | None = None
    shifts: tuple[Shift, ...] = Field(default=(), description="As those of the video.")

    @property
    def cut(self) -> Fraction:
        """Seconds at its beginning that lie before the picture, and so are not published; 0 if they are not worth a word."""
        return max(Fraction(0), -self.offset) if -self.offset > LEAST_EARLY else Fraction(0)

    @property
    def widest(self) -> AudioFormat:
        """The most channels and the highest sample rate that it ever has: what all of it can become without a loss."""
        formats = [change.after for change in self.changes] + [change.before for change in self.changes]
        formats.append(AudioFormat(sample_rate=self.sample_rate, channels=self.channels, layout=self.layout))
        most = max(formats, key=lambda each: each.channels)
        return most.model_copy(update={"sample_rate": max(each.sample_rate for each in formats)})


class SubtitleStream(Data):
    """A subtitle stream, or a channel of closed captions."""

    index: int = Field(
        description="Of the stream; of closed captions, that of the stream that carries them, and they have no packets of their own."
    )
    codec: str
    channel: str | None = Field(
        default=None,
        description="Of closed captions, which lie in the video or in a track that they share: CC1 to CC4, the text services T1 to T4, or "
        "SERVICE1 to SERVICE63 of CEA-708.",
    )
    language: str | None = Field(default=None, description="BCP 47 tag.")
    title: str | None = None
    default: bool = False
    forced: bool = Field(default=False, description="Only what every viewer needs translated.")
    hearing_impaired: bool = Field(default=False, description="Includes non-speech sound (SDH).")
    text: bool = Field(description="It can become WebVTT (bitmap subtitles cannot).")
    start: Seconds | None = Field(default=None, description="None without packets.")
    duration: Seconds | None = Field(default=None, description="None without packets.")
    packets: int = 0
    shifts: tuple[Shift, ...] = Field(default=(), description="As those of the video.")


class OtherStream(Data):
    """A stream that is reported and ignored: cover art, data, timecode, attachments, further video."""

    index: int
    kind: str
    codec: str | None = None
    start: Seconds | None = Field(default=None, description="None without packets.")
    duration: Seconds | None = Field(default=None, description="None without packets.")
    packets: int = 0


class Chapter(Data):
    """A chapter mark."""

    start: Seconds
    end: Seconds
    title: str | None = None


class Source(Data):
    """A media file and what was measured of it."""

    location: str = Field(description="Absolute path of the local file (remote sources have been fetched).")
    name: str = Field(description="The name that the user gave, last part only.")
    size: int = Field(description="Bytes.")
    mtime_ns: int = Field(description="Modification time when it was read (a file that changes while it is read is refused).")
    sha256: str = Field(description="Empty if it is `partial`.")
    container: str
    demuxer: str
    duration: Seconds = Field(description="Seconds from the first presentable video frame to the end of the last, by packet scan.")
    declared_duration: Seconds | None = Field(default=None, description="What the container claims.")
    scanned_duration: Seconds | None = Field(
        default=None, description="From the container's zero (without an index: its first packet) to the end of its last packet."
    )
    claimed_size: int | None = Field(default=None, description="Bytes that the container says it has, None if it does not say.")
    partial: bool = Field(
        default=False,
        description="Only its beginning and its end were read (`validate --quick` of a large file): there is no sha256, numbers of "
        "pictures and bit rates are estimated, packets are those that were read.",
    )
    read_error: str | None = Field(default=None, description="What stopped the packet scan before the end, if anything did.")
    bit_rate: int | None = None
    video: VideoStream
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    others: tuple[OtherStream, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    timecode: str | None = None

    @property
    def zero(self) -> Fraction:
        """Seconds in its own time that are the zero of a title: its first picture that can be shown."""
        return self.video.start

    @property
    def beginning(self) -> Fraction:
        """Seconds in its own time from which players begin to count."""
        return self.video.start - self.video.lead_in

    def in_file(self, start: Fraction, end: Fraction) -> Stretch:
        """Return a stretch that is counted from the first presentable video frame as players show it: from the beginning of the file."""
        return Stretch(start=start, end=end).moved(self.video.lead_in)

    @property
    def shifts(self) -> dict[int, tuple[Shift, ...]]:
        """What is added to the times of each stream that is used."""
        video = self.video
        found = {video.index: video.shifts} | {each.index: each.shifts for each in self.audio}
        return found | {each.index: each.shifts for each in self.subtitles if each.shifts}
