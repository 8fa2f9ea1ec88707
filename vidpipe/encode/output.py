"""What ffmpeg is asked for of one rung: the fragmented MP4 around it, and what its encoder needs. Pure.

In:   a rendition, the grid, the threads.
Out:  ffmpeg's output options.
Wrong: nothing here can fail.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from vidpipe.encoders import encoder_of
from vidpipe.plan import Grid, VideoRendition


def video_file(rendition: VideoRendition) -> str:
    """Return the name of a rung's output."""
    return f"{rendition.id}.mp4"


def pixel_format(rendition: VideoRendition) -> str:
    """Return the pixel format in which a rung's encoder gets its frames."""
    return encoder_of(rendition.make.codec).pixel_format(rendition.make.profile)


def video_options(rendition: VideoRendition, grid: Grid, threads: int) -> dict[str, object]:
    """Return the output options of a rung: one fragmented MP4, a fragment for each segment, decode times from 0."""
    rate = grid.frame_rate / rendition.frame_step
    encoder = encoder_of(rendition.make.codec)
    return {
        "c:v": encoder.name,
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
    } | encoder.options(rendition, grid.gop_frames // rendition.frame_step, threads)


def timescale(grid: Grid) -> int:
    """Return the ticks a second of every rung: a frame of the timeline is a whole number of them.

    The same for rungs of half the rate: hls.js 1.7 maps times anew when a switch changes the timescale, and leaves a hole as long as the
    edit list.
    """
    rate = grid.frame_rate.numerator
    return rate if rate >= 1000 else 1000 * rate
