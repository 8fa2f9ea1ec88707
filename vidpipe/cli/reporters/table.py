"""``--progress bar`` of a batch: a table of the titles that are being made, redrawn in place; those that have ended scroll away above it.

In:   events.  Out: a line a title, never wider than the terminal; at the end the table is gone.
Wrong: nothing; where nobody reads, the work goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.live import Live as Display
from rich.text import Text

from vidpipe.cli.reporters.checklist import ASCII, TURNS_A_SECOND, UNICODE, Glyphs
from vidpipe.cli.reporters.live import SPARE
from vidpipe.cli.reporters.many import Many, ending, heading, shares
from vidpipe.cli.reporters.watcher import STOPPED, STOPPING
from vidpipe.cli.words import console, escaped, prose
from vidpipe.progress import Event, Note, TitleFinished
from vidpipe.quantities import duration, percent

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure

NAME_SHARE = 0.4
"""Of the width, that the ids may take at most."""
BAR = 20
"""Columns of a bar."""
STAGE_WIDTH = 10


class TitleTable(Many):
    """Draws the table."""

    def __init__(self, titles: int | None, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(titles, now)
        self._console = console(stderr=True)
        self._glyphs = UNICODE if self._console.encoding.startswith("utf") else ASCII
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
            redirect_stdout=False,
            redirect_stderr=False,
        )
        with suppress(OSError):
            self._display.start()

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

    def interrupting(self) -> None:
        """See Watcher."""
        self._stopping = True

    def last_words(self) -> bytes:
        """See Watcher: erase the lines from the last to the first, and show the cursor."""
        erased = "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._height - 1) + "\x1b[?25h"
        return f"{erased}{STOPPED}\n".encode()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the table away, and draw it again below."""
        self._erase()
        yield
        self.open()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Take the table away; the closing table follows."""
        self._erase()
        return False

    def _erase(self) -> None:
        if self._display is not None:
            with suppress(OSError):
                self._display.stop()
        self._display, self._height = None, 0

    def _drawn(self) -> Text:
        with self._lock:
            lines = table(list(shares(self._tally)), heading(self._tally), self._tally.seconds, self._console.width - SPARE, self._glyphs)
        room = self._console.height - 2
        if len(lines) > room:
            lines = [*lines[: room - 1], Text(f"  {self._glyphs.cut}", "dim")]
        if self._stopping:
            lines.append(Text(STOPPING, "yellow", no_wrap=True))
        self._height = len(lines)
        return Text("\n").join(lines)


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
