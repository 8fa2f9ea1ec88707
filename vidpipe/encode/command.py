"""One chunk of the picture as an ffmpeg command: decode once, make everything that is missing. Pure: builds argv, runs nothing.

In:   a ChunkCommand: source facts, grid, chunk, what is missing.
Out:  argv (without the program), with outputs named relative to the folder that ffmpeg runs in.
Wrong: nothing here can fail; a command without outputs is a programming error (ValueError).

    [0:v] time from the first frame - (quality of the fields) - bwdif - fps - pad, trim - count - rotate - split
          each shape: scale, colour - split - one encoder for each rung, one fragmented MP4
                                           - quality of the smallest picture
          every n-th frame: sprite JPEGs     single frames: poster JPEGs

Why every chunk shows what a single encode would: times are kept (-copyts) and counted from the stream's first frame in ticks
that hold both source times and grid times; the seek lands on a key frame at least PREROLL before the chunk; and ``fps`` is given the
grid time at which the chunk starts, so it drops the preroll and fills every grid position with the latest frame that is nearer
to it than to the next one. "Nearest" and not "at or before": in a file with millisecond times, frame 2 of 24 fps (83.33 ms)
is stamped 83 ms, but frame 1 (41.67 ms) 42 ms, and it must still be frame 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import NamedTuple

from vidpipe.data import Data, Seconds
from vidpipe.encode import picture as pixels
from vidpipe.encode.output import pixel_format, video_file, video_options
from vidpipe.encoders import EIGHT_BITS
from vidpipe.media.graph import Input, Output, Stream, arguments
from vidpipe.plan import Chunk, Grid, Picture, Plan, ThumbnailPlan, VideoRendition
from vidpipe.source.clock import DEMUXING, bitstream_filter
from vidpipe.source.facts import Shift, VideoStream

FILTERS = (
    *("bwdif", "colorspace", "format", "fps", "framestep", "hflip", "scale", "select", "setparams", "setpts", "setsar", "settb"),
    *("sidedata", "split", "tile", "tonemap", "tpad", "transpose", "trim", "vflip", "zscale"),
)

PREROLL = Fraction(1)
"""Seconds before a chunk from which frames are decoded and thrown away: neighbours for bwdif and fps, whole pictures after an open GOP."""

SEEK_BACKOFF = Fraction(3, 23)
"""Seconds that ffmpeg goes further back by itself when frames are reordered (dts_heuristic in ffmpeg_demux.c)."""

PADDING = 3
"""Frames that may be repeated to reach the planned count: for rounding at the end. A source that lacks more is an error, never hidden."""

PICTURES = "pictures.mjpeg"


class QualityChains(Data):
    """Measuring filters that ride along, as filter graph text, each ending in a print to its file (a bare name) in ffmpeg's folder.

    fields: on decoded frames.  picture: on the smallest picture.  audio: on each track at its own channels.
    """

    fields: str
    fields_file: str
    picture: str
    picture_file: str
    audio: str
    audio_file: str


class ChunkCommand(Data):
    """Everything that decides the command of a chunk, and nothing else.

    video: without key_pts.  seek: seconds in the source's own time; None decodes from the start.
    renditions: those that are missing, each with its own picture.  picture: of the thumbnails, and of what is measured.
    smallest: width and height of the smallest rung of the whole plan.
    thumbnails: None if there are pictures already (or none in this chunk).  posters: timeline frames.
    threads: of the decoder, the filters and the encoder of a rung as large as the source (``threads_of``).
    """

    location: str
    size: int
    mtime_ns: int
    demuxer: str
    video: VideoStream
    seek: Seconds | None
    grid: Grid
    chunk: Chunk
    picture: Picture
    renditions: tuple[VideoRendition, ...]
    smallest: tuple[int, int]
    thumbnails: ThumbnailPlan | None = None
    poster_size: tuple[int, int] = (0, 0)
    posters: tuple[int, ...] = ()
    quality: QualityChains | None = None
    threads: int = 1

    @property
    def pictures(self) -> int:
        """Sprites that this chunk gives."""
        return pictures_in(self.thumbnails, self.chunk) if self.thumbnails else 0


def pictures_in(thumbnails: ThumbnailPlan, chunk: Chunk) -> int:
    """Return how many sprite frames (multiples of the interval) lie in the chunk."""
    return -(-(chunk.start + chunk.frames) // thumbnails.interval) - -(-chunk.start // thumbnails.interval)


def poster_file(frame: int) -> str:
    """Return the name of a poster candidate's output."""
    return f"poster-{frame}.jpg"


def seek_point(video: VideoStream, grid: Grid, chunk: Chunk) -> Fraction | None:
    """Return where to seek for a chunk, seconds in the source's own time; None to decode from the start.

    Demuxers land on the last key frame at or before it. Before the first key frame there is nothing to win.
    """
    if chunk.start == 0 or not video.exact_seek or not video.key_pts:
        return None
    preroll = max(PREROLL, 4 / video.frame_rate)  # bwdif looks one frame back, fps holds two
    target = video.start_pts * video.time_base + grid.time(chunk.start) - preroll
    first_key = max(Fraction(0), video.key_pts[0] * video.time_base)
    return target if target - SEEK_BACKOFF > first_key else None


def chunk_command(
    plan: Plan,
    chunk: Chunk,
    *,
    threads: int,
    renditions: tuple[VideoRendition, ...],
    pictures: bool,
    posters: tuple[int, ...],
    quality: QualityChains | None,
) -> ChunkCommand:
    """Return what makes what is missing of a chunk."""
    small = min(plan.video, key=lambda rendition: rendition.width * rendition.height)
    wanted = pictures and pictures_in(plan.thumbnails, chunk) > 0
    return ChunkCommand(
        location=plan.source.location,
        size=plan.source.size,
        mtime_ns=plan.source.mtime_ns,
        demuxer=plan.source.demuxer,
        video=plan.source.video.model_copy(update={"key_pts": ()}),
        seek=seek_point(plan.source.video, plan.grid, chunk),
        grid=plan.grid,
        chunk=chunk,
        picture=plan.picture,
        renditions=renditions,
        smallest=(small.width, small.height),
        thumbnails=plan.thumbnails if wanted else None,
        poster_size=(plan.thumbnails.poster_width, plan.thumbnails.poster_height),
        posters=posters,
        quality=quality,
        threads=threads,
    )


def chunk_arguments(command: ChunkCommand) -> list[str]:
    """Return ffmpeg's arguments for a chunk."""
    outputs = _outputs(command)
    if not outputs:
        raise ValueError("a command that makes nothing")
    return [*GLOBAL, "-filter_complex_threads", str(command.threads), *arguments(outputs)]


def decode_arguments(command: ChunkCommand) -> list[str]:
    """Return ffmpeg's arguments that only decode the chunk's range, a little beyond both ends."""
    # trim and not -t: with -copyts, and in files whose times do not begin at 0, this is the source's own time
    end = command.video.start + command.grid.time(command.chunk.start + command.chunk.frames) + PREROLL
    stream = _input(command).filter("trim", end=f"{float(end):.6f}")
    return [*GLOBAL, *arguments([stream.output("-", format="null", fps_mode="passthrough")])]


GLOBAL = [
    *("-hide_banner", "-nostdin", "-y"),
    # level: each line says how bad it is; repeat: no "last message repeated" that hides counts
    *("-loglevel", "repeat+level+error"),
    *("-nostats", "-progress", "pipe:1"),  # key=value lines instead of the human one
    "-copyts",  # keep the source's own times: chunks agree on them
]


def source_options(location: str, demuxer: str, shifts: Mapping[int, Sequence[Shift]] | None = None) -> dict[str, object]:
    """Return the input options that keep ffmpeg to this one file and this one format. shifts: of the streams that are used."""
    return {
        "filename": f"file:{location}",  # file: so that no name looks like an option or a protocol
        "format": demuxer,  # as probed; no guessing, no playlist in disguise
        "protocol_whitelist": "file",
        **DEMUXING.get(demuxer, {}),
        # With -copyts ffmpeg leaves jumps of the clock alone, and without it each process would close them in another way.
        **{f"bsf:{index}": bitstream_filter(table) for index, table in sorted((shifts or {}).items()) if table},
    }


def _input(command: ChunkCommand) -> Stream:
    options = source_options(command.location, command.demuxer, {command.video.index: command.video.shifts})
    options["threads"] = command.threads
    options["noautorotate"] = None  # rotated by an explicit transpose
    # Frames that change size or colour mid-stream go through the running graph (scale adapts); a new graph would count from 0 again.
    options["reinit_filter"] = 0
    if command.video.cropped:
        # The default, but said: so an ffmpeg that cannot (before 7.1) fails, and does not publish a stretched picture.
        options["apply_cropping"] = "all"
    if command.seek is not None:
        # seek_timestamp: absolute, not relative to the container's start.  noaccurate_seek: ffmpeg would add the container's
        # start once more to the point before which it drops frames; fps drops them exactly.
        options |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{floor(command.seek * 1000) / 1000:.3f}"}
    return Input(**options).stream(command.video.index)


def _timelines(whole: Stream, command: ChunkCommand, pictures: Sequence[Picture]) -> list[Stream]:
    """The frames of the chunk on the grid, counted from 0, upright, at source size: once for each of ``pictures``, in their order."""
    ways: dict[Picture, list[int]] = {}  # colour is none of these filters' business
    for number, picture in enumerate(pictures):
        ways.setdefault(picture.model_copy(update={"tone_map": "none", "dynamic_range": "SDR"}), []).append(number)
    found: dict[int, Stream] = {}
    for decoded, (picture, numbers) in zip(whole.split(len(ways)), ways.items(), strict=True):
        found |= zip(numbers, _on_the_grid(decoded, command, picture).split(len(numbers)), strict=True)
    return [found[number] for number in range(len(pictures))]


def _decoded(command: ChunkCommand) -> Stream:
    """What the decoder gives, with times from the first frame on."""
    rate, video = command.grid.frame_rate, command.video
    stream = pixels.one_size(_input(command), video)
    if command.demuxer == "avi" and video.longest_gap * video.frame_rate > 1:
        # An empty chunk holds the picture before it, and gives no frame. The guesses are late by the same delay throughout.
        stream = stream.filter("setpts", expr="PTS-STARTPTS")
    elif command.demuxer == "avi":
        # AVI stores no times; libav's guesses are off by the reordering delay. Its frames follow each other at the rate of the header.
        stream = stream.filter("setpts", expr=f"round(N/({_ratio(video.frame_rate)})/TB)")
    else:
        stream = stream.filter("setpts", expr=f"PTS-({video.start_pts})")
    if command.seek is not None:
        # Prints where the seek landed, in ticks from the first frame, once; tasks/chunk.py compares it. 16 is the log level "error".
        stream = stream.filter("setpts", expr="if(eq(N,0),print(PTS,16),PTS)")
    # Ticks that divide a grid frame exactly and are fine enough (about 8 us) to keep source times apart.
    return stream.filter("settb", expr=f"1/{rate.numerator * max(1, 120_000 // rate.numerator)}")


def _on_the_grid(stream: Stream, command: ChunkCommand, picture: Picture) -> Stream:
    rate = command.grid.frame_rate
    stream = pixels.deinterlace(stream, command.video, picture)
    start = f"{float(command.grid.time(command.chunk.start)):.9f}"
    # eof_action: a last picture that is said to last less than half a frame is shown all the same
    stream = stream.filter("fps", fps=_ratio(rate), start_time=start, round="near", eof_action="pass")
    stream = stream.filter("tpad", stop=PADDING, stop_mode="clone").filter("trim", end_frame=command.chunk.frames)
    stream = stream.filter("setpts", expr="N")  # fps left a time base of one frame: frame n is tick n
    return pixels.rotate(stream, picture)


class _Shape(NamedTuple):
    """What frames are like when they enter an encoder: rungs of one shape share them, all others get their own.

    The pixel format is a part of it: frames that a Main 10 rung shared with one of 8 bits would have 8 bits in both, under a key that
    says Main 10. So is what was done to the picture: an SDR and an HDR rung may have one size.
    """

    picture: Picture
    step: int
    width: int
    height: int
    pixel_format: str


def _shape(rendition: VideoRendition) -> _Shape:
    return _Shape(rendition.picture, rendition.frame_step, rendition.width, rendition.height, pixel_format(rendition))


def threads_of(rendition: VideoRendition, command: ChunkCommand) -> int:
    """Return the threads of a rung's encoder: those of the chunk in proportion to the pixels that it has of the source's.

    A rung that is far smaller has its work done beside the largest one, and one thread does it with less waste. By the source and not by
    the largest rung, because a rung's bytes must not depend on the others.
    """
    share = Fraction(rendition.width * rendition.height, command.video.width * command.video.height)
    return max(1, round(command.threads * min(share, Fraction(1))))


def _outputs(command: ChunkCommand) -> list[Output]:
    """Split the timeline among everything that is missing."""
    shapes: dict[_Shape, list[VideoRendition]] = {}
    for rendition in command.renditions:
        shapes.setdefault(_shape(rendition), []).append(rendition)
    # Measurements are the same whatever is encoded beside them: of the smallest picture, in 8 bits, at the full rate.
    measured_at = _Shape(command.picture, 1, *command.smallest, EIGHT_BITS) if command.quality else None
    alone = measured_at is not None and measured_at not in shapes
    others = alone + bool(command.pictures) + len(command.posters)
    pictures = [*(shape.picture for shape in shapes), *[command.picture] * others]
    if not pictures:
        return []
    decoded, *looked_at = _decoded(command).split(2 if command.quality else 1)
    taps = iter(_timelines(decoded, command, pictures))
    outputs: list[Output] = []
    for shape, group in shapes.items():
        stream = next(taps)
        if shape.step > 1:
            stream = stream.filter("framestep", step=shape.step)  # keeps the first frame, and declares the lower rate to the encoder
        stream = pixels.fit(stream, shape.width, shape.height, command.video, shape.picture, shape.pixel_format)
        copies = iter(stream.split(len(group) + (shape == measured_at)))
        outputs += [next(copies).output(f"file:{video_file(r)}", **video_options(r, command.grid, threads_of(r, command))) for r in group]
        if command.quality and shape == measured_at:
            outputs.append(_measured(next(copies), command.quality.picture))
    if command.quality and alone:
        smallest = pixels.fit(next(taps), *command.smallest, command.video, command.picture)
        outputs.append(_measured(smallest, command.quality.picture))
    if command.thumbnails and command.pictures:
        offset = command.chunk.start % command.thumbnails.interval
        picked = next(taps).filter("select", expr=f"not(mod(n+{offset},{command.thumbnails.interval}))")
        picked = pixels.jpeg(picked, command.thumbnails.width, command.thumbnails.height, command.video, command.picture)
        outputs.append(picked.output(f"file:{PICTURES}", **_JPEG, **{"q:v": 4}))
    for frame in command.posters:
        picked = next(taps).filter("select", expr=f"eq(n,{frame - command.chunk.start})")
        picked = pixels.jpeg(picked, *command.poster_size, command.video, command.picture)
        outputs.append(picked.output(f"file:{poster_file(frame)}", **_JPEG, **{"q:v": 2}))
    if command.quality:
        # Only an end: a chunk without a frame of its own shows the one before it, and every output has to get one.
        end = f"{float(command.grid.time(command.chunk.start + command.chunk.frames)):.6f}"
        outputs.append(_measured(looked_at[0].filter("trim", end=end), command.quality.fields))
    return outputs


_JPEG: dict[str, object] = {
    "format": "mjpeg",  # JPEG files back to back; the image muxer would expand a % in the name
    "c:v": "mjpeg",
    "threads": 1,
    "fps_mode": "passthrough",  # a picture every ten seconds is no gap to fill
    "flags": "+bitexact",  # no program name inside
}


def _measured(stream: Stream, filters: str) -> Output:
    return stream.filters(filters).output("-", format="null", fps_mode="passthrough")


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
