"""One chunk of the picture as an ffmpeg command: decode once, make everything that is missing. Pure: builds argv, runs nothing.

In:   a ChunkJob: source facts, grid, chunk, what is missing.
Out:  argv (without the program), with outputs named relative to the folder that ffmpeg runs in.
Wrong: nothing here can fail; a job without outputs is a programming error (ValueError).

    [0:v] (quality) - time from the first frame - bwdif - fps - pad, trim - count - rotate - split
          each size: scale, colour - split - one encoder for each rung, one fragmented MP4
                                           - quality of the smallest picture
          every n-th frame: sprite JPEGs     single frames: poster JPEGs

Why every chunk shows what a single encode would: times are kept (-copyts) and counted from the stream's first frame in ticks
that hold both source times and grid times; the seek lands on a key frame at least PREROLL before the chunk; and ``fps`` is told the
grid time at which the chunk starts, so it drops the preroll and fills every grid position with the latest frame that is nearer
to it than to the next one. "Nearest" and not "at or before": in a file with millisecond times, frame 2 of 24 fps (83.33 ms)
is stamped 83 ms, but frame 1 (41.67 ms) 42 ms, and it must still be frame 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import Any

import ffmpeg

from vidpipe.data import Data, Seconds
from vidpipe.encode import picture as pixels
from vidpipe.plan import Chunk, Grid, Picture, Plan, ThumbnailPlan, VideoRendition
from vidpipe.source.clock import DEMUXING, bitstream_filter
from vidpipe.source.facts import Shift, VideoStream

ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}
FILTERS = (
    *("bwdif", "format", "fps", "framestep", "hflip", "scale", "select", "setparams", "setpts", "setsar", "settb"),
    *("sidedata", "split", "tile", "tonemap", "tpad", "transpose", "trim", "vflip", "zscale"),
)

PREROLL = Fraction(1)
"""Seconds before a chunk from which frames are decoded and thrown away: neighbours for bwdif and fps, whole pictures after an open GOP."""

SEEK_BACKOFF = Fraction(3, 23)
"""Seconds that ffmpeg goes further back by itself when frames are reordered (dts_heuristic in ffmpeg_demux.c)."""

PADDING = 3
"""Frames that may be repeated to reach the planned count: for rounding at the end. A source that lacks more is an error, never hidden."""

PICTURES = "pictures.mjpeg"
RAW_SOURCE, RAW_PICTURE = "vidpipe_source_quality", "vidpipe_picture_quality"  # stand for chains that ffmpeg-python would escape


class QualityChains(Data):
    """Measuring filters that ride along, as filter graph text, each ending in a print to its file (a bare name) in ffmpeg's folder.

    source: right after the decoder, prints nothing.  picture: on the smallest picture.  sound: on each track at its own channels.
    """

    source: str
    picture: str
    picture_file: str
    sound: str
    sound_file: str


class ChunkJob(Data):
    """Everything that decides the command of a chunk.

    video: without key_pts.  seek: seconds in the source's own time; None decodes from the start.
    renditions: those that are missing.  smallest: width and height of the smallest rung of the whole plan.
    thumbnails: None if there are pictures already (or none in this chunk).  posters: timeline frames.
    threads: of the decoder, the filters and each encoder.
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


def video_file(rendition: VideoRendition) -> str:
    """Return the name of a rung's output."""
    return f"{rendition.id}.mp4"


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


def chunk_job(
    plan: Plan,
    chunk: Chunk,
    *,
    threads: int,
    renditions: tuple[VideoRendition, ...],
    pictures: bool,
    posters: tuple[int, ...],
    quality: QualityChains | None,
) -> ChunkJob:
    """Return the job that makes what is missing of a chunk."""
    small = min(plan.video, key=lambda rendition: rendition.width * rendition.height)
    wanted = pictures and pictures_in(plan.thumbnails, chunk) > 0
    return ChunkJob(
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


def chunk_arguments(job: ChunkJob) -> list[str]:
    """Return ffmpeg's arguments for a chunk."""
    outputs = _outputs(job)
    if not outputs:
        raise ValueError("a job that makes nothing")
    # get_args writes outputs last to first; turned round, the first rung comes first, whose frames -progress counts.
    arguments: list[str] = ffmpeg.get_args(outputs[::-1])
    if job.quality:
        place = arguments.index("-filter_complex") + 1
        graph = arguments[place].replace(RAW_SOURCE, job.quality.source).replace(RAW_PICTURE, job.quality.picture)
        arguments[place] = graph
    return [*GLOBAL, "-filter_complex_threads", str(job.threads), *arguments]


def decode_arguments(job: ChunkJob) -> list[str]:
    """Return ffmpeg's arguments that only decode the chunk's range, a little beyond both ends."""
    # trim and not -t: with -copyts, and in files whose times do not begin at 0, this is the source's own time
    end = job.video.start + job.grid.time(job.chunk.start + job.chunk.frames) + PREROLL
    stream = _input(job).filter("trim", end=f"{float(end):.6f}")
    arguments: list[str] = ffmpeg.get_args(ffmpeg.output(stream, "-", format="null", fps_mode="passthrough"))
    return [*GLOBAL, *arguments]


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


def _input(job: ChunkJob) -> Any:
    options = source_options(job.location, job.demuxer, {job.video.index: job.video.shifts})
    options["threads"] = job.threads
    options["noautorotate"] = None  # rotated by an explicit transpose
    # Frames that change size or colour mid-stream go through the running graph (scale adapts); a new graph would count from 0 again.
    options["reinit_filter"] = 0
    if job.video.cropped:
        # The default, but said: so an ffmpeg that cannot (before 7.1) fails, and does not publish a stretched picture.
        options["apply_cropping"] = "all"
    if job.seek is not None:
        # seek_timestamp: absolute, not relative to the container's start.  noaccurate_seek: ffmpeg would add the container's
        # start once more to the point before which it drops frames; fps drops them exactly.
        options |= {"seek_timestamp": 1, "noaccurate_seek": None, "ss": f"{floor(job.seek * 1000) / 1000:.3f}"}
    return ffmpeg.input(**options)[str(job.video.index)]


def _timeline(job: ChunkJob) -> Any:
    """The frames of the chunk on the grid, counted from 0, upright, at source size."""
    rate, video = job.grid.frame_rate, job.video
    stream = _input(job)
    if job.quality:
        stream = stream.filter(RAW_SOURCE)
    if job.demuxer == "avi" and video.longest_gap * video.frame_rate > 1:
        # An empty chunk holds the picture before it, and gives no frame. The guesses are late by the same delay throughout.
        stream = stream.filter("setpts", expr="PTS-STARTPTS")
    elif job.demuxer == "avi":
        # AVI stores no times; libav's guesses are off by the reordering delay. Its frames follow each other at the rate of the header.
        stream = stream.filter("setpts", expr=f"round(N/({_ratio(video.frame_rate)})/TB)")
    else:
        stream = stream.filter("setpts", expr=f"PTS-({video.start_pts})")
    if job.seek is not None:
        # Prints where the seek landed, in ticks from the first frame, once; tasks/chunk.py compares it. 16 is the log level "error".
        stream = stream.filter("setpts", expr="if(eq(N,0),print(PTS,16),PTS)")
    # Ticks that divide a grid frame exactly and are fine enough (about 8 us) to tell source times apart.
    stream = stream.filter("settb", expr=f"1/{rate.numerator * max(1, 120_000 // rate.numerator)}")
    stream = pixels.deinterlace(stream, video, job.picture)
    start = f"{float(job.grid.time(job.chunk.start)):.9f}"
    # eof_action: a last picture that is said to last less than half a frame is shown all the same
    stream = stream.filter("fps", fps=_ratio(rate), start_time=start, round="near", eof_action="pass")
    stream = stream.filter("tpad", stop=PADDING, stop_mode="clone").filter("trim", end_frame=job.chunk.frames)
    stream = stream.filter("setpts", expr="N")  # fps left a time base of one frame: frame n is tick n
    return pixels.rotate(stream, job.picture)


def _outputs(job: ChunkJob) -> list[Any]:
    """Split the timeline among everything that is missing."""
    sizes: dict[tuple[int, int, int], list[VideoRendition]] = {}
    for rendition in job.renditions:
        sizes.setdefault((rendition.frame_step, rendition.width, rendition.height), []).append(rendition)
    measure_at = (1, *job.smallest)
    branches = len(sizes) + bool(job.pictures) + len(job.posters) + (job.quality is not None and measure_at not in sizes)
    taps = iter(_split(_timeline(job), branches))
    outputs: list[Any] = []
    for (step, width, height), group in sizes.items():
        stream = next(taps)
        if step > 1:
            stream = stream.filter("framestep", step=step)  # keeps the first frame, and tells the encoder the lower rate
        depth = {"yuv420p10le" if rendition.profile == "main10" else "yuv420p" for rendition in group}
        stream = pixels.fit(stream, width, height, job.video, job.picture, depth.pop() if len(depth) == 1 else "yuv420p")
        measured = job.quality is not None and (step, width, height) == measure_at
        copies = iter(_split(stream, len(group) + measured))
        outputs += [ffmpeg.output(next(copies), f"file:{video_file(r)}", **video_options(r, job.grid, job.threads)) for r in group]
        if measured:
            outputs.append(_measured(next(copies)))
    if job.quality is not None and measure_at not in sizes:
        outputs.append(_measured(pixels.fit(next(taps), *job.smallest, job.video, job.picture)))
    if job.thumbnails and job.pictures:
        offset = job.chunk.start % job.thumbnails.interval
        picked = next(taps).filter("select", expr=f"not(mod(n+{offset},{job.thumbnails.interval}))")
        picked = pixels.jpeg(picked, job.thumbnails.width, job.thumbnails.height, job.video, job.picture)
        outputs.append(ffmpeg.output(picked, f"file:{PICTURES}", **_JPEG, **{"q:v": 4}))
    for frame in job.posters:
        picked = next(taps).filter("select", expr=f"eq(n,{frame - job.chunk.start})")
        picked = pixels.jpeg(picked, *job.poster_size, job.video, job.picture)
        outputs.append(ffmpeg.output(picked, f"file:{poster_file(frame)}", **_JPEG, **{"q:v": 2}))
    return outputs


_JPEG = {
    "format": "mjpeg",  # JPEG files back to back; the image muxer would expand a % in the name
    "c:v": "mjpeg",
    "threads": 1,
    "fps_mode": "passthrough",  # a picture every ten seconds is no gap to fill
    "flags": "+bitexact",  # no program name inside
}


def _measured(stream: Any) -> Any:
    return ffmpeg.output(stream.filter(RAW_PICTURE), "-", format="null", fps_mode="passthrough")


def video_options(rendition: VideoRendition, grid: Grid, threads: int) -> dict[str, object]:
    """Return the output options of a rung: one fragmented MP4, a fragment for each segment, decode times from 0."""
    rate = grid.frame_rate / rendition.frame_step
    gop = grid.gop_frames // rendition.frame_step
    options: dict[str, object] = {
        "c:v": ENCODERS[rendition.codec],
        "preset": rendition.preset,
        "threads": threads,
        "g": gop,
        "keyint_min": gop,
        "fps_mode": "passthrough",  # the grid is exact already; ffmpeg may neither repeat nor drop
        "enc_time_base": f"{rate.denominator}/{rate.numerator}",
        # A fragment ends at the first key frame that comes at least this late: half a GOP of slack, so that exactly segments come out.
        "min_frag_duration": floor((grid.segment_frames - Fraction(grid.gop_frames, 2)) / grid.frame_rate * 1_000_000),
        # empty_moov: the init section holds no samples.  negative_cts_offsets: the first frame is shown at 0 without an edit list.
        "movflags": "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets",
        "video_track_timescale": timescale(grid),
        "map_metadata": -1,  # titles, cameras and places of the source are nobody's business
        "map_chapters": -1,  # the muxer would make a text track of them
        "fflags": "+bitexact",  # no program name in the init section
        "format": "mp4",
    }
    if rendition.profile:
        options["profile:v"] = rendition.profile
    if rendition.crf is None:
        options["b:v"] = rendition.bitrate
    else:
        options["crf"] = f"{rendition.crf:g}"
    return options | {"h264": _x264, "hevc": _x265, "av1": _svtav1}[rendition.codec](rendition, gop, threads)


def timescale(grid: Grid) -> int:
    """Return the ticks a second of every rung: a frame of the timeline is a whole number of them.

    The same for rungs of half the rate: hls.js 1.7 maps times anew when a switch changes the timescale, and leaves a hole as long as the
    edit list.
    """
    rate = grid.frame_rate.numerator
    return rate if rate >= 1000 else 1000 * rate


def _x264(rendition: VideoRendition, gop: int, threads: int) -> dict[str, object]:
    del gop
    return {
        # Frame threads are rows apart, which limits how far motion is followed up and down: ((height + 24) / threads - 24) / 2 lines
        # (x264 encoder/encoder.c, i_mv_range_thread). At least 48 are kept, so small rungs get fewer threads.
        "threads": max(1, min(threads, (rendition.height + 24) // 120)),
        "maxrate": rendition.max_bitrate,
        "bufsize": rendition.buffer,
        "sc_threshold": 0,  # no key frame at a scene cut: it would move the grid
        "flags": "+cgop",  # every GOP decodes by itself
        "x264-params": "stitchable=1",  # headers depend on the settings only, never on the pictures: one init section for all chunks
    }


def _x265(rendition: VideoRendition, gop: int, threads: int) -> dict[str, object]:
    parameters = {
        "keyint": gop,
        "min-keyint": gop,
        "scenecut": 0,
        "open-gop": 0,
        "info": 0,  # no settings as text in the init section: they name the threads
        "log-level": "error",
        # x265 takes every core unless it is told; one chunk may only use its share. A pool also for one thread: without any, x265 turns
        # wavefronts off, which stands in the init section, and that has to be the same for all chunks whatever their threads.
        "pools": threads,
        "frame-threads": 1 if threads == 1 else min(threads, 4),
    }
    return {
        "maxrate": rendition.max_bitrate,
        "bufsize": rendition.buffer,
        "tag:v": "hvc1",  # parameter sets in the init section only, which Apple demands
        "x265-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
    }


def _svtav1(rendition: VideoRendition, gop: int, threads: int) -> dict[str, object]:
    parameters = {
        "keyint": gop,
        "irefresh-type": 2,  # closed GOPs
        "scd": 0,
        "lp": min(threads, 6),  # level of parallelism
    }
    options: dict[str, object] = {"svtav1-params": ":".join(f"{name}={value}" for name, value in parameters.items())}
    if rendition.crf is not None:
        options["maxrate"] = rendition.max_bitrate  # SVT-AV1 caps constant quality only
    return options


def _split(stream: Any, count: int) -> list[Any]:
    if count == 1:
        return [stream]
    parts = stream.filter_multi_output("split")
    return [parts[number] for number in range(count)]


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
