"""What a command sees of a Reporter: it is opened before a run and closed with how it ended.

In:   the events of a run.  Out: Watcher, and ``UntilLive``, which stands between it and the run.  Wrong: nothing.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Protocol

from vidpipe.cli.reporters.meter import Meter, Snapshot
from vidpipe.progress import LAST_STAGE, Event, Note, StageStarted

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure, Stop

STOPPING = "stopping; press Ctrl-C again to stop at once"
STOPPED = "stopped at once; what was finished is kept"


class Watcher(Protocol):
    """A Reporter that is opened before a run and closed with how it ended."""

    def emit(self, event: Event) -> None:
        """Take one event; see Reporter."""

    def open(self) -> None:
        """Begin to show."""

    def snapshot(self) -> Snapshot:
        """Return how far the run is."""

    def interrupting(self) -> None:
        """Say that the run is stopping. Called in a signal handler: it takes no lock."""

    def last_words(self) -> bytes:
        """Return what is left to write for a process that ends at once. It takes no lock either."""

    def aside(self) -> AbstractContextManager[None]:
        """Leave the terminal to a result that is printed before the end."""

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """End. Return True if how the run ended has been shown. exit_code: of a run that did not fail."""


class Metered:
    """What all Watchers have in common: a Meter behind a lock, and nothing to open or to step aside for."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._meter = Meter(now)
        self._lock = threading.Lock()

    def open(self) -> None:
        """See Watcher."""

    def snapshot(self) -> Snapshot:
        """See Watcher."""
        with self._lock:
            return self._meter.snapshot()

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


class UntilLive:
    """Passes every event on, remembers the warnings, and lets no signal stop the run once it makes a version live.

    From then on the exit code says whether it is. warned: texts that the person has read, so that the summary need not repeat them.
    """

    def __init__(self, shown: Watcher, stop: Stop) -> None:
        self.shown, self.stop = shown, stop
        self.warned: list[str] = []

    def emit(self, event: Event) -> None:
        """Take one event; see Reporter."""
        if isinstance(event, StageStarted) and event.stage == LAST_STAGE:
            self.stop.too_late = True
        if isinstance(event, Note) and event.level == "warning":
            self.warned.append(event.text)
        self.shown.emit(event)

    def aside(self) -> AbstractContextManager[None]:
        """See Watcher."""
        return self.shown.aside()


def print_at_once(text: str) -> None:
    """Print a line from a signal handler: past all buffers and locks."""
    with suppress(OSError, ValueError):  # standard error is closed, or has no file below it
        os.write(sys.stderr.fileno(), f"{text}\n".encode())
