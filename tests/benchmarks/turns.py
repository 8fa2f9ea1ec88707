"""Several ways to do a thing, measured side by side on a noisy machine: they take turns, a fraction of a second each.

In:   for each way its commands, one after the other; a server of its own, if it has one.
Out:  Cost of each: CPU seconds, and wall seconds of its turns only.
Wrong: SystemExit with the command that failed and what it wrote.

A shared machine is a tenth slower in one minute than in the next, so whole runs one after the other compare the minutes, not the ways.
Here one way runs and the others stand still (SIGSTOP to every process of theirs), and all of them meet the same machine: two runs of the
same command then differ by one or two percent. What a way waits for without computing (the disk, a server that all share) goes on in the
turns of the others, so its wall seconds flatter it by that. Killed with -9, this leaves stopped processes. Linux only (pidfd).
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

TURN = 0.4  # seconds; long enough that what a processor's caches lose at each change does not show


@dataclass(frozen=True)
class Command:
    """argv, its folder and its environment (None: this one)."""

    argv: Sequence[str]
    folder: Path
    environ: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Cost:
    """cpu: seconds of the processes and all their children.  wall: seconds that it had the machine."""

    cpu: float
    wall: float


def side_by_side(ways: Mapping[str, Sequence[Command]], servers: Mapping[str, int] | None = None) -> dict[str, Cost]:
    """Run all ways to their end, in turns, and return what each cost.

    servers: way -> process of a server that it alone uses, and that stands still with it. What that computes is no cost of the way.
    """
    with contextlib.ExitStack() as stack:
        lanes = {
            name: _Lane(commands, stack.enter_context(tempfile.TemporaryFile()), (servers or {}).get(name))
            for name, commands in ways.items()
        }
        for lane in lanes.values():
            stack.callback(lane.end)
        order = list(lanes)
        while waiting := [lanes[name] for name in order if not lanes[name].over]:
            for lane in waiting:
                lane.turn()
            order.reverse()  # nobody always follows the same neighbour
    return {name: Cost(cpu=lane.cpu, wall=lane.wall) for name, lane in lanes.items()}


class _Lane:
    """One way: its commands, the running one among them, and what was spent."""

    def __init__(self, commands: Sequence[Command], errors: IO[bytes], server: int | None = None) -> None:
        self.commands = list(commands)
        self.errors = errors
        self.server = psutil.Process(server) if server else None
        self.running: subprocess.Popen[bytes] | None = None
        self.cpu = self.wall = 0.0

    @property
    def over(self) -> bool:
        return self.running is None and not self.commands

    def turn(self) -> None:
        """Let it run for one turn, or until it ends."""
        begun = time.monotonic()
        end = begun + TURN
        if self.server:
            self.server.resume()
        for process in _family(self.running):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        while not self.over and time.monotonic() < end:
            if self.running is None:
                self._start(self.commands.pop(0))
            assert self.running
            if _ended(self.running.pid, end - time.monotonic()):
                process, self.running = self.running, None
                self._collect(process)
        _stop(self.running)
        if self.server:
            self.server.suspend()
        self.wall += time.monotonic() - begun

    def _start(self, command: Command) -> None:
        quiet = subprocess.DEVNULL
        self.running = subprocess.Popen(
            command.argv, cwd=command.folder, env=command.environ, stdin=quiet, stdout=quiet, stderr=self.errors, start_new_session=True
        )

    def _collect(self, process: subprocess.Popen[bytes]) -> None:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu += usage.ru_utime + usage.ru_stime
        if process.returncode:
            self.errors.seek(0)
            tail = self.errors.read().decode(errors="replace")[-3000:]
            raise SystemExit(f"failed ({process.returncode}): {process.args!r}\n{tail}")

    def end(self) -> None:
        """Kill what still runs; the server goes on."""
        if self.server:
            self.server.resume()
        _stop(self.running)
        for process in _family(self.running):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self.running:
            self.running.wait()


def _ended(process: int, seconds: float) -> bool:
    """Wait for the end of a child, but not longer than so many seconds. It stays to be waited for."""
    handle = os.pidfd_open(process)
    try:
        return bool(select.select([handle], [], [], max(0.0, seconds))[0])
    finally:
        os.close(handle)


def _stop(running: subprocess.Popen[bytes] | None) -> None:
    """Stop a process and all its children."""
    stopped: set[psutil.Process] = set()
    while new := {*_family(running)} - stopped:  # again: one may have been starting another while it was asked to stop
        for process in new:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        stopped |= new


def _family(running: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    """Return a process and all its children, and theirs."""
    try:
        process = psutil.Process(running.pid) if running else None
        return [process, *process.children(recursive=True)] if process else []
    except psutil.NoSuchProcess:
        return []
