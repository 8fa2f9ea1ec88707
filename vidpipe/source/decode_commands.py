"""The ffmpeg commands that decode a source to nothing and print measurements into their working folder. Pure: runs nothing.

In:   a Source, a QualityPolicy, a PictureRange.
Out:  argv.
Wrong: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidpipe.source.audio_changes import unified_stream
from vidpipe.source.clock import DEMUXING, bitstream_filter
from vidpipe.source.facts import AudioStream, Source, VideoStream
from vidpipe.source.picture_facts import IDET
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality import PICTURE_FILE, audio_filters, picture_filters
from vidpipe.source.ranges import PictureRange, input_options, range_filter

PICTURE_WIDTH = 320  # pixels; black and frozen pictures show at any size


def audible(source: Source) -> tuple[AudioStream, ...]:
    """Return the audio streams that can be measured."""
    return tuple(audio for audio in source.audio if audio.packets and audio.decodable)


def measured_file(index: int) -> str:
    """Return the name of the file that the measurements of an audio stream are printed to."""
    return f"audio-{index}.txt"


def decode_argv(source: Source, policy: QualityPolicy, ffmpeg: str, unified: frozenset[int] = frozenset()) -> list[str]:
    """Return the command that decodes everything. unified: audio streams that change mid-stream."""
    video = source.video
    # scale: to one size, that of the first picture, as in the encode
    picture = f"setpts=PTS-{video.start_pts},trim=start=0,{_labels(video)}scale,{_measured(policy, PICTURE_FILE)}"
    front, chains, maps = _heard(source, policy, unified)
    return _argv(source, ffmpeg, [], front, [f"[0:{video.index}]{picture}[v]", *chains], ["-map", "[v]", *maps])


def audio_argv(source: Source, policy: QualityPolicy, ffmpeg: str, unified: frozenset[int] = frozenset()) -> list[str]:
    """Return the command that decodes the audio. unified: as for all of it."""
    front, chains, maps = _heard(source, policy, unified)
    return _argv(source, ffmpeg, [], front, chains, maps)


def picture_argv(source: Source, policy: QualityPolicy, ffmpeg: str, range_: PictureRange, threads: int, file: str) -> list[str]:
    """Return the command that decodes a range of the picture. file: that it prints to."""
    video = source.video
    # The size is given: where the picture changes it mid-stream, a range may begin with another one than the first picture has.
    size = f"scale={video.width}:{video.height}"
    picture = f"setpts=PTS-{video.start_pts},{range_filter(range_, video)},{_labels(video)}{size},{_measured(policy, file)}"
    options = ["-threads", str(threads), *input_options(range_, video)]
    front = ["-filter_complex_threads", str(threads)]
    return _argv(source, ffmpeg, options, front, [f"[0:{video.index}]{picture}[v]"], ["-map", "[v]"])


def _measured(policy: QualityPolicy, file: str) -> str:
    # idet: of every frame, which carries the verdict to the print.
    # area: each pixel of the small picture is a true mean, so noise does not hide that nothing moves
    return f"idet={IDET},scale=w='min({PICTURE_WIDTH},iw)':h=-2:flags=area,{picture_filters(policy, file)}"


def _heard(source: Source, policy: QualityPolicy, unified: frozenset[int]) -> tuple[list[str], list[str], list[str]]:
    """Return what stands before the graph, and chains of the graph with their maps, for each audio stream."""
    front: list[str] = []
    chains: list[str] = []
    maps: list[str] = []
    for audio in audible(source):
        heard = f"0:{audio.index}"
        if audio.index in unified:
            number = front.count("-dec")
            front += unified_stream(number, audio.index, audio.widest)
            heard = f"dec:{number}"
        zero = f"asetpts=PTS-{float(source.video.start):.6f}/TB"
        chains.append(f"[{heard}]{zero},{audio_filters(policy, measured_file(audio.index))}[a{audio.index}]")
        maps += ["-map", f"[a{audio.index}]"]
    return front, chains, maps


def _argv(
    source: Source, ffmpeg: str, options: Sequence[str], front: Sequence[str], chains: Sequence[str], maps: Sequence[str]
) -> list[str]:
    return [
        ffmpeg,
        "-hide_banner",
        "-nostdin",
        *("-nostats", "-progress", "pipe:1"),  # key=value lines instead of the human one
        "-loglevel",
        "repeat+level+verbose",  # verbose: the last lines count the decode errors of each stream
        "-copyts",  # the time line begins at the first presentable picture, and only the source's own times say where that is
        "-f",
        source.demuxer,  # probing again could choose a demuxer that opens other files
        "-protocol_whitelist",
        "file",
        *(part for name, value in DEMUXING.get(source.demuxer, {}).items() for part in (f"-{name}", value)),
        *(part for index, table in source.shifts.items() if table for part in (f"-bsf:{index}", bitstream_filter(table))),
        *options,
        "-reinit_filter:v",
        "0",  # a picture that changes its size goes through the running filters, as it does in the encode
        "-i",
        f"file:{source.location}",
        *front,
        "-filter_complex",
        ";".join(chains),
        *maps,
        "-fps_mode",
        "passthrough",  # no picture is doubled or dropped to please a constant rate
        "-f",
        "null",
        "-",
    ]


def _labels(video: VideoStream) -> str:
    """Overwrite labels of colour that may be reserved, which would stop swscale; brightness is the same by any of them."""
    labelled = video.pixel_format.startswith(("yuv", "nv", "p0", "p2", "gray"))
    return "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709," if labelled else ""
