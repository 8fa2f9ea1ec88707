"""What of this machine the process may use: cores and memory.

In:   nothing but the machine: its size, the affinity of the process, the limits of its control groups (containers, batch systems).
Out:  a number of cores; bytes.
Wrong: nothing here can fail; a limit that cannot be read is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS, MY_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


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
