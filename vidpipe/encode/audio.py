"""All audio tracks of a title as one ffmpeg command. Pure: builds argv, runs nothing.

In:   an AudioCommand: the source, the tracks that are missing, where the picture's time begins, how long it is.
Out:  argv (without the program); each track is encoded whole, so that the encoder's priming occurs once.
Wrong: nothing here can fail.

A track is put on the picture's time line: time 0 is the first frame, what is heard earlier is cut, what begins later is preceded by
silence, gaps are filled, and the end is padded or cut to the length of the picture, to the sample. A stream that changes its channels
or its sample rate mid-stream is converted to one format first (``source/audio_changes.py``).
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from vidpipe.data import Data, Seconds
from vidpipe.encode.audio_gaps import on_the_time_line
from vidpipe.encode.command import GLOBAL, QualityChains, source_options
from vidpipe.media.graph import Input, Loopback, Output, Stream, arguments
from vidpipe.plan import AudioRendition, Plan
from vidpipe.source.audio_changes import steadied
from vidpipe.source.facts import Shift, Sound

AAC_FRAME = 1024
"""Samples of an AAC-LC frame, and the encoder's priming: one frame of silence before the first sample (ISO/IEC 14496-3)."""

LOUDEST = 0.891
"""Peak of a downmix, -1 dBFS: leaves room for what AAC adds."""

FILTERS = ("alimiter", "apad", "aresample", "asetpts", "asplit", "atrim", "pan")


class AudioCommand(Data):
    """What decides the command. start: seconds in the source's own time of the first frame of the picture.

    duration: of the time line.  segment: of a media segment.  sounds: stream index -> the source's track, where it is widest.
    steady: streams that are made steady first.  steps: stream index -> where its clock steps.
    shifts: stream index -> what makes its times continuous.
    """

    location: str
    size: int
    mtime_ns: int
    demuxer: str
    start: Seconds
    duration: Seconds
    segment: Seconds
    renditions: tuple[AudioRendition, ...]
    sounds: dict[int, Sound]
    steady: tuple[int, ...] = ()
    steps: dict[int, tuple[Seconds, ...]] = {}
    shifts: dict[int, tuple[Shift, ...]] = {}
    quality: QualityChains | None = None

    def samples(self, rendition: AudioRendition) -> int:
        """Return the samples that the track has."""
        return floor(self.duration * rendition.sample_rate + Fraction(1, 2))


def audio_command(plan: Plan, renditions: tuple[AudioRendition, ...], quality: QualityChains | None) -> AudioCommand:
    """Return the command that encodes these tracks."""
    video = plan.source.video
    used = [stream for stream in plan.source.audio if stream.index in {r.stream for r in renditions}]
    return AudioCommand(
        location=plan.source.location,
        size=plan.source.size,
        mtime_ns=plan.source.mtime_ns,
        demuxer=plan.source.demuxer,
        start=video.start,
        duration=plan.grid.duration,
        segment=plan.grid.segment_duration,
        renditions=renditions,
        sounds={stream.index: stream.widest for stream in used},
        shifts={index: table for index, table in plan.source.shifts.items() if table and index in {stream.index for stream in used}},
        steady=tuple(stream.index for stream in used if stream.changes),
        steps={stream.index: stream.steps for stream in used if stream.steps},
        quality=quality,
    )


def audio_file(number: int) -> str:
    """Return the name of a track's output; ids hold language tags and may be long or odd."""
    return f"audio-{number}.mp4"


def sound_file(number: int, quality: QualityChains) -> str:
    """Return the name of the file that a track's measuring filters print to."""
    return f"{number}-{quality.sound_file}"


def audio_arguments(command: AudioCommand) -> list[str]:
    """Return ffmpeg's arguments for all tracks."""
    source = Input(**source_options(command.location, command.demuxer, command.shifts))
    streams: dict[int, list[Stream]] = {}
    for stream in {rendition.stream for rendition in command.renditions}:
        wanted = sum(rendition.stream == stream for rendition in command.renditions) + (
            sum(rendition.stream == stream for rendition in command.renditions) if command.quality else 0
        )
        streams[stream] = _timeline(source.stream(stream), command, stream).split(wanted, "asplit")
    outputs = []
    for number, rendition in enumerate(command.renditions):
        taps = streams[rendition.stream]
        outputs.append(_encoded(taps.pop(0), command, number, rendition))
        if command.quality:
            measured = taps.pop(0).filters(command.quality.sound.replace(command.quality.sound_file, sound_file(number, command.quality)))
            outputs.append(measured.output("-", format="null"))
    # A copy of one format takes the place of each stream that changes its own.
    copies = [Loopback(stream, steadied(number, stream, command.sounds[stream])) for number, stream in enumerate(sorted(command.steady))]
    return [*GLOBAL, *arguments(outputs, copies)]


def sound_arguments(command: AudioCommand) -> list[str]:
    """Return ffmpeg's arguments that only decode the source's tracks."""
    source = Input(**source_options(command.location, command.demuxer, command.shifts))
    streams = sorted({rendition.stream for rendition in command.renditions})
    return [*GLOBAL, *arguments([source.stream(stream).output("-", format="null") for stream in streams])]


def _timeline(stream: Stream, command: AudioCommand, index: int) -> Stream:
    """The track at its own rate and channels, on the picture's time line, without gaps."""
    stream = stream.filter("asetpts", expr=on_the_time_line(command.start, command.steps.get(index, ())))
    # async=1: fill gaps with silence, cut overlaps; first_pts=0: from time 0 on.  Never stretch: that would bend the pitch.
    # min_hard_comp: every jump of the clock is meant, because asetpts gives none that is not.
    stream = stream.filter("aresample", **{"async": 1}, first_pts=0, min_hard_comp=0.001)
    # Padded before it is shared out: a track that ends before the first frame leaves nothing, and a measurement of nothing is an error.
    seconds = f"{float(command.duration):.6f}"
    return stream.filter("apad", whole_dur=seconds).filter("atrim", end=seconds)


def _encoded(stream: Stream, command: AudioCommand, number: int, rendition: AudioRendition) -> Output:
    samples, channels = command.samples(rendition), command.sounds[rendition.stream].channels
    layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(rendition.channels, f"{rendition.channels}c")
    if channels == 1 and rendition.channels == 2:
        # Both sides as loud as the one there was; the resampler would take 3 dB off.
        stream = stream.filter("aresample", osr=rendition.sample_rate).filter("pan", args="stereo|c0=c0|c1=c0")
    else:
        # Downmix by ITU-R BS.775: centre and surrounds at -3 dB, no LFE.
        stream = stream.filter("aresample", osr=rendition.sample_rate, ochl=layout)
    if channels > max(2, rendition.channels):
        # Dialogue stays as loud as it was; only peaks where all channels add up are held down (scaling everything costs 8 dB).
        # level: no make-up gain.  latency: give back the look-ahead, or the audio would come late.
        stream = stream.filter("alimiter", limit=LOUDEST, level="disabled", latency=1)
    stream = stream.filter("apad", whole_len=samples).filter("atrim", end_sample=samples)
    options: dict[str, object] = {
        "format": "mp4",
        "c:a": "aac",
        "b:a": rendition.bitrate,
        "ar": rendition.sample_rate,
        # delay_moov: the init section is written after the first fragment, when the priming is known, and carries it as an edit list.
        "movflags": "+empty_moov+delay_moov+default_base_moof",
        "frag_duration": floor(command.segment * 1_000_000),  # bounded memory; packaging cuts anew, frame by frame
        "map_metadata": -1,
        "map_chapters": -1,
        "fflags": "+bitexact",
        "flags": "+bitexact",  # no encoder name inside the stream
    }
    return stream.output(f"file:{audio_file(number)}", **options)
