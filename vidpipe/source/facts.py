"""What is true of a source file: the types that ``probe`` fills in and every later stage reads.

All times are seconds from the container's own zero unless said otherwise; ``start_pts`` and ``key_pts`` are in ticks of
the stream's ``time_base``. Text that comes from the file (languages, titles, codec names) is already free of control characters.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from vidpipe.data import Data, Rational, Seconds
from vidpipe.diagnostics import Diagnostic

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


class Shift(Data):
    """From the byte ``position`` of the file on, ``seconds`` are added to the times of a stream, up to its next Shift."""

    position: int
    seconds: Seconds


class Colour(Data):
    """Colour description, in FFmpeg's names; "unknown" where the file says nothing.

    mastering_display: SMPTE ST 2086 as x265 writes it.  max_cll, max_fall: CTA 861.3 light levels in cd/m2.
    """

    primaries: str = "unknown"
    transfer: str = "unknown"
    matrix: str = "unknown"
    range: str = "unknown"
    dynamic_range: DynamicRange = "SDR"
    dolby_vision: bool = False
    mastering_display: str | None = None
    max_cll: int | None = None
    max_fall: int | None = None


class VideoStream(Data):
    """The one video stream that is encoded (cover art never is).

    width, height: stored pixels before rotation, less what is cropped off.  cropped: by the container, not only by the codec.
    rotation: degrees clockwise (0, 90, 180, 270) that a player applies.
    mirrored: the display matrix also mirrors the picture (left and right, after the rotation).
    display_aspect: width : height as a viewer sees it.  chroma: "4:2:0", "4:2:2" …  field_order: tt, bb, tb, bt, progressive, unknown.
    frame_rate: measured by packet scan, snapped to the nearest standard rate where within tolerance; the rate to encode at.
    start_pts: ticks of the first frame that can be decoded.  start: the same in seconds; earlier if the file has no presentation times
    and start_pts is only what ffmpeg makes of it (audio is aligned by ``start``).  frames: decodable frames by packet scan.
    packets: that are shown; there cannot be more pictures.
    key_pts: key frames from start_pts on, thinned to one every half second at most.  reorder_frames: depth of B-frame reordering.
    longest_gap: seconds between two neighbouring frames; longest_gap_at: where, from the first frame on.
    missing, duplicate, backward timestamps and corrupt packets are counts.
    duplicate_at, broken_at (missing or backward), corrupt_at: where they are, the first stretches of them.
    interlaced: it is deinterlaced, because frames are flagged so (flagged_interlaced) or look so.
    measured_fields: what a sample of decoded frames shows, whatever the flags say.  interlaced_share: of those with a verdict.
    exact_seek: every chunk may start with a seek; otherwise seek_problem says why the source is one chunk.
    shifts: what makes its times continuous where the clock of the file jumps; all other facts are those of the moved times.
    """

    index: int
    codec: str
    profile: str | None = None
    pixel_format: str
    bit_depth: int
    width: int
    height: int
    cropped: bool = False
    sample_aspect: Rational = Fraction(1)
    rotation: Literal[0, 90, 180, 270] = 0
    mirrored: bool = False
    display_aspect: Rational | None = None
    chroma: str = "unknown"
    field_order: str = "progressive"
    interlaced: bool = False
    flagged_interlaced: bool = False
    measured_fields: Literal["interlaced", "progressive", "unclear"] = "unclear"
    interlaced_share: Rational = Fraction(0)
    colour: Colour = Colour()
    declared_frame_rate: Rational | None = None
    frame_rate: Rational
    variable_frame_rate: bool = False
    time_base: Rational
    start_pts: int
    start: Seconds
    duration: Seconds
    frames: int
    packets: int | None = None
    key_pts: tuple[int, ...] = ()
    longest_gop: Seconds = Fraction(0)
    shortest_gop: Seconds = Fraction(0)
    mean_gop: Seconds = Fraction(0)
    reorder_frames: int = 0
    declared_duration: Seconds | None = None
    longest_gap: Seconds = Fraction(0)
    longest_gap_at: Seconds = Fraction(0)
    missing_timestamps: int = 0
    duplicate_timestamps: int = 0
    backward_timestamps: int = 0
    duplicate_at: tuple[Stretch, ...] = ()
    broken_at: tuple[Stretch, ...] = ()
    corrupt_packets: int = 0
    corrupt_at: tuple[Stretch, ...] = ()
    bit_rate: int | None = None
    exact_seek: bool = True
    seek_problem: str | None = None
    shifts: tuple[Shift, ...] = ()

    @property
    def display_size(self) -> tuple[Fraction, Fraction]:
        """Width and height in square pixels as a viewer sees them: sample aspect and rotation applied. Not rounded."""
        width, height = self.width * self.sample_aspect, Fraction(self.height)
        if self.sample_aspect < 1:  # squeeze the height up instead: never throw stored lines or columns away
            width, height = Fraction(self.width), self.height / self.sample_aspect
        return (height, width) if self.rotation in (90, 270) else (width, height)


class Sound(Data):
    """The format of decoded audio at some time."""

    sample_rate: int
    channels: int
    layout: str

    def __str__(self) -> str:
        return f"{self.layout} at {self.sample_rate} Hz"


class SoundChange(Data):
    """The audio format changes mid-stream. at: seconds from the first video frame on."""

    at: Seconds
    before: Sound
    after: Sound


class AudioStream(Data):
    """An audio stream. language: BCP 47 ("en", "fr") or None.  default: the container marks it default.

    role: what its flags say that it is for.
    sample_rate, channels, layout: at its beginning.  changes: where they become others, the first of them (MOST_CHANGES).
    offset: seconds that the audio begins after the first video frame (negative: before).
    decodable: there is a decoder, and what it gives is described: channels and sample rate.
    sounding: seconds of audio in its packets, whatever their times say; 0 where they do not say how long they are.
    steps: where its clock, otherwise even, leaves a gap or goes back: seconds from the first video frame on (MOST_STEPS).
    shifts: as those of the video.
    """

    index: int
    codec: str
    profile: str | None = None
    sample_rate: int
    channels: int
    layout: str
    language: str | None = None
    title: str | None = None
    default: bool = False
    role: AudioRole = "main"
    start: Seconds
    duration: Seconds
    sounding: Seconds = Fraction(0)
    decodable: bool = True
    offset: Seconds = Fraction(0)
    declared_duration: Seconds | None = None
    packets: int
    changes: tuple[SoundChange, ...] = ()
    steps: tuple[Seconds, ...] = ()
    corrupt_packets: int = 0
    corrupt_at: tuple[Stretch, ...] = ()
    bit_rate: int | None = None
    shifts: tuple[Shift, ...] = ()

    @property
    def cut(self) -> Fraction:
        """Seconds at its beginning that lie before the picture, and so are not published; 0 if they are not worth a word."""
        return max(Fraction(0), -self.offset) if -self.offset > LEAST_EARLY else Fraction(0)

    @property
    def widest(self) -> Sound:
        """The most channels and the highest sample rate that it ever has: what all of it can become without a loss."""
        sounds = [change.after for change in self.changes] + [change.before for change in self.changes]
        sounds.append(Sound(sample_rate=self.sample_rate, channels=self.channels, layout=self.layout))
        most = max(sounds, key=lambda sound: sound.channels)
        return most.model_copy(update={"sample_rate": max(sound.sample_rate for sound in sounds)})


class SubtitleStream(Data):
    """A subtitle stream. text: it can become WebVTT (bitmap subtitles cannot).  start, duration: None if it has no packets.

    channel: of closed captions, which lie in the video or in a track that they share: CC1 to CC4, the text services T1 to T4, or
    SERVICE1 to SERVICE63 of CEA-708; index is that of the stream that carries them, and they have no packets of their own.
    forced: only what every viewer needs translated.  hearing_impaired: includes non-speech sound (SDH).
    shifts: as those of the video.
    """

    index: int
    codec: str
    channel: str | None = None
    language: str | None = None
    title: str | None = None
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    text: bool
    start: Seconds | None = None
    duration: Seconds | None = None
    packets: int = 0
    shifts: tuple[Shift, ...] = ()


class OtherStream(Data):
    """A stream that is reported and ignored: cover art, data, timecode, attachments, further video.

    start, duration: None without packets.
    """

    index: int
    kind: str
    codec: str | None = None
    start: Seconds | None = None
    duration: Seconds | None = None
    packets: int = 0


class Chapter(Data):
    """A chapter mark."""

    start: Seconds
    end: Seconds
    title: str | None = None


class Source(Data):
    """A media file and what was measured of it.

    location: absolute path of the local file (remote sources have been fetched).  name: the name the user gave, last part only.
    size: bytes.
    claimed_size: bytes that the container says it has, None if it does not say.
    mtime_ns: modification time when it was read (a file that changes while it is read is refused).
    duration: seconds from the first presentable video frame to the end of the last, by packet scan.
    declared_duration: what the container claims.  scanned_duration: from the container's zero (without an index: its first packet)
    to the end of its last packet.
    read_error: what stopped the packet scan before the end, if anything did.
    """

    location: str
    name: str
    size: int
    mtime_ns: int
    sha256: str
    container: str
    demuxer: str
    duration: Seconds
    declared_duration: Seconds | None = None
    scanned_duration: Seconds | None = None
    claimed_size: int | None = None
    read_error: str | None = None
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
    def shifts(self) -> dict[int, tuple[Shift, ...]]:
        """What is added to the times of each stream that is used."""
        video = self.video
        found = {video.index: video.shifts} | {each.index: each.shifts for each in self.audio}
        return found | {each.index: each.shifts for each in self.subtitles if each.shifts}


class QualityReport(Data):
    """The outcome of validation. An error among the findings refuses the source."""

    findings: tuple[Diagnostic, ...] = ()

    @property
    def refused(self) -> bool:
        """True if any finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)
