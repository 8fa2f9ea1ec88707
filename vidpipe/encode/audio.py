"""All audio tracks of a title that come from one input, as one ffmpeg command. Pure: builds argv, runs nothing.

In:   an AudioCommand: the input, the tracks that are missing, where the picture's time begins, how long it is.
Out:  argv (without the program); each track is encoded whole, so that the encoder's priming occurs once.
Wrong: nothing here can fail.

A track is put on the picture's time line: time 0 is the first frame, what is heard earlier is cut, what begins later is preceded by
silence, gaps are filled, and the end is padded or cut to the length of the picture, to the sample. A stream that changes its channels
or its sample rate mid-stream is converted to one format first (``source/audio_changes.py``). A track that is copied begins and ends at
the frames that the file has (``plan/copied_tracks.py`` says which tracks may be); all that is made new is their times.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from vidpipe.data import Data, Seconds
from vidpipe.encode.audio_gaps import on_the_time_line
from vidpipe.encode.command import GLOBAL, QualityChains, source_options
from vidpipe.media.graph import Input, Loopback, Output, Stream, arguments
from vidpipe.plan import AudioCopy, AudioEncode, AudioRendition, Plan
from vidpipe.source.audio_changes import unified_stream
from vidpipe.source.facts import AudioFormat, Shift

AAC_FRAME = 1024
"""Samples of an AAC-LC frame, and the encoder's priming: one frame of silence before the first sample (ISO/IEC 14496-3)."""

PRIMING_FRAMES = 2
"""Frames of a copied track that may be priming: one of ffmpeg's, two of Apple's encoder (2112 samples, less what is cut off at the end)."""

LOUDEST = 0.891
"""Peak of a downmix, -1 dBFS: leaves room for what AAC adds."""

FILTERS = ("alimiter", "apad", "aresample", "asetpts", "asplit", "atrim", "pan")


class AudioCommand(Data):
    """What decides the command. start: seconds in the input's own time at which the picture begins.

    duration: of the time line.  segment: of a media segment.  formats: stream index -> the source's track, where it is widest.
    unified: streams that are converted to one format first.  steps: stream index -> where its clock steps.
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
    formats: dict[int, AudioFormat]
    unified: tuple[int, ...] = ()
    steps: dict[int, tuple[Seconds, ...]] = {}
    shifts: dict[int, tuple[Shift, ...]] = {}
    quality: QualityChains | None = None

    def samples(self, rendition: AudioRendition) -> int:
        """Return the samples that the track has."""
        return floor(self.duration * rendition.sample_rate + Fraction(1, 2))


def audio_command(plan: Plan, renditions: tuple[AudioRendition, ...], quality: QualityChains | None) -> AudioCommand:
    """Return the command that makes these tracks, all of one input."""
    source = plan.asset.source(renditions[0].stream)
    indexes = {rendition.stream.stream for rendition in renditions}
    used = [stream for stream in source.audio if stream.index in indexes]
    return AudioCommand(
        location=source.location,
        size=source.size,
        mtime_ns=source.mtime_ns,
        demuxer=source.demuxer,
        start=source.zero,
        duration=plan.grid.duration,
        segment=plan.grid.segment_duration,
        renditions=renditions,
        formats={stream.index: stream.widest for stream in used},
        shifts={index: table for index, table in source.shifts.items() if table and index in indexes},
        unified=tuple(stream.index for stream in used if stream.changes),
        steps={stream.index: stream.steps for stream in used if stream.steps},
        quality=quality,
    )


def audio_file(number: int) -> str:
    """Return the name of a track's output; ids hold language tags and may be long or odd."""
    return f"audio-{number}.mp4"


def measured_file(number: int, quality: QualityChains) -> str:
    """Return the name of the file that a track's measuring filters print to."""
    return f"{number}-{quality.audio_file}"


def audio_arguments(command: AudioCommand) -> list[str]:
    """Return ffmpeg's arguments for all tracks."""
    source = Input(**source_options(command.location, command.demuxer, command.shifts))
    streams: dict[int, list[Stream]] = {}
    for stream in {rendition.stream.stream for rendition in command.renditions}:
        made = [rendition for rendition in command.renditions if rendition.stream.stream == stream]
        wanted = sum(isinstance(rendition.make, AudioEncode) for rendition in made) + (len(made) if command.quality else 0)
        streams[stream] = _timeline(source.stream(stream), command, stream).split(wanted, "asplit") if wanted else []
    outputs = []
    for number, rendition in enumerate(command.renditions):
        taps = streams[rendition.stream.stream]
        if isinstance(rendition.make, AudioCopy):
            outputs.append(_copied(source.stream(rendition.stream.stream), command, number, rendition))
        else:
            outputs.append(_encoded(taps.pop(0), command, number, rendition, rendition.make))
        if command.quality:
            chain = command.quality.audio.replace(command.quality.audio_file, measured_file(number, command.quality))
            outputs.append(taps.pop(0).filters(chain).output("-", format="null"))
    # A copy of one format takes the place of each stream that changes its own.
    unified = enumerate(sorted(command.unified))
    copies = [Loopback(stream, unified_stream(number, stream, command.formats[stream])) for number, stream in unified]
    return [*GLOBAL, *arguments(outputs, copies)]


def audio_decode_arguments(command: AudioCommand) -> list[str]:
    """Return ffmpeg's arguments that only decode the source's tracks."""
    source = Input(**source_options(command.location, command.demuxer, command.shifts))
    streams = sorted({rendition.stream.stream for rendition in command.renditions})
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


def _encoded(stream: Stream, command: AudioCommand, number: int, rendition: AudioRendition, make: AudioEncode) -> Output:
    samples, channels = command.samples(rendition), command.formats[rendition.stream.stream].channels
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
    return _written(stream, command, number, {"c:a": make.codec, "b:a": make.bitrate, "ar": rendition.sample_rate})


def _copied(stream: Stream, command: AudioCommand, number: int, rendition: AudioRendition) -> Output:
    """The frames as they are, each as long as it is. Times of files are rounded (to a millisecond in Matroska), and would not add up.

    What lies before the picture, the encoder's priming, is skipped by the edit list. The first frame counts, and never begins later than
    the picture, which would take an empty edit.
    """
    first = f"min(0\\,round(STARTPTS-{float(command.start * rendition.sample_rate):.3f}))"
    # prescale: everything in the expression is in samples already
    times = f"setts=ts={first}+N*{AAC_FRAME}:duration={AAC_FRAME}:time_base=1/{rendition.sample_rate}:prescale=1"
    # aac_adtstoasc: transport streams have the decoder's configuration before each frame, MP4 once; it passes on what is so already.
    frames = -(-command.samples(rendition) // AAC_FRAME) + PRIMING_FRAMES
    return _written(stream, command, number, {"c:a": "copy", "bsf:a": f"aac_adtstoasc,{times}", "frames:a": frames})


def _written(stream: Stream, command: AudioCommand, number: int, own: dict[str, object]) -> Output:
    options: dict[str, object] = {
        "format": "mp4",
        # delay_moov: the init section is written after the first fragment, when the priming is known, and carries it as an edit list.
        "movflags": "+empty_moov+delay_moov+default_base_moof",
        "frag_duration": floor(command.segment * 1_000_000),  # bounded memory; packaging cuts anew, frame by frame
        "map_metadata": -1,
        "map_chapters": -1,
        "fflags": "+bitexact",
        "flags": "+bitexact",  # no encoder name inside the stream
    }
    return stream.output(f"file:{audio_file(number)}", **options, **own)
