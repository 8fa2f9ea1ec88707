"""``--progress plain``: lines for logs, each with the time. None is ever changed, and they come seldom.

In:   events.
Out:  a line when a stage of an ingest ends, one for each note, and how far a long stage is: every 10 s at most, every 60 s at least.
Wrong: nothing; where nobody reads, the work goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from vidpipe.cli.reporters.lines import LONGEST_SECONDS, SECONDS, STEP, Lines
from vidpipe.cli.reporters.meter import Headway, Snapshot
from vidpipe.cli.reporters.watcher import Metered
from vidpipe.progress import EncodePlanned, Event, FileStarted, Note, StageFinished
from vidpipe.quantities import count, duration, percent, size


class Plain(Lines, Metered):
    """Prints lines. stages: say when each ends; what only plans or validates has its result for that.  clock: the time of day."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] | None = None,
        *,
        stages: bool = True,
    ) -> None:
        Lines.__init__(self, clock)
        Metered.__init__(self, now)
        self._stages = stages
        self._printed = now()
        self._share = 0.0

    def emit(self, event: Event) -> None:
        """Print what has happened."""
        with self._lock:
            self._meter.take(event)
            match event:
                case Note():
                    self._print(event.text if event.level == "info" else f"warning: {event.text}")
                case EncodePlanned():
                    self._print(f"encode: {count(event.frames, 'frame')} in {count(event.chunks, 'chunk')}")
                    self._begin()
                case FileStarted() if event.files > 1:
                    self._print(f"validate: {event.file} ({event.number} of {event.files})")
                    self._begin()
                case StageFinished() if self._stages and not event.failed:
                    self._print(f"{event.stage}: done in {duration(event.seconds)}{self._made(event.stage)}")
                    self._begin()
                case _:
                    pass

    def tick(self) -> None:
        """Print how far the run is, if there is news, or none for a minute."""
        with self._lock:
            waited = self._now() - self._printed
            now = self._meter.snapshot()
            text, share = progress(now)
            if text and (waited >= LONGEST_SECONDS or (waited >= SECONDS and share >= self._share + STEP)):
                self._share, self._printed = share, self._now()
                self._print(text)

    def _begin(self) -> None:
        """Something new begins: its first line comes in ten seconds."""
        self._share, self._printed = 0.0, self._now()

    def _made(self, stage: str) -> str:
        """Return what a stage that has ended came to, if that is a number."""
        now = self._meter.snapshot()
        if stage == "encode" and now.encode is not None:
            return f", {chunks(now)}, {size(now.uploaded)} uploaded"
        if stage == "fetch" and (headway := now.headway.get(stage)):
            return f", {size(headway.done)}"
        return f", {count(now.copied, 'object')} copied" if stage == "copy" else ""


def progress(now: Snapshot) -> tuple[str, float]:
    """Return what the innermost running stage is at as one line, such as ``encode: 42%, 35.1 fps, 1.46x, 31 s left``, and its share."""
    if not now.running:
        return "", 0.0
    name = now.running[-1]
    headway = now.headway.get(name)
    parts = measures(now, name, headway) if headway else []
    if not parts:
        (stage,) = [stage for stage in now.stages if stage.name == name]
        parts = [f"running for {duration(stage.seconds)}"]
    return f"{name}: {', '.join(parts)}", (headway.share or 0.0) if headway else 0.0


def measures(now: Snapshot, name: str, headway: Headway) -> list[str]:
    """Return how far a stage is, how fast, what is left."""
    parts = [percent(headway.share)] if headway.share is not None else []
    if headway.what == "bytes":
        parts.append(f"{size(headway.done)}{f' of {size(headway.total)}' if headway.total is not None else ''}")
        parts += [f"{size(round(headway.pace))}/s"] if headway.pace else []
    elif headway.pace and headway.share != 1:
        parts.append(f"{headway.pace:.1f} fps")
        parts += [f"{now.encode.speed:.2f}x"] if name == "encode" and now.encode and now.encode.speed else []
    parts += [f"{duration(round(headway.left))} left"] if headway.left and round(headway.left) else []
    if name == "encode":
        parts.append(chunks(now))
        parts += [f"{size(now.uploaded)} uploaded"] if now.uploaded else []
    return parts


def chunks(now: Snapshot) -> str:
    """Return how many chunks are done."""
    if now.encode is None:
        return ""
    reused = f" ({now.encode.chunks_reused} reused)" if now.encode.chunks_reused else ""
    return f"chunks {now.encode.chunks_done}/{now.encode.chunks}{reused}"
