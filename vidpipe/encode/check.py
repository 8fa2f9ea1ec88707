"""Compare what ffmpeg made with the plan. Its exit code is not trusted: whatever it wrote is counted. Reads files, runs nothing.

In:   a finished file, and what was planned.
Out:  the frames in it.
Wrong: ValueError, BoxError or OSError that says what differs; SourceFault if the source is to blame.
"""

from __future__ import annotations

import re
from math import floor
from pathlib import Path

from vidpipe.encode.audio import AAC_FRAME, AudioCommand
from vidpipe.encode.command import ChunkCommand
from vidpipe.encode.output import pixel_format, timescale
from vidpipe.encoders import BIT_DEPTHS
from vidpipe.mp4 import codecs
from vidpipe.mp4.boxes import fragments, read_movie
from vidpipe.plan import AudioCopy, AudioRendition, VideoRendition
from vidpipe.plan.copied_tracks import MISSING


class SourceFault(ValueError):
    """What was made is not what was planned because the source is not what its headers and packets promise."""


class AudioChanged(SourceFault):
    """The audio changes its channels or its sample rate, and its packets did not say so."""


def check_video(path: Path, rendition: VideoRendition, command: ChunkCommand) -> int:
    """Compare a rung's chunk with the plan and return its frames. Raises ValueError that says what differs."""
    grid, chunk = command.grid, command.chunk
    rate = grid.frame_rate / rendition.frame_step
    planned = rendition.frames(chunk.frames)
    in_segment = grid.segment_frames // rendition.frame_step
    movie = read_movie(path)
    if len(movie.tracks) != 1 or movie.tracks[0].handler != "vide":
        raise ValueError("it does not hold exactly one video track")
    track = movie.tracks[0]
    if (track.width, track.height) != (rendition.width, rendition.height):
        raise ValueError(f"it is {track.width}x{track.height}, not {rendition.width}x{rendition.height}")
    found, wanted = codecs.video(track.entry).bit_depth, BIT_DEPTHS[pixel_format(rendition)]
    if found != wanted:
        raise ValueError(f"it has {found} bits, not {wanted}")
    if track.timescale != timescale(grid) or track.edits:
        raise ValueError(f"its timescale is {track.timescale}, not {timescale(grid)}, or it has an edit list")
    tick = timescale(grid) / rate
    counts: list[int] = []
    frames = 0
    for fragment in fragments(path, movie):
        if fragment.decode_time != frames * tick:
            raise ValueError(f"segment {len(counts) + 1} is decoded at {fragment.decode_time}, not {frames * tick}")
        if not fragment.samples or not fragment.samples[0].sync:
            raise ValueError(f"segment {len(counts) + 1} does not start with a key frame")
        if any(sample.duration != tick for sample in fragment.samples):
            raise ValueError(f"segment {len(counts) + 1} has frames that do not last {tick} ticks")
        counts.append(len(fragment.samples))
        frames += len(fragment.samples)
    if frames != planned:
        shown = f"{frames} frames, not {planned}"
        raise SourceFault(f"it decodes to {shown}, fewer than its packets promise") if frames < planned else ValueError(f"it has {shown}")
    expected = [min(in_segment, planned - at) for at in range(0, planned, in_segment)]
    if counts != expected:
        raise ValueError(f"its segments have {counts} frames, not {expected}")
    return frames


def check_audio(path: Path, rendition: AudioRendition, command: AudioCommand) -> int:
    """Compare a track with the plan and return its AAC frames. Raises ValueError that says what differs."""
    movie = read_movie(path)
    if len(movie.tracks) != 1 or movie.tracks[0].handler != "soun":
        raise ValueError("it does not hold exactly one audio track")
    track = movie.tracks[0]
    if track.timescale != rendition.sample_rate:
        raise ValueError(f"its timescale is {track.timescale}, not {rendition.sample_rate}")
    priming = sum(edit.media_time for edit in track.edits)
    frames, end = 0, 0
    for fragment in fragments(path, movie):
        if fragment.decode_time != end:
            raise ValueError(f"it jumps from {end} to {fragment.decode_time}")
        frames += len(fragment.samples)
        end += fragment.duration
    if not -(-end // AAC_FRAME) <= frames <= -(-end // AAC_FRAME) + 1:
        # ffmpeg begins its filters anew where the channels or the sample rate change, and fills up from time 0 once more
        raise AudioChanged(f"the audio changes its channels or its sample rate mid-stream ({frames} frames in {end} samples)")
    planned = command.samples(rendition)
    least = planned
    if isinstance(rendition.make, AudioCopy):
        least -= floor(MISSING * rendition.sample_rate)
        if len(track.edits) > 1 or priming < 0:
            raise ValueError("it does not start with the video")
    # The last frame may be cut to length by its duration; encoders may add a frame or two to flush.
    if not least <= end - priming <= planned + 3 * AAC_FRAME:
        raise ValueError(f"it has {end - priming} samples, not {planned}")
    return frames


def check_pictures(path: Path, planned: int) -> int:
    """Compare JPEG files in a row with the plan and return their number. Raises ValueError."""
    data = path.read_bytes()
    count = len(re.findall(rb"\xff\xd9(?=\xff\xd8\xff|\Z)", data))  # an end that a start, or the end of the file, follows
    if not data.startswith(b"\xff\xd8\xff") or count != planned:
        raise ValueError(f"it has {count} pictures, not {planned}")
    return count


def check_text(path: Path) -> int:
    """Make sure that a text file is not empty. Raises ValueError."""
    if not path.stat().st_size:
        raise ValueError("it is empty")
    return 0
