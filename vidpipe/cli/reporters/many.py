"""The Reporters of many titles at once: a table that is redrawn, lines for logs, NDJSON.

In:   events of several runs, each with the content id of its title.
Out:  text on standard error.
Wrong: nothing: where nobody reads, the work goes on.

Each title has a Meter of its own from its ``title_started`` to its ``title_finished``.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from typing import TYPE_CHECKING

from vidpipe.cli.reporters.lines import LONGEST_SECONDS, Lines
from vidpipe.cli.reporters.meter import Meter, Snapshot
from vidpipe.cli.reporters.ndjson import Ndjson
from vidpipe.cli.words import err, escaped
from vidpipe.progress import Event, Note, TitleFinished, TitleStarted
from vidpipe.quantities import count, duration, percent

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure


class BatchTally:
    """How far a batch is. titles: in all, None if nobody knows.  open: content id -> how far that title is."""

    def __init__(self, titles: int | None, now: Callable[[], float]) -> None:
        self._now = now
        self._begun = now()
        self.titles = titles
        self.open: dict[str, Meter] = {}
        self.done = 0
        self.failed = 0

    def take(self, event: Event) -> None:
        """Count one event."""
        name = event.content_id or ""
        match event:
            case TitleStarted():
                self.open[name] = Meter(self._now)
            case TitleFinished():
                self.open.pop(name, None)
                self.done += 1
                self.failed += event.state == "failed"
            case _ if name in self.open:
                self.open[name].take(event)
            case _:
                pass

    @property
    def seconds(self) -> float:
        """Since the batch began."""
        return self._now() - self._begun

    def __str__(self) -> str:
        of = f" of {self.titles}" if self.titles is not None else ""
        return f"{self.done}{of} {'title' if (self.titles or self.done) == 1 else 'titles'} done" + (
            f", {self.failed} failed" if self.failed else ""
        )


class Many:
    """What all Watchers of a batch have in common."""

    def __init__(self, titles: int | None, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tally = BatchTally(titles, now)
        self._lock = threading.Lock()

    def open(self) -> None:
        """See Watcher."""

    def snapshot(self) -> Snapshot:
        """See Watcher. What each title has kept, its own result says."""
        return Snapshot(seconds=self._tally.seconds)

    def interrupting(self) -> None:
        """See Watcher."""

    def last_words(self) -> bytes:
        """See Watcher."""
        return b""

    def aside(self) -> AbstractContextManager[None]:
        """See Watcher."""
        return nullcontext()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """See Watcher."""
        return False


class ManyQuiet(Many):
    """Prints warnings, each with its title; where no table follows (``watch``), failures too."""

    def emit(self, event: Event) -> None:
        """See Watcher."""
        if isinstance(event, TitleFinished) and event.state == "failed" and self._tally.titles is None:
            with self._lock, suppress(OSError):
                err().print(escaped(f"{event.content_id}: {ending(event)}"), soft_wrap=True)
        if isinstance(event, Note) and event.level == "warning":
            with self._lock, suppress(OSError):
                err().print(escaped(_warning(event)), soft_wrap=True)


class ManyPlain(Lines, Many):
    """Prints a line when a title ends, one for each note, and how far the batch is when nothing was said for a minute."""

    def __init__(
        self,
        titles: int | None,
        now: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        Lines.__init__(self, clock)
        Many.__init__(self, titles, now)
        self._printed = now()

    def emit(self, event: Event) -> None:
        """Print what has happened."""
        with self._lock:
            self._tally.take(event)
            match event:
                case TitleFinished():
                    self._say(f"{event.content_id}: {ending(event)} ({self._tally})")
                case Note() if event.level == "warning":
                    self._say(_warning(event))
                case _:
                    pass

    def tick(self) -> None:
        """Print how far the batch is, if a minute has passed without a line."""
        with self._lock:
            if self._tally.open and self._now() - self._printed >= LONGEST_SECONDS:
                at = ", ".join(f"{name} {_where(meter.snapshot())}" for name, meter in self._tally.open.items())
                self._say(f"{self._tally}; {at}")

    def _say(self, text: str) -> None:
        self._printed = self._now()
        self._print(text)


class ManyNdjson(Many):
    """Writes the lines of each title as ``Ndjson`` does; each names its title."""

    def __init__(self, titles: int | None, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(titles, now)
        self._of: dict[str | None, Ndjson] = {None: Ndjson(sys.stderr, now)}
        self._begun = now()

    def emit(self, event: Event) -> None:
        """See Watcher."""
        with self._lock:  # one line at a time
            if isinstance(event, TitleStarted):
                self._of[event.content_id] = Ndjson(sys.stderr, self._now, begun=self._begun)
            own = self._of.get(event.content_id)  # what is said of a title after its end needs no count of its own
            (own or Ndjson(sys.stderr, self._now, begun=self._begun)).emit(event)
            if isinstance(event, TitleFinished):
                self._of.pop(event.content_id, None)

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """See Watcher."""
        with self._lock:
            return self._of[None].close(failure, exit_code)


def ending(event: TitleFinished) -> str:
    """Return how a title ended: ``live in 42 s``, ``failed with exit code 3: …``."""
    if event.state == "failed":
        return f"failed with exit code {event.exit_code}" + (f": {event.message[0]}" if event.message else "")
    return f"{event.state.replace('-', ' ')} in {duration(event.seconds)}" if event.state == "live" else event.state.replace("-", " ")


def shares(tally: BatchTally) -> Iterator[tuple[str, str, float | None, str]]:
    """Yield of each open title its id, its stage, how much of that is done, and what is left of it."""
    for name, meter in tally.open.items():
        now = meter.snapshot()
        stage = now.running[-1] if now.running else ""
        headway = now.headway.get(stage)
        left = f"{duration(round(headway.left))} left" if headway and headway.left and round(headway.left) else ""
        yield name, stage, headway.share if headway else None, left


def _where(now: Snapshot) -> str:
    stage = now.running[-1] if now.running else "waiting"
    headway = now.headway.get(stage)
    return f"{stage} {percent(headway.share)}" if headway and headway.share is not None else stage


def _warning(event: Note) -> str:
    return f"{event.content_id}: warning: {event.text}" if event.content_id else f"warning: {event.text}"


def heading(tally: BatchTally) -> str:
    """Return the first line of the table."""
    waiting = tally.titles - tally.done - len(tally.open) if tally.titles is not None else 0
    return f"{tally}, {count(len(tally.open), 'title')} open" + (f", {waiting} waiting" if waiting > 0 else "")
