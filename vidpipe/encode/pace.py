"""How many chunks run side by side, and with how many threads each.

In:   the number of chunks, the memory that one takes, what the user set; the cores and the memory of this machine.
Out:  Pace.
Wrong: nothing here can fail; a machine that is too small gets one chunk at a time.

Frame threads wait for each other, repeat work and shorten the reach of motion vectors; a chunk has work for more than one core even with
one thread for each encoder. So cores are filled by chunks, and only the last ones, which would leave cores idle, get more threads (measured
in docs/performance.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vidpipe.plan import Plan

MOST_THREADS = 16
"""Of one chunk: x264 gains nothing from more at 1080p (it allows one for every 32 lines), and each takes memory."""

LEAST_THREADS = 3
"""Of a chunk that may end alone. Beside others three cost no more than two."""

PROGRAM_BYTES, RUNG_BYTES, SOURCE_BYTES = 100_000_000, 200, 60
"""Memory of one chunk's ffmpeg: itself, for each pixel of every rung's picture, and of the source's. Measured with one thread: 470 MB for a
ladder up to 720p (preset slow; 490 by this count), 920 MB up to 1080p (970), 2.2 GB up to 2160p (x265, fast; 3.0), 540 MB for AV1 at 1080p
alone (640)."""

SHARE_OF_MEMORY = 0.8
"""Of what there is; the rest is for vidpipe, the sound, and others."""

CGROUPS, MY_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Pace:
    """workers: chunks side by side.  threads: of each chunk's decoder and encoders, in the order of the chunks."""

    workers: int
    threads: tuple[int, ...]


def pace(
    chunks: int,
    *,
    bytes_each: int = 0,
    workers: int | None = None,
    threads: int | None = None,
    cores: int | None = None,
    memory: int | None = None,
) -> Pace:
    """Choose from the cores: a chunk of one thread for each, and threads for the last chunks, which would leave cores idle.

    bytes_each: memory of one chunk.  workers, threads: what the user set.  cores, memory (bytes): of this machine unless given.
    Memory decides only how many run at once: the threads of a chunk are a part of its key, and one rung more must not change it.
    """
    cores = cores or cores_here()
    wanted = workers or max(1, min(cores // (threads or 1), chunks))
    room = int((memory or memory_here()) * SHARE_OF_MEMORY) // max(1, bytes_each)
    chosen = workers or max(1, min(wanted, room))
    if threads:
        return Pace(chosen, (threads,) * chunks)
    last = min(wanted, chunks)
    full = _threads(cores, wanted) if wanted < cores else 1
    # Chunks differ, and one that others leave alone takes over their cores. Those that begin together share them; of the rest, each has
    # only those beside it that begin after it.
    beside = [last] * last if chunks <= wanted else range(last, 0, -1)
    least = min(LEAST_THREADS, _threads(cores, 1))
    return Pace(chosen, (full,) * (chunks - last) + tuple(max(least, _threads(cores, others)) for others in beside))


def memory_of_a_chunk(plan: Plan) -> int:
    """Return the bytes that the ffmpeg of one chunk takes, roughly."""
    rungs = sum(rendition.width * rendition.height for rendition in plan.video)
    return PROGRAM_BYTES + RUNG_BYTES * rungs + SOURCE_BYTES * plan.source.video.width * plan.source.video.height


def _threads(cores: int, chunks: int) -> int:
    """Return the threads of a chunk that shares the cores: one and a half for each core, since frame threads wait for each other."""
    return 1 if cores == 1 else max(1, min(cores * 3 // (2 * chunks), MOST_THREADS))


def cores_here() -> int:
    """Return the cores that this process may use: fewer than the machine's in a container or under taskset."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    shares = [int(quota) / int(period) for quota, period in _limits("cpu", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us")]
    return max(1, int(min([cores, *shares])))


def memory_here() -> int:
    """Return the bytes of memory of this machine, or what a container may use of it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([memory, *(int(limit) for limit, *_ in _limits("memory", "memory.max", "memory.limit_in_bytes"))])


def _limits(controller: str, unified: str, *separate: str) -> Iterator[list[str]]:
    """Yield what the control groups of this process and all above them limit: the words of ``unified``, or of the ``separate`` files.

    unified: of version 2 (Linux Documentation/admin-guide/cgroup-v2.rst).  separate: of version 1, one word each.  No limit yields nothing.
    """
    try:
        lines = MY_CGROUPS.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top, files = (CGROUPS / controller, separate) if controllers else (CGROUPS, (unified,))
        group = top / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(top):
                break
            try:
                words = [word for file in files for word in (folder / file).read_text().split()]
            except OSError:  # the top has none; of a container, the path may be that outside
                continue
            if all(word.isdigit() for word in words):  # neither "max" nor -1
                yield words
