"""``--progress bar``: a checklist of the stages, redrawn in place: what is done and how long it took, what runs and what is left of it.

In:   events.  Out: a line a stage, never wider than the terminal, which is gone at the end.
Wrong: nothing; where nobody reads, the work goes on.

Events are only counted; a few times a second rich's thread asks for the lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich.text import Text

from vidpipe.cli.reporters.checklist import checklist
from vidpipe.cli.reporters.redrawn import Redrawn
from vidpipe.cli.reporters.watcher import Metered
from vidpipe.cli.words import prose
from vidpipe.progress import Event, Note


class Checklist(Redrawn, Metered):
    """Draws the checklist. expected: stages that are shown before they begin."""

    def __init__(self, expected: Sequence[str] = (), now: Callable[[], float] = time.monotonic) -> None:
        Metered.__init__(self, now)
        Redrawn.__init__(self)
        self._expected = tuple(expected)

    def emit(self, event: Event) -> None:
        """Count, and print a warning above the checklist."""
        with self._lock:
            self._meter.take(event)
        if isinstance(event, Note) and event.level == "warning":  # without the lock: rich has one of its own, and draws meanwhile
            with suppress(OSError):
                prose(self._console, f"warning: {event.text}")

    def lines(self, width: int, height: int) -> list[Text]:
        """See Redrawn. Where there are too few lines, what runs is what matters."""
        now = self.snapshot()
        lines = checklist(now, self._expected, width, self._glyphs)
        if len(lines) > height:
            running = tuple(stage for stage in now.stages if not stage.finished)
            lines = checklist(now.model_copy(update={"stages": running}), (), width, self._glyphs)
        return lines
