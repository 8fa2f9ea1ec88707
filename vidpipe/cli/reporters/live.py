"""``--progress bar``: a checklist of the stages, redrawn in place: what is done and how long it took, what runs and what is left of it.

In:   events.  Out: a line a stage, never wider than the terminal, which is gone at the end.
Wrong: nothing; where nobody reads, the work goes on.

Events are only counted; a few times a second rich's thread asks for the lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.live import Live as Display
from rich.text import Text

from vidpipe.cli.reporters.checklist import ASCII, TURNS_A_SECOND, UNICODE, checklist
from vidpipe.cli.reporters.watcher import STOPPED, STOPPING, Metered
from vidpipe.cli.words import console, prose
from vidpipe.progress import Event, Note

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure

SPARE = 3
"""Columns that stay empty on the right: the terminal shows ^C there, and must not begin a new line for it."""


class Checklist(Metered):
    """Draws the checklist. expected: stages that are shown before they begin."""

    def __init__(self, expected: Sequence[str] = (), now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(now)
        self._expected = tuple(expected)
        self._console = console(stderr=True)
        self._display: Display | None = None
        self._stopping = False
        self._height = 0

    def open(self) -> None:
        """Begin to draw."""
        self._display = Display(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=TURNS_A_SECOND,
            transient=True,
            redirect_stdout=False,  # results go where standard output goes, not where the checklist is
            redirect_stderr=False,
        )
        with suppress(OSError):
            self._display.start()

    def emit(self, event: Event) -> None:
        """Count, and print a warning above the checklist."""
        with self._lock:
            self._meter.take(event)
        if isinstance(event, Note) and event.level == "warning":  # without the lock: rich has one of its own, and draws meanwhile
            with suppress(OSError):
                prose(self._console, f"warning: {event.text}")

    def interrupting(self) -> None:
        """See Watcher: the next time it is drawn, the checklist says it."""
        self._stopping = True

    def last_words(self) -> bytes:
        """See Watcher: erase the lines from the last to the first, and show the cursor."""
        erased = "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._height - 1) + "\x1b[?25h"
        return f"{erased}{STOPPED}\n".encode()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the checklist away, and draw it again below."""
        self._erase()
        yield
        self.open()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Take the checklist away; the summary or the error follows."""
        self._erase()
        return False

    def _erase(self) -> None:
        if self._display is not None:
            with suppress(OSError):
                self._display.stop()
        self._display, self._height = None, 0

    def _drawn(self) -> Text:
        now, width = self.snapshot(), self._console.width - SPARE
        glyphs = UNICODE if self._console.encoding.startswith("utf") else ASCII
        lines = checklist(now, self._expected, width, glyphs)
        if len(lines) > self._console.height - 2:  # too few lines: what runs is what matters
            running = tuple(stage for stage in now.stages if not stage.finished)
            lines = checklist(now.model_copy(update={"stages": running}), (), width, glyphs)
        if self._stopping:
            lines.append(Text(STOPPING, "yellow", no_wrap=True))
        self._height = len(lines)
        return Text("\n").join(lines)
