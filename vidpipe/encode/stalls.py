"""When an encode falls silent or fails: is the source to blame? An ffmpeg that only decodes the same range shows it.

In:   the progress lines of an encode, as they come, and the job that it works on.
Out:  Blame: what the decoder did, and the command that shows it; None if the source decodes.
Wrong: Hangs if the source is to blame for the silence, Stalled if the encode has been silent for too long whatever the reason.

An encoder may be slow (a minute for the first frames of the slowest preset at 2160p, more on a busy machine), so silence alone proves
nothing. A decoder is never that slow once it has what it reads: if it gives nothing new in its ``patience`` either, it hangs. Only time
in which this process itself runs is counted: after Ctrl-Z, or in a container that was paused, nothing has hung.
"""

from __future__ import annotations

import math
import shlex
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from vidpipe.encode.job import Blame, Job
from vidpipe.media.process import AnyOf, Cancel, Limits, run

SILENT_SECONDS = 60.0
"""Without anything new from an encode, after which the source is decoded alone; and from that, after which the decoder hangs."""

STALLED_SECONDS = 900.0
"""Without anything new from an encode although its source decodes, after which it is given up; and most for a decoder by itself."""

SLOWEST_READ = 20_000_000
"""Bytes a second. A file may hold gigabytes of picture before or between its audio, and one without an index is read from its beginning to
find a place in it; that long, the output may well be silent."""

PAUSE_SECONDS = 0.25
"""Most that counts between two looks at the clock, which come many times a second: else this process was stopped, or hardly got to run."""

DECODER_MEMORY, THREAD_MEMORY = 8 * 1024**3, 512 * 1024**2  # 8K 10-bit pictures with 16 references need 2 GB; a thread has its own picture

PRINTED_BYTES = 256 * 1000**2  # a decoder writes its progress and nothing else

ANSWER_SECONDS = 10.0  # for a healthy ffmpeg to report its version


class Hangs(Exception):
    """The decoder makes no progress."""

    def __init__(self, blame: Blame) -> None:
        super().__init__(blame.reason)
        self.blame = blame


class Stalled(Exception):
    """The encode makes no progress, and nobody knows why."""


class ProgressWatch:
    """Reads ffmpeg's progress lines and tracks the time since the last progress. frames: of the first picture output."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}
        self._since = self._looked = time.monotonic()
        self.frames = 0

    def look(self) -> float:
        """Return the seconds without anything new. Called all the time: of those in which it was not called, few count."""
        now = time.monotonic()
        if now - self._looked > PAUSE_SECONDS:
            self._since = min(self._since + now - self._looked - PAUSE_SECONDS, now)
        self._looked = now
        return now - self._since

    def line(self, text: str) -> bool:
        """Take a line; return whether it reports progress."""
        name, _, value = text.partition("=")
        if name not in ("frame", "out_time_us") or self._seen.get(name) == value:
            return False
        self._seen[name], self._since = value, time.monotonic()
        if name == "frame" and value.strip().isdigit():
            self.frames = max(self.frames, int(value))  # -progress comes twice a second, behind what an output says of itself
        return True


class Guard:
    """Watches one encode. A context manager: at its end, no decoder runs any more.

    decodes: it is known already that the source decodes.
    """

    def __init__(self, program: str, job: Job, folder: Path, cancel: Cancel | None, *, decodes: bool) -> None:
        self._program, self._job, self._folder, self._cancel = program, job, folder, cancel
        self.decodes = decodes
        self.progress = ProgressWatch()
        self._enough = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decoder")
        self._look: Future[Blame | None] | None = None

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._pool.shutdown(wait=True)

    def line(self, text: str) -> bool:
        """Take a progress line of the encode; return whether it reports progress."""
        new = self.progress.line(text)
        if new and self._look is not None:  # it goes on by itself: nothing has to be found out any more
            self._enough.set()
            self._look.exception()
            self._look = None
            self._enough.clear()
        return new

    def tick(self) -> None:
        """Look at the clock; called all the time, whether lines come or not.  Raises Hangs, Stalled."""
        quiet = self.progress.look()
        if self._look is not None and self._look.done():
            found = self._look.result()
            self._look = None
            if found is not None:
                raise Hangs(found)
            self.decodes = True
        if not self.decodes and self._look is None and quiet > patience(self._job):
            signals = (self._enough, self._cancel) if self._cancel is not None else (self._enough,)
            self._look = self._pool.submit(decode_alone, self._program, self._job, self._folder, AnyOf(signals))
        if quiet > STALLED_SECONDS and self._look is None:  # the decoder has at most as long
            raise Stalled(f"no progress for {STALLED_SECONDS:.0f} s")


def patience(job: Job) -> float:
    """Return the seconds for which a decoder may give nothing new."""
    return min(STALLED_SECONDS, SILENT_SECONDS + job.size / SLOWEST_READ)


def decode_alone(program: str, job: Job, folder: Path, cancel: Cancel | None) -> Blame | None:
    """Decode what the job decodes, make nothing of it, and return what went wrong. Nothing is learned from an ffmpeg that is broken itself,
    nor of a job that decodes nothing.

    Raises Interrupted.
    """
    decoding = job.decoding()
    if decoding is None or not Path(job.location).is_file():
        return None
    version = Limits(wall_seconds=min(ANSWER_SECONDS, STALLED_SECONDS))
    if run([program, "-version"], limits=version, cwd=folder, cancel=cancel).returncode:
        return None
    argv = [program, *decoding.arguments]
    memory = DECODER_MEMORY + decoding.threads * THREAD_MEMORY
    progress = ProgressWatch()

    def tick() -> None:
        if progress.look() > patience(job):
            raise Stalled(f"the decoder has made no progress for {patience(job):.0f} s")

    try:
        spent = math.ceil(STALLED_SECONDS) * (decoding.threads + 1)
        limits = Limits(memory_bytes=memory, wall_seconds=STALLED_SECONDS, cpu_seconds=spent, output_bytes=PRINTED_BYTES)
        done = run(argv, cwd=folder, on_line=progress.line, on_tick=tick, cancel=cancel, limits=limits)
    except Stalled as stalled:
        return Blame(str(stalled), shlex.join(argv))
    if done.returncode == 0 or done.timed_out:  # slow, but it moves
        return None
    if done.returncode in (-signal.SIGKILL, -signal.SIGTERM):  # whoever did that (an operator, the kernel for want of memory), it is not
        return None  # the source that crashes a decoder
    words = tuple(done.stderr_tail.splitlines())
    if any("Cannot allocate memory" in word for word in words):
        reason = f"the decoder asks for more than {memory // 1024**3} GB of memory"
    elif done.returncode < 0:
        reason = f"ffmpeg was killed by signal {-done.returncode}"
    else:
        reason = f"ffmpeg ended with exit code {done.returncode}"
    return Blame(f"it cannot be decoded: {reason}", shlex.join(argv), words)
