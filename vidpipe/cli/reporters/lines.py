"""What reporters of lines for logs have in common: each line has the time, and a thread looks whether one is due.

In:   texts.  Out: lines on standard error.  Wrong: nothing; where nobody reads, the work goes on.

The time is UTC, as in the NDJSON: a log is appended to for months, and is compared with those of servers elsewhere.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidpipe.cli.reporters.watcher import STOPPED, STOPPING, print_at_once
from vidpipe.cli.words import err, escaped

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure

SECONDS = 10.0
"""No two lines of progress come sooner after each other than this,"""
STEP = 0.05
"""and not before so much more is done,"""
LONGEST_SECONDS = 60.0
"""but after this time in any case: CI systems end jobs that say nothing."""


class Lines(ABC):
    """Prints lines; stands before what else a Watcher is made of. clock: the time of day."""

    def __init__(self, clock: Callable[[], datetime] | None) -> None:
        self._clock = clock or (lambda: datetime.now(UTC))
        self._over = threading.Event()
        self._console = err()

    @abstractmethod
    def tick(self) -> None:
        """Print a line of progress if one is due."""

    def open(self) -> None:
        """Begin to look every ten seconds."""
        threading.Thread(target=self._look, name="vidpipe-progress", daemon=True).start()

    def interrupting(self) -> None:
        """See Watcher."""
        print_at_once(f"{self._stamp()} {STOPPING}")

    def last_words(self) -> bytes:
        """See Watcher."""
        return f"{self._stamp()} {STOPPED}\n".encode()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """See Watcher."""
        self._over.set()
        return False

    def _look(self) -> None:
        while not self._over.wait(SECONDS):
            self.tick()

    def _print(self, text: str) -> None:
        with suppress(OSError):
            self._console.print(f"{self._stamp()} {escaped(text)}", soft_wrap=True)

    def _stamp(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%SZ")
