"""All text subtitles of a title as one ffmpeg command that turns them into WebVTT. Pure: builds argv, runs nothing.

In:   a SubtitleCommand: the source and the streams that are missing.
Out:  argv (without the program); each stream becomes one WebVTT file, whole.
Wrong: nothing here can fail.

Closed captions are no stream that ffmpeg could map: their text is made by the child that reads the source (source/captions), from a
CaptionRequest.

The cues keep the source's own times: packaging puts them on the title's time line, and cleans their text. So what is kept in the
work space depends on the source alone.
"""

from __future__ import annotations

from vidpipe.data import Data
from vidpipe.encode.command import GLOBAL, source_options
from vidpipe.media.graph import Input, arguments
from vidpipe.plan import Plan
from vidpipe.source.captions import CaptionRequest
from vidpipe.source.facts import Shift, Source

TIME_OFFSET = 86_400
"""Seconds that are added to all times, so that none is negative: ffmpeg writes those as nonsense, or moves the whole track."""

LARGEST = 16 * 1024**2
"""Bytes of one track's WebVTT: some twenty times a film whose people never stop talking."""


TELETEXT = {
    "txt_format": "text",  # not a picture of the page
    "txt_page": "subtitle",  # those that are flagged so; the others are news and weather
    "fix_sub_duration": None,  # a page is shown until the next one, or an empty one, comes
}
"""Decoder options of a teletext stream (libzvbi)."""


class SubtitleCommand(Data):
    """What decides the command. streams: indexes in the source.  teletext: those of them that are teletext.

    webvtt: those that are WebVTT in Matroska's own layout.
    shifts: stream index -> what makes its times continuous.
    """

    location: str
    size: int
    mtime_ns: int
    demuxer: str
    streams: tuple[int, ...]
    teletext: tuple[int, ...] = ()
    webvtt: tuple[int, ...] = ()
    shifts: dict[int, tuple[Shift, ...]] = {}


def subtitle_command(plan: Plan, streams: tuple[int, ...], input_: int = 0) -> SubtitleCommand:
    """Return the command that extracts these streams of an input."""
    source = plan.asset.inputs[input_]
    return SubtitleCommand(
        location=source.location,
        size=source.size,
        mtime_ns=source.mtime_ns,
        demuxer=source.demuxer,
        streams=streams,
        shifts={stream.index: stream.shifts for stream in source.subtitles if stream.index in streams and stream.shifts},
        teletext=_coded(source, streams, "dvb_teletext"),
        webvtt=_coded(source, streams, "S_TEXT/WEBVTT"),
    )


def _coded(source: Source, streams: tuple[int, ...], codec: str) -> tuple[int, ...]:
    return tuple(stream.index for stream in source.subtitles if stream.index in streams and stream.codec == codec)


def caption_request(plan: Plan, channels: tuple[tuple[int, str], ...], input_: int = 0) -> CaptionRequest:
    """Return the request for these channels of an input's closed captions: (stream, channel)."""
    source = plan.asset.inputs[input_]
    return CaptionRequest(
        location=source.location,
        size=source.size,
        mtime_ns=source.mtime_ns,
        demuxer=source.demuxer,
        channels=channels,
        origin=TIME_OFFSET,
        shifts={index: table for index, table in source.shifts.items() if table and index in {stream for stream, _ in channels}},
    )


def subtitle_file(stream: int, channel: str | None = None) -> str:
    """Return the name of a stream's output. channel: of the closed captions that it carries."""
    return f"subtitles-{stream}-{channel.lower()}.vtt" if channel else f"subtitles-{stream}.vtt"


def subtitle_arguments(command: SubtitleCommand) -> list[str]:
    """Return ffmpeg's arguments for all streams."""
    decoders = {f"{name}:{stream}": value for stream in command.teletext for name, value in TELETEXT.items()}
    # libav does not know the name S_TEXT/WEBVTT. A cue's text stands there alone, as in SubRip; if it were called WebVTT, the demuxer
    # would look for an id and settings before it, and drop it. Entities are passed on as they are, and packaging keeps them.
    decoders |= {f"c:{stream}": "subrip" for stream in command.webvtt}
    source = Input(**source_options(command.location, command.demuxer, command.shifts), **decoders)
    options: dict[str, object] = {"format": "webvtt", "c:s": "webvtt", "output_ts_offset": TIME_OFFSET}
    outputs = [source.stream(stream).output(f"file:{subtitle_file(stream)}", **options) for stream in command.streams]
    return [*GLOBAL, *arguments(outputs)]
