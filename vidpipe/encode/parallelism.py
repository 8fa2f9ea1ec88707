"""How many chunks are encoded in parallel, and with how many threads each.

In:   the number of chunks, the cores, how many chunks fit into memory, what the user set.
Out:  Parallelism.
Wrong: nothing here can fail; a machine that is too small gets one chunk at a time.

Frame threads wait for each other, repeat work and shorten the reach of motion vectors; a chunk has work for more than one core even with
one thread for each encoder. So cores are filled by chunks, and only the last ones, where they are too few for all cores, get more threads
(measured in docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vidpipe.encoders import encoder_of
from vidpipe.plan import Plan, VideoRendition

MOST_THREADS = 16
"""Of one chunk: x264 gains nothing from more at 1080p (it allows one for every 32 lines), and each takes memory."""

PROGRAM_BYTES, SOURCE_BYTES = 100_000_000, 60
"""Memory of one chunk's ffmpeg beside its encoders: itself, and for each pixel of the source's picture. Measured with one thread: 470 MB
for a ladder up to 720p (preset slow; 490 by this count), 920 MB up to 1080p (970), 2.2 GB up to 2160p (x265, fast; 3.0), 540 MB for AV1 at
1080p alone (640)."""

SHARE_OF_MEMORY = 0.8
"""Of what there is; the rest is for vidpipe, the audio, and others."""


@dataclass(frozen=True)
class Parallelism:
    """workers: parallel chunk encodes.  threads: of each chunk's decoder and encoders, in the order of the chunks."""

    workers: int
    threads: tuple[int, ...]


def parallelism(
    chunks: int, *, cores: int, fitting: int, workers: int | None = None, threads: int | Sequence[int] | None = None
) -> Parallelism:
    """Choose from the cores: a chunk of one thread for each, and threads for the last chunks, where they are fewer than the cores.

    fitting: chunks that fit into memory together.  It decides only how many run at once: the threads of a chunk are a part of its key, and
    one rung more must not change it.  workers, threads: what the user set; or the threads of each chunk, if they are known.
    """
    each = (threads,) * chunks if isinstance(threads, int) else tuple(threads or ())
    beside = workers or max(1, min(cores // min(each, default=1), chunks))
    chosen = workers or max(1, min(beside, fitting))
    if threads:
        return Parallelism(chosen, each)
    # Chunks are equally long, so they end about together, a wave after the other, and those of the last wave share the cores. Where that is
    # as many as the cores, more threads for one of them would only take its time from the others, which then end long after it. And that
    # one of several may end alone is no reason for more: frame threads cost 3 % of all of it, and one thread for each encoder leaves a
    # fifth of two cores idle, for the last part of a chunk.
    last = chunks % beside or beside
    return Parallelism(chosen, (_threads(cores, beside),) * (chunks - last) + (_threads(cores, last),) * last)


def chunks_in(memory: int, plan: Plan) -> int:
    """Return how many chunks of a plan run in parallel in so many bytes of memory, roughly."""
    source = plan.source.video
    each = memory_of(plan.video, (source.width, source.height))
    return int(memory * SHARE_OF_MEMORY) // each


def memory_of(renditions: Iterable[VideoRendition], source: tuple[int, int]) -> int:
    """Return the bytes that one chunk's ffmpeg needs, roughly. source: width and height of its picture."""
    encoders = sum(encoder_of(rendition.make.codec).memory(rendition) for rendition in renditions)
    return PROGRAM_BYTES + encoders + SOURCE_BYTES * source[0] * source[1]


def _threads(cores: int, chunks: int) -> int:
    """Return the threads of a chunk that shares the cores: one and a half for each core, since frame threads wait for each other."""
    return max(1, min(cores * 3 // (2 * chunks), MOST_THREADS))
