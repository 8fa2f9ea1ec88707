"""Ask the kernel for long turns of a program that computes: its encoders then lose less of what a core's caches hold. Linux from 6.12 on.

In:   the process id of a child that has just been started; the threads that it starts later inherit what it has.
Out:  nothing; its turns are long from now on.
Wrong: nothing: where that cannot be asked (an older kernel, another system, a sandbox), the turns stay as they are.

Ten encoders on two cores are changed every 4 ms, and each finds the caches filled by another. The priority stays what it was: whoever asks
for long turns waits longer for the next one (EEVDF, sched(7)), and gives way to those with short turns at once.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

LONGEST = 100_000_000
"""Nanoseconds; the kernel grants no more."""

_CALLS = {"x86_64": (315, 314), "aarch64": (275, 274), "riscv64": (275, 274)}
"""Numbers of sched_getattr and sched_setattr; the C library has no functions for them before glibc 2.41."""

_ATTRIBUTES = struct.Struct("IIQiIQQQ")
"""struct sched_attr, version 0: size, policy, flags, nice, priority, runtime (of an ordinary thread: its turn), deadline, period."""

_POLICY, _RUNTIME = 1, 5


def lengthen(process: int) -> None:
    """Give the main thread of ``process``, and all that it will start, the longest turns. Nice value and policy stay."""
    if sys.platform != "linux" or platform.machine() not in _CALLS or sys.maxsize < 2**32:  # of 32 bits: the numbers name other calls
        return
    get, set_ = _CALLS[platform.machine()]
    call = ctypes.CDLL(None).syscall
    buffer = ctypes.create_string_buffer(_ATTRIBUTES.size)
    if call(get, process, buffer, _ATTRIBUTES.size, 0) != 0:
        return
    values = list(_ATTRIBUTES.unpack(buffer.raw))
    if values[_POLICY] in (os.SCHED_OTHER, os.SCHED_BATCH):
        values[_RUNTIME] = LONGEST
        call(set_, process, _ATTRIBUTES.pack(*values), 0)
