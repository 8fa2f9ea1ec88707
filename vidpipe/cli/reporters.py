"""The Reporters of the command line: a bar, lines for logs, NDJSON for programs.

In:   the events of ``vidpipe.progress``, from several threads.
Out:  text on standard error (docs/progress.md has the schema of the NDJSON).

``Meter`` adds the events up; the others only show what it says. Frames of reused chunks count as done but never as speed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from vidpipe.cli.exits import Failure, Stop
from vidpipe.cli.words import console, err, escaped, has_bar
from vidpipe.data import Data
from vidpipe.progress import (
    LAST_STAGE,
    ChunkFinished,
    ChunkProgress,
    Copied,
    DecodeProgress,
    EncodePlanned,
    Event,
    Fetched,
    FileStarted,
    Note,
    StageFinished,
    StageStarted,
    Uploaded,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

WINDOW_SECONDS = 30.0
"""Speed is measured over this time: long enough that chunks ending together do not make it jump."""
PLAIN_SECONDS = 10.0
JSON_SECONDS = 1.0
FETCH = "fetch"
"""The stage in which a source comes from elsewhere; nothing else is done meanwhile."""
VALIDATE = "validate"
"""The stage in which a source is measured and, by the command of that name, decoded."""


NOT_OF_AN_ENCODE = {"stages", "bytes_fetched", "bytes_to_fetch", "file", "frames_decoded", "frames_to_decode"}
"""What a Snapshot has and a progress line of NDJSON has not: events of their own say it."""


class Snapshot(Data):
    """How far a run is.

    bytes_fetched: of a source that comes from elsewhere.  bytes_to_fetch: in all, None if nobody says.
    file: that is validated, None unless it is one of several.
    frames_decoded: of it, and frames_to_decode: in all, None before that begins.
    frames: of the timeline, done.  fps: frames encoded a second.  speed: times realtime.  eta: seconds left of the encode.
    percent and frames_total are None before the encode is planned, fps, speed and eta while nothing has been encoded.
    """

    bytes_fetched: int = 0
    bytes_to_fetch: int | None = None
    file: str | None = None
    frames_decoded: int = 0
    frames_to_decode: int | None = None
    percent: float | None = None
    frames: int = 0
    frames_total: int | None = None
    fps: float | None = None
    speed: float | None = None
    eta: float | None = None
    chunks_done: int = 0
    chunks_reused: int = 0
    chunks: int = 0
    bytes_uploaded: int = 0
    stages: tuple[str, ...] = ()


class Meter:
    """Adds up events. Not thread-safe; its owner guards it. now: seconds of a clock that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._planned: EncodePlanned | None = None
        self._frames: dict[int, int] = {}
        self._finished: dict[int, bool] = {}
        self._fetched = Fetched(bytes=0)
        self._file: str | None = None
        self._decoded: DecodeProgress | None = None
        self._uploaded = 0
        self._stages: list[str] = []
        self._samples: deque[tuple[float, int]] = deque()

    def take(self, event: Event) -> None:
        """Count one event."""
        match event:
            case Fetched():
                self._fetched = event
            case FileStarted():
                self._file = f"{event.file} ({event.number} of {event.files})" if event.files > 1 else None
                self._decoded = None
            case DecodeProgress():
                if self._decoded is None or event.frames < self._decoded.frames:
                    self._samples.clear()  # another file, or from the beginning once more
                    self._samples.append((self._now(), 0))
                self._decoded = event
                self._add_sample(event.frames)
            case EncodePlanned():
                self._planned = event
                self._samples.append((self._now(), 0))
            case ChunkProgress() if event.chunk not in self._finished:
                self._frames[event.chunk] = event.frames
                self._sample()
            case ChunkFinished():
                self._frames[event.chunk] = event.frames
                self._finished[event.chunk] = event.reused
                self._sample()
            case Uploaded():
                self._uploaded += event.bytes
            case StageStarted():
                self._stages.append(event.stage)
            case StageFinished() if event.stage in self._stages:
                self._stages.remove(event.stage)
            case _:
                pass

    def snapshot(self) -> Snapshot:
        """Return how far the run is now."""
        done = sum(self._frames.values())
        known: dict[str, Any] = {}
        if self._planned is not None:
            total = self._planned.frames
            known = {"frames_total": total, "chunks": self._planned.chunks, "percent": _percent(done, total)}
            fps = self._fps()
            if fps:
                rate = self._planned.frame_rate
                left = max(total - done, 0) / fps
                known |= {"fps": round(fps, 1), "speed": round(fps / rate, 2) if rate else None, "eta": round(left, 1)}
        elif self._decoded is not None:
            decoded, whole = self._decoded.frames, self._decoded.frames_total
            known = {"frames_decoded": decoded, "frames_to_decode": whole, "percent": _percent(decoded, whole)}
            if fps := self._fps():
                known |= {"fps": round(fps, 1), "eta": round(max(whole - decoded, 0) / fps, 1)}
        return Snapshot(
            bytes_fetched=self._fetched.bytes,
            bytes_to_fetch=self._fetched.total,
            file=self._file,
            frames=done,
            chunks_done=len(self._finished),
            chunks_reused=sum(self._finished.values()),
            bytes_uploaded=self._uploaded,
            stages=tuple(self._stages),
            **known,
        )

    def _sample(self) -> None:
        """Remember how many frames have been encoded by now: all but those of reused chunks."""
        self._add_sample(sum(frames for chunk, frames in self._frames.items() if not self._finished.get(chunk)))

    def _add_sample(self, frames: int) -> None:
        now = self._now()
        self._samples.append((now, frames))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()

    def _fps(self) -> float | None:
        if not self._samples:
            return None
        (begun, before), (_, after) = self._samples[0], self._samples[-1]
        elapsed = self._now() - begun
        return (after - before) / elapsed if elapsed > 0 and after > before else None


def _percent(done: int, total: int) -> float:
    return round(100 * min(done, total) / total, 1) if total else 100.0


class Watcher(Protocol):
    """A Reporter that is opened before a run and closed with how it ended."""

    def emit(self, event: Event) -> None:
        """Take one event; see Reporter."""

    def open(self) -> None:
        """Begin to show."""

    def interrupting(self) -> None:
        """Say that the run is stopping."""

    def aside(self) -> AbstractContextManager[None]:
        """Leave the terminal to a result that is printed before the end."""

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """End. Return True if the failure has been shown and needs no text. exit_code: of a run that did not fail."""


@dataclass(frozen=True)
class UntilLive:
    """Passes every event on, and lets no signal stop the run once it makes a version live: then the exit code says whether it is."""

    shown: Watcher
    stop: Stop

    def emit(self, event: Event) -> None:
        """Take one event; see Reporter."""
        if isinstance(event, StageStarted) and event.stage == LAST_STAGE:
            self.stop.too_late = True
        self.shown.emit(event)

    def aside(self) -> AbstractContextManager[None]:
        """See Watcher."""
        return self.shown.aside()


class Quiet:
    """--progress none: warnings only."""

    def open(self) -> None:
        """Nothing to open."""

    def emit(self, event: Event) -> None:
        """Show warnings."""
        if isinstance(event, Note) and event.level == "warning":
            with suppress(OSError):  # nobody reads; the work goes on, here and below
                err().print(f"warning: {escaped(event.text)}", soft_wrap=True)

    def interrupting(self) -> None:
        """Say nothing."""

    def aside(self) -> AbstractContextManager[None]:
        """See Watcher."""
        return nullcontext()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Nothing to close."""
        return False


class Plain:
    """--progress plain: a line every ten seconds, for logs."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._meter = Meter(now)
        self._lock = threading.Lock()
        self._shown = now()
        self._console = err()

    def open(self) -> None:
        """Nothing to open."""

    def emit(self, event: Event) -> None:
        """Show notes and the size of the encode at once, progress now and then."""
        with self._lock:
            self._meter.take(event)
            if isinstance(event, Note):
                self._say(escaped(event.text) if event.level == "info" else f"warning: {escaped(event.text)}")
            elif isinstance(event, EncodePlanned):
                self._say(f"encoding {event.frames} frames in {count(event.chunks, 'chunk')}")
            elif isinstance(event, FileStarted):
                if event.files > 1:
                    self._say(f"validating {escaped(event.file)} ({event.number} of {event.files})")
            elif self._now() - self._shown >= PLAIN_SECONDS:
                self._shown = self._now()
                self._say(line(self._meter.snapshot()))

    def interrupting(self) -> None:
        """Say that the run is stopping, without the lock: this is called from a signal handler."""
        print_stopping()

    def aside(self) -> AbstractContextManager[None]:
        """See Watcher."""
        return nullcontext()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Show the last state of an encode."""
        with self._lock:
            last = self._meter.snapshot()
            if last.frames_total is not None:
                self._say(line(last))
        return False

    def _say(self, text: str) -> None:
        with suppress(OSError):
            self._console.print(text, soft_wrap=True)


class Bar:
    """--progress bar: one bar a title, redrawn in place."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn  # only a terminal shows a bar

        self._meter = Meter()
        self._lock = threading.Lock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[state]}"),
            console=console(stderr=True),
            transient=True,
            expand=True,
            redirect_stdout=False,  # results go where standard output goes, not where the bar is
        )
        self._task: TaskID | None = None

    def open(self) -> None:
        """Draw the bar."""
        self._task = self._progress.add_task("starting", total=None, state="")
        with suppress(OSError):
            self._progress.start()

    def emit(self, event: Event) -> None:
        """Redraw."""
        with self._lock, suppress(OSError):
            self._meter.take(event)
            if isinstance(event, Note):
                self._progress.console.print(escaped(event.text), style="yellow" if event.level == "warning" else None)
            if self._task is None:
                return
            now = self._meter.snapshot()
            done, total = now.frames, now.frames_total
            if FETCH in now.stages:
                done, total = now.bytes_fetched, now.bytes_to_fetch
            elif now.frames_to_decode is not None:
                done, total = now.frames_decoded, now.frames_to_decode
            what = ", ".join(now.stages) or "working"
            what += f" {escaped(now.file)}" if now.file else ""
            self._progress.update(self._task, description=what, total=total, completed=done, state=line(now))

    def interrupting(self) -> None:
        """Say that the run is stopping, without the lock: this is called from a signal handler."""
        print_stopping()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar away, and draw it again below."""
        with suppress(OSError):
            self._progress.stop()
        yield
        with suppress(OSError):
            self._progress.start()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Remove the bar; the summary or the error follows."""
        with suppress(OSError):
            self._progress.stop()
        return False


class Ndjson:
    """--progress json: one JSON object a line; the last one says how the run ended."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._now = now
        self._meter = Meter(now)
        self._lock = threading.Lock()
        self._shown: float | None = None
        self._written: float | None = None
        self._unwritten: Fetched | DecodeProgress | None = None
        self._begun = now()
        self._run: dict[str, str | None] = {"run": None, "content_id": None}

    def open(self) -> None:
        """Nothing to open."""

    def emit(self, event: Event) -> None:
        """Write the event, or its share of the next progress line."""
        with self._lock:
            self._run = {"run": event.run, "content_id": event.content_id}
            self._meter.take(event)
            if isinstance(event, Fetched | DecodeProgress):
                self._counted(event)
            elif isinstance(event, StageFinished) and event.stage in (FETCH, VALIDATE) and self._unwritten is not None:
                self._event(self._unwritten)
                self._unwritten = None
            if not isinstance(event, ChunkProgress | Uploaded | Copied | Fetched | DecodeProgress):
                self._event(event)
            if self._shown is None or self._now() - self._shown >= JSON_SECONDS:
                self._progress()

    def interrupting(self) -> None:
        """Say nothing: the last line does."""

    def aside(self) -> AbstractContextManager[None]:
        """See Watcher."""
        return nullcontext()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Write the last state and how it ended."""
        with self._lock:
            self._progress()
            if failure is None:
                self._write({"event": "finished", "exit_code": exit_code})
                return True
            self._write({"event": "failed", **failure.report()})
        return True

    def _counted(self, event: Fetched | DecodeProgress) -> None:
        """Write how much of the source is here, or decoded, once a second; the last is written when the stage ends."""
        if self._written is not None and self._now() - self._written < JSON_SECONDS:
            self._unwritten = event
            return
        self._written, self._unwritten = self._now(), None
        self._event(event)

    def _progress(self) -> None:
        now = self._meter.snapshot()
        if now.frames_total is not None:
            self._shown = self._now()
            self._write({"event": "progress", **now.model_dump(mode="json", exclude=NOT_OF_AN_ENCODE)})

    def _event(self, event: Event) -> None:
        self._write(event.model_dump(mode="json", exclude={"run", "content_id", "at"}), event.at)

    def _write(self, value: dict[str, Any], at: datetime | None = None) -> None:
        time = (at or datetime.now(UTC)).isoformat(timespec="milliseconds")
        stamp = {**self._run, "time": time, "elapsed": round(self._now() - self._begun, 3)}
        try:
            self._stream.write(json.dumps(value | stamp) + "\n")
            self._stream.flush()
        except OSError:  # the pipe was closed; the work goes on
            return


def watcher(kind: str) -> Watcher:
    """Return the Reporter for a value of ``--progress``."""
    if kind == "auto":
        kind = "bar" if has_bar() else "plain"
    kinds: dict[str, Callable[[], Watcher]] = {"bar": Bar, "plain": Plain, "json": Ndjson, "none": Quiet}
    return kinds[kind]()


def line(now: Snapshot) -> str:
    """Return how far a run is as one line for people, such as ``42 %  35.1 fps  1.46x  ETA 0:31  chunks 3/8  12.3 MB uploaded``."""
    if FETCH in now.stages:
        return f"{size(now.bytes_fetched)}{f' of {size(now.bytes_to_fetch)}' if now.bytes_to_fetch is not None else ''} fetched"
    parts = [f"{now.percent:.0f} %"] if now.percent is not None else []
    if now.frames_to_decode is not None:
        parts += [f"{now.fps:.1f} fps", f"ETA {clock(now.eta or 0)}"] if now.fps is not None else []
        parts += [escaped(now.file)] if now.file else []
    elif now.fps is not None and now.frames != now.frames_total:
        parts += [f"{now.fps:.1f} fps", f"{now.speed or 0:.2f}x", f"ETA {clock(now.eta or 0)}"]
    if now.chunks:
        parts.append(f"chunks {now.chunks_done}/{now.chunks}" + (f" ({now.chunks_reused} reused)" if now.chunks_reused else ""))
    if now.bytes_uploaded:
        parts.append(f"{size(now.bytes_uploaded)} uploaded")
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Return a time as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(number: int) -> str:
    """Return a number of bytes for people, in powers of 1,000."""
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def print_stopping() -> None:
    """Show that Ctrl-C was seen; safe in a signal handler."""
    with suppress(OSError, ValueError):  # standard error is closed, or has no file below it
        os.write(sys.stderr.fileno(), b"\nstopping; press Ctrl-C again to stop at once\n")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: 1 chunk, 2 chunks."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
