"""Run one program, watched. The only module that uses ``subprocess``.

In:   an argv (never a shell line), optional limits, stdin bytes, callbacks for stdout lines and for the clock, a cancel event.
Out:  Completed: exit code, stdout, the last ~32 kB of stderr, whether the time limit ended it.
Wrong: UsageError if the program cannot be started; Interrupted if ``cancel`` was set; whatever ``on_line`` and ``on_tick`` raise.
       A bad exit code is not an exception here: the caller knows what it means.

The child leads its own session, and its whole process group is ended (terminate, 1 s, kill) on cancel, time limit and any
exception in the caller, Ctrl-C included. Should vidpipe itself be killed with -9, the kernel kills the child (Linux, PDEATHSIG).

Limits are set by the child on itself before it becomes the program: ``setpriv`` arms PDEATHSIG, ``sh`` looks whether vidpipe is still
there and calls ``ulimit``, and both then exec, so the process id stays and there is neither a moment without limits nor a
``preexec_fn`` (which runs Python between fork and exec and can deadlock in a program with threads, as this one is).
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from vidpipe.data import Data
from vidpipe.errors import Interrupted, UsageError
from vidpipe.media.time_slice import lengthen

STDERR_KEPT = 32 * 1024  # bytes: enough for ffmpeg's last words, bounded for a decoder that complains about every frame
STDERR_FIRST = 4 * 1024
MOST_NOTED = 100  # lines
PATIENCE = 1.0  # seconds between the request to end and the kill
TICK = 0.2  # seconds between looks at the cancel event and the clock
GATHERED = 0.1  # seconds for which the lines of a child that says little are left to gather: being woken for each costs more than the line
MUCH = 8192  # bytes at once; who says so much is read without a pause
INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP"),  # an ffmpeg may be a script that looks for another one
        *("LANG", "LANGUAGE", "LOCPATH", "TZ", "TZDIR"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "LIBRARY_PATH"),
        *("SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT"),  # without them no program starts on Windows
    }
)
"""The variables that a child gets, and those that begin with LC_: enough to start a program and to find its libraries. Nothing else: a
child reads untrusted files, and who knows which variables of a machine hold a password or a token."""

_RUNNING: set[subprocess.Popen[bytes]] = set()
"""The children of this process, for ``kill_all``: a signal handler knows nothing but the process, which has one set of children."""


class Limits(Data):
    """What a child may use.

    memory_bytes: address space.  output_bytes: of any one file that it writes, and of its stdout.
    """

    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    wall_seconds: float | None = None
    output_bytes: int | None = None
    open_files: int | None = None


class Cancel(Protocol):
    """Says whether to stop: a threading.Event, or anything else with ``is_set``."""

    def is_set(self) -> bool:
        """Return True to stop."""


@dataclass(frozen=True)
class AnyOf:
    """Set when any of some signals is."""

    signals: tuple[Cancel, ...]

    def is_set(self) -> bool:
        """Return True to stop."""
        return any(signal.is_set() for signal in self.signals)


@dataclass(frozen=True)
class Completed:
    """How a program ended. returncode: negative for a signal.  timed_out: the wall limit ended it.  seconds: wall time.

    stderr_head: the first 4 kB of stderr.  stderr_tail: the last 32 kB.  noted: its first lines that were asked for, wherever they were.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes = field(repr=False)
    stderr_tail: str
    stderr_head: str = ""
    noted: tuple[str, ...] = ()
    timed_out: bool = False
    seconds: float = 0.0


def run(
    argv: Sequence[str | Path],
    *,
    limits: Limits | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    on_line: Callable[[str], object] | None = None,
    on_tick: Callable[[], object] | None = None,
    cancel: Cancel | None = None,
    note: re.Pattern[bytes] | None = None,
) -> Completed:
    """Run ``argv`` to its end and return how it ended.

    note: lines of stderr that are kept however much stands around them; a talkative decoder pushes the others out.

    on_line is called in the caller's thread with each line of stdout, within GATHERED (then Completed.stdout is empty).
    on_tick is called there every TICK or more often, whether the child says anything or not.
    Of the environment it gets what INHERITED names.
    """
    command = tuple(str(part) for part in argv)
    limits = limits or Limits()
    environment = {name: value for name, value in os.environ.items() if name.upper() in INHERITED or name.startswith("LC_")}
    if shutil.which(command[0], path=environment.get("PATH")) is None:
        # asked first, because the wrapper would start well and only then fail to find it
        raise UsageError(f"cannot start {command[0]}: no such program", fix="check that the program exists and is executable")
    started = time.monotonic()
    with contextlib.ExitStack() as cleanup:
        try:
            child = subprocess.Popen(
                [*_wrapper(limits), *command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=environment,
                start_new_session=True,  # Ctrl-C of the terminal reaches vidpipe only; and the group can be ended whole
            )
        except OSError as error:
            raise UsageError(
                f"cannot start {command[0]}: {error.strerror or error}", fix="check that the program exists and is executable"
            ) from error
        cleanup.enter_context(child)  # closes the pipes and reaps
        _RUNNING.add(child)
        cleanup.callback(_RUNNING.discard, child)
        cleanup.callback(_end, child)
        lengthen(child.pid)  # before it has threads
        blocks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        head, tail, noted = bytearray(), bytearray(), list[bytes]()
        workers = [_start(_read_out, child.stdout, blocks, on_line is not None), _start(_read_err, child.stderr, head, tail, note, noted)]
        if stdin is not None:
            workers.append(_start(_feed, child.stdin, stdin))
        deadline = started + limits.wall_seconds if limits.wall_seconds is not None else None
        stdout, timed_out = _watch(child, blocks, on_line, on_tick, cancel, deadline, limits.output_bytes)
        if timed_out:
            _end(child)
        for worker in workers:
            worker.join(PATIENCE)
        if any(worker.is_alive() for worker in workers):  # a grandchild outlived the child and holds a pipe open
            _signal_group(child, signal.SIGTERM, force=True)
            for worker in workers:
                worker.join()
        return Completed(
            argv=command,
            returncode=child.returncode,
            stdout=stdout,
            stderr_head=bytes(head).decode("utf-8", "replace"),
            stderr_tail=bytes(tail).decode("utf-8", "replace"),
            noted=tuple(line.decode("utf-8", "replace") for line in noted),
            timed_out=timed_out,
            seconds=time.monotonic() - started,
        )


def kill_all() -> None:
    """Kill every running child and its group, without waiting. For a signal handler that ends the process: takes no lock."""
    for child in tuple(_RUNNING):
        if child.returncode is None:
            _signal_group(child, signal.SIGTERM, force=True)


def _watch(
    child: subprocess.Popen[bytes],
    blocks: queue.SimpleQueue[bytes | None],
    on_line: Callable[[str], object] | None,
    on_tick: Callable[[], object] | None,
    cancel: Cancel | None,
    deadline: float | None,
    most: int | None,
) -> tuple[bytes, bool]:
    """Follow the child to its end. Return its stdout and whether it ran out of time."""
    stdout, rest = bytearray(), bytearray()  # rest: the beginning of a line
    total, open_ = 0, True
    ended: float | None = None
    while True:
        if cancel is not None and cancel.is_set():
            raise Interrupted("stopped on request")
        if on_tick is not None:
            on_tick()
        if deadline is not None and time.monotonic() > deadline:
            return bytes(stdout), True
        if not open_:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(TICK)
                return bytes(stdout), False
            continue
        try:
            item = blocks.get(timeout=TICK)
        except queue.Empty:
            # What the child wrote last may still be on its way to the queue; but a grandchild may keep the pipe open for ever.
            if child.poll() is not None:
                ended = ended or time.monotonic()
                open_ = time.monotonic() - ended < PATIENCE
            continue
        if item is None:
            open_ = False
            if on_line is not None and rest:
                on_line(_text(rest))
            continue
        total += len(item)
        if most is not None and total > most:
            _end(child)
            continue
        if on_line is None:
            stdout += item
            continue
        *lines, rest = (rest + item).split(b"\n")
        if len(rest) > STDERR_KEPT:
            lines, rest = [*lines, rest], bytearray()
        for line in lines:
            on_line(_text(line))


def _text(line: bytearray) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _wrapper(limits: Limits) -> list[str]:
    """Return the programs that set limits and then become the command."""
    if sys.platform == "win32":
        return []  # no rlimits there; the wall limit still holds
    wrapper, steps = [], []
    if sys.platform == "linux" and (setpriv := shutil.which("setpriv")) and not _is_busybox(setpriv):
        wrapper += [setpriv, "--pdeathsig", "KILL"]
        # If vidpipe died before that was armed, nobody will send it. PPID is asked of the kernel when sh starts, which is afterwards.
        steps.append(f'[ "$PPID" = {os.getpid()} ] || kill -KILL $$')
    # A hard limit that is already lower makes ulimit fail; then the lower one holds, hence "|| :".
    asked = [
        ("-v", limits.memory_bytes and -(-limits.memory_bytes // 1024)),
        ("-t", limits.cpu_seconds),
        ("-f", limits.output_bytes and -(-limits.output_bytes // 512)),  # POSIX: blocks of 512 bytes
        ("-n", limits.open_files),
    ]
    steps += [f"ulimit {flag} {value} 2>/dev/null || :" for flag, value in asked if value is not None]
    if steps:
        wrapper += ["/bin/sh", "-c", "; ".join([*steps, 'exec "$@"']), "sh"]
    return wrapper


def _is_busybox(program: str) -> bool:
    # Alpine's setpriv is busybox, which knows no --pdeathsig.
    return Path(program).resolve().name.startswith("busybox")


def _start(target: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


def _read_out(pipe: IO[bytes], blocks: queue.SimpleQueue[bytes | None], gathers: bool) -> None:
    with contextlib.suppress(OSError, ValueError):  # the pipe was closed under us: the child was ended
        for block in iter(lambda: os.read(pipe.fileno(), 65536), b""):
            blocks.put(block)
            gathers = gathers and len(block) < MUCH
            if gathers and sys.platform != "win32":
                end = select.poll()
                end.register(pipe, 0)  # nothing but its end, at which a pause would only be a delay
                end.poll(GATHERED * 1000)
    blocks.put(None)


def _read_err(pipe: IO[bytes], head: bytearray, tail: bytearray, note: re.Pattern[bytes] | None, noted: list[bytes]) -> None:
    rest = b""
    with contextlib.suppress(OSError, ValueError):
        for item in iter(lambda: os.read(pipe.fileno(), 8192), b""):
            head += item[: STDERR_FIRST - len(head)]
            tail += item
            del tail[:-STDERR_KEPT]
            if note is not None and len(noted) < MOST_NOTED:
                *lines, rest = (rest[-STDERR_FIRST:] + item).split(b"\n")
                noted += [line for line in lines if note.search(line)][: MOST_NOTED - len(noted)]


def _feed(pipe: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # a child that does not read to the end is its own business
        pipe.write(data)
    with contextlib.suppress(OSError, ValueError):
        pipe.close()


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and its group if they still run: terminate, wait, kill, reap."""
    if child.poll() is not None:
        return
    _signal_group(child, signal.SIGTERM)
    try:
        child.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        _signal_group(child, signal.SIGTERM, force=True)
        child.wait()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals, *, force: bool = False) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL if force else number)
