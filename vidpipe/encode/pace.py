"""How many chunks run side by side, and with how many threads each.

In:   the number of chunks, the pixels of the ladder, what the user set; the cores and the memory of this machine.
Out:  Pace.
Wrong: nothing here can fail; a machine that is too small gets one chunk at a time.

Frame threads wait for each other, repeat work and shorten the reach of motion vectors; a chunk has work for more than one core even with
one thread for each encoder. So cores are filled by chunks, and only the last ones, which would leave cores idle, get more threads (measured
in docs/performance.md).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

MOST_THREADS = 16
"""Of one chunk: x264 gains nothing from more at 1080p (it allows one for every 32 lines), and each takes memory."""

LEAST_THREADS = 3
"""Of a chunk that may end alone. Beside others three cost no more than two."""

BYTES_A_PIXEL = 330
"""Memory of one chunk's ffmpeg for each pixel of all rungs' pictures. Measured: 180 (2160p) to 330 (720p, three threads, preset slow)."""

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container reads how much memory it may use: version 2 and version 1 of control groups."""


@dataclass(frozen=True)
class Pace:
    """workers: chunks side by side.  threads: of each chunk's decoder and encoders, in the order of the chunks."""

    workers: int
    threads: tuple[int, ...]


def pace(
    chunks: int,
    *,
    pixels: int = 0,
    workers: int | None = None,
    threads: int | None = None,
    cores: int | None = None,
    memory: int | None = None,
) -> Pace:
    """Choose from the cores: a chunk of one thread for each, and threads for the last chunks, which would leave cores idle.

    pixels: of one picture of every rung together.  workers, threads: what the user set.  cores, memory (bytes): of this machine unless
    given. The same machine and plan give the same answer, because the threads of a chunk are a part of its key.
    """
    cores = cores or cores_here()
    room = (memory or memory_here()) // max(1, pixels * BYTES_A_PIXEL)
    workers = workers or max(1, min(cores // (threads or 1), room, chunks))
    if threads:
        return Pace(workers, (threads,) * chunks)
    last = min(workers, chunks)
    full = _threads(cores, workers) if workers < cores else 1
    # Chunks differ, and one that others leave alone takes over their cores. Those that begin together share them; of the rest, each has
    # only those beside it that begin after it.
    beside = [last] * last if chunks <= workers else range(last, 0, -1)
    least = min(LEAST_THREADS, _threads(cores, 1))
    return Pace(workers, (full,) * (chunks - last) + tuple(max(least, _threads(cores, others)) for others in beside))


def _threads(cores: int, chunks: int) -> int:
    """Return the threads of a chunk that shares the cores: one and a half for each core, since frame threads wait for each other."""
    return 1 if cores == 1 else max(1, min(cores * 3 // (2 * chunks), MOST_THREADS))


def cores_here() -> int:
    """Return the cores that this process may use: fewer than the machine's in a container or under taskset."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def memory_here() -> int:
    """Return the bytes of memory of this machine, or what a container may use of it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or "max"
            memory = min(memory, int(file.read_text()))
    return memory
