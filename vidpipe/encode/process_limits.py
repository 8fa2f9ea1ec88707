"""What one encode may use of the machine: a few times what its plan needs, so that no damaged or hostile source takes more.

In:   a command: what it decodes, and what it makes.
Out:  Limits of its ffmpeg.
Wrong: nothing; an encode that needs more than its limits fails, and says so in ffmpeg's words.

Wall time of an encode is not limited here: one that goes on may take long on a busy machine; one that does not is noticed by ``stalls``.
"""

from __future__ import annotations

import math
from fractions import Fraction

from vidpipe.encode.audio import AudioCommand
from vidpipe.encode.command import ChunkCommand
from vidpipe.encode.parallelism import memory_of
from vidpipe.encode.stalls import DECODER_MEMORY, SLOWEST_READ, STALLED_SECONDS
from vidpipe.encode.subtitles import LARGEST, SubtitleCommand
from vidpipe.encoders import encoder_of
from vidpipe.media.process import Limits
from vidpipe.plan import AudioEncode, VideoRendition

SPARE = 4
"""Times the estimate."""
OPEN_FILES = 1024
THREAD_BYTES = 72 * 1024**2
"""Address space of a thread, its stack and its arena of malloc; most of it is never touched."""
PROGRAM_THREADS, RUNG_THREADS = 16, 8
"""Of ffmpeg itself; of a rung beside those of its encoder, which has twice what is set and its own."""
AUDIO_BYTES = 2 * 1024**3

BEGIN_SECONDS = 600
"""CPU seconds that every encode may take."""
ENCODE_PIXEL, DECODE_PIXEL = 5e-6, 2e-7
"""CPU seconds for a pixel. Measured with the slowest: 4e-7 for x265 veryslow at 2160p, 2e-8 for a decoder of 10 bits."""
AUDIO_SECOND = 5.0
"""CPU seconds for a second of one track; a whole hour of one takes about 30."""
READ_BYTE = 1e-6
"""CPU seconds for a byte of the source that is only read."""

OTHER_BYTES = 256 * 1000**2
"""For the heads of files, ffmpeg's progress, and pictures."""
PRINTED = 1400
"""Bytes that the measuring filters print for a picture, and for each tenth of a second of audio: twice what they do."""
PICTURE_BYTES = 3
"""Of a still for each of its pixels: more than JPEG takes of noise."""


def chunk_limits(command: ChunkCommand) -> Limits:
    """Return the limits of a chunk's ffmpeg. output_bytes: of each of its files, none of which is larger than all together."""
    video, frames = command.video, command.chunk.frames
    made = [(rendition.width, rendition.height) for rendition in command.renditions] or [command.smallest]
    threads = PROGRAM_THREADS + command.threads + sum(_threads(rendition, command.threads) for rendition in command.renditions)
    decoded = frames if command.seek is not None else command.chunk.start + frames
    # A seek lands on a key frame, and what is decoded up to the chunk may be a long GOP.
    decoded += round(video.longest_gop * video.frame_rate)
    seconds = frames / command.grid.frame_rate
    stills = command.pictures * (command.thumbnails.width * command.thumbnails.height if command.thumbnails else 0)
    stills += len(command.posters) * command.poster_size[0] * command.poster_size[1]
    pixels = frames * sum(width * height for width, height in made)
    spent = BEGIN_SECONDS + ENCODE_PIXEL * pixels + DECODE_PIXEL * decoded * video.width * video.height + READ_BYTE * command.size
    written = sum(rendition.make.max_bitrate for rendition in command.renditions) * seconds / 8
    return Limits(
        memory_bytes=SPARE * memory_of(command.renditions, (video.width, video.height)) + threads * THREAD_BYTES,
        cpu_seconds=round(spent),
        output_bytes=OTHER_BYTES + round(SPARE * written) + PICTURE_BYTES * stills + PRINTED * frames,
        open_files=OPEN_FILES,
    )


def audio_limits(command: AudioCommand) -> Limits:
    """Return the limits of the ffmpeg that encodes audio tracks."""
    made, seconds = [rendition.make for rendition in command.renditions], command.duration
    tracks = len(made)
    written = sum(make.bitrate * seconds / 8 if isinstance(make, AudioEncode) else command.size for make in made)
    return Limits(
        memory_bytes=AUDIO_BYTES + (PROGRAM_THREADS + RUNG_THREADS * tracks) * THREAD_BYTES,
        cpu_seconds=round(BEGIN_SECONDS + AUDIO_SECOND * float(seconds) * tracks + READ_BYTE * command.size),
        output_bytes=OTHER_BYTES + round(SPARE * written) + round(Fraction(PRINTED) * 10 * seconds),
        open_files=OPEN_FILES,
    )


def subtitle_limits(command: SubtitleCommand) -> Limits:
    """Return the limits of the ffmpeg that extracts subtitles. Cues are rare: long silence is nothing special, so the whole is limited."""
    seconds = STALLED_SECONDS + command.size / SLOWEST_READ
    return Limits(memory_bytes=DECODER_MEMORY, output_bytes=LARGEST, wall_seconds=seconds, cpu_seconds=math.ceil(seconds))


def _threads(rendition: VideoRendition, threads: int) -> int:
    return RUNG_THREADS + encoder_of(rendition.make.codec).own_threads + 2 * threads
