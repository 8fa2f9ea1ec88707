"""``--progress bar`` of a batch: a table of the titles that are being made, redrawn in place; those that have ended scroll away above it.

In:   events.  Out: a line a title, never wider than the terminal; at the end the table is gone.
Wrong: nothing; where nobody reads, the work goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from rich.text import Text

from vidpipe.cli.reporters.checklist import TURNS_A_SECOND, Glyphs
from vidpipe.cli.reporters.many import Many, ending, heading, shares
from vidpipe.cli.reporters.redrawn import Redrawn
from vidpipe.cli.words import escaped, prose
from vidpipe.progress import Event, Note, TitleFinished
from vidpipe.quantities import duration, percent

NAME_SHARE = 0.4
"""Of the width, that the ids may take at most."""
BAR = 20
"""Columns of a bar."""
STAGE_WIDTH = 10


class TitleTable(Redrawn, Many):
    """Draws the table."""

    def __init__(self, titles: int | None, now: Callable[[], float] = time.monotonic) -> None:
        Many.__init__(self, titles, now)
        Redrawn.__init__(self)

    def emit(self, event: Event) -> None:
        """Count; print what has ended, and warnings, above the table."""
        with self._lock:
            self._tally.take(event)
        with suppress(OSError):  # without the lock: rich has one of its own, and draws meanwhile
            if isinstance(event, TitleFinished):
                mark = self._glyphs.done if event.exit_code == 0 else self._glyphs.failed
                prose(self._console, f"{mark} {event.content_id}  {ending(event)}")
            elif isinstance(event, Note) and event.level == "warning":
                prose(self._console, f"{event.content_id or 'vidpipe'}: warning: {event.text}")

    def lines(self, width: int, height: int) -> list[Text]:
        """See Redrawn."""
        with self._lock:
            lines = table(list(shares(self._tally)), heading(self._tally), self._tally.seconds, width, self._glyphs)
        return lines if len(lines) <= height else [*lines[: height - 1], Text(f"  {self._glyphs.cut}", "dim")]


def table(titles: list[tuple[str, str, float | None, str]], head: str, seconds: float, width: int, glyphs: Glyphs) -> list[Text]:
    """Return the lines: the heading, and of each open title its id, stage, bar, and what is left. None is wider than ``width``."""
    longest = max((Text(escaped(name)).cell_len for name, *_ in titles), default=0)
    names = min(longest, int(width * NAME_SHARE))
    turn = glyphs.running[int(seconds * TURNS_A_SECOND) % len(glyphs.running)]
    lines = [Text.assemble((head, "bold"), f"  {duration(int(seconds))}")]
    for name, stage, share, left in titles:
        shown = Text(escaped(name))
        if shown.cell_len > names:
            shown.truncate(max(names - len(glyphs.cut), 0))
            shown.append(glyphs.cut)
        shown.append(" " * (names - shown.cell_len))
        line = Text.assemble((turn, "cyan"), " ", shown, f"  {(stage or 'waiting').ljust(STAGE_WIDTH)}  ")
        if share is not None:
            full = int(BAR * share)
            line.append(glyphs.full * full, "cyan")
            line.append(glyphs.empty * (BAR - full), "dim")
            line.append(f"  {percent(share):>4}")
        line.append(f"  {left}" if left else "")
        lines.append(line)
    for line in lines:
        line.no_wrap = True
        if line.cell_len > width:
            line.truncate(max(width - len(glyphs.cut), 0))
            line.append(glyphs.cut)
    return lines
