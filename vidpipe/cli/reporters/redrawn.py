"""Lines on a terminal that are redrawn in place while a run goes on, and are gone at its end.

In:   the lines, whenever they are asked for: a few times a second, by rich's thread.
Out:  those lines, and below them that the run is stopping; an erased terminal at the end, whoever ends it.
Wrong: nothing; where nobody reads, the work goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.live import Live as Display
from rich.text import Text

from vidpipe.cli.reporters.checklist import ASCII, TURNS_A_SECOND, UNICODE
from vidpipe.cli.reporters.watcher import STOPPED, STOPPING
from vidpipe.cli.words import console

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure

SPARE = 3
"""Columns that stay empty on the right: the terminal shows ^C there, and must not begin a new line for it."""


class Redrawn:
    """What all Watchers that draw have in common."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._glyphs = UNICODE if self._console.encoding.startswith("utf") else ASCII
        self._display: Display | None = None
        self._stopping = False
        self._height = 0

    def lines(self, width: int, height: int) -> list[Text]:
        """Return what is to be seen now: no line wider than ``width``, at most ``height`` of them."""
        raise NotImplementedError

    def open(self) -> None:
        """Begin to draw."""
        self._display = Display(
            console=self._console,
            get_renderable=self._drawn,
            refresh_per_second=TURNS_A_SECOND,
            transient=True,
            redirect_stdout=False,  # results go where standard output goes, not where the lines are
            redirect_stderr=False,
        )
        with suppress(OSError):
            self._display.start()

    def interrupting(self) -> None:
        """See Watcher: the next time they are drawn, the lines say it."""
        self._stopping = True

    def last_words(self) -> bytes:
        """See Watcher: erase the lines from the last to the first, and show the cursor."""
        erased = "\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._height - 1) + "\x1b[?25h"
        return f"{erased}{STOPPED}\n".encode()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the lines away, and draw them again below."""
        self._erase()
        yield
        self.open()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Take the lines away; what follows says how the run ended."""
        self._erase()
        return False

    def _erase(self) -> None:
        if self._display is not None:
            with suppress(OSError):
                self._display.stop()
        self._display, self._height = None, 0

    def _drawn(self) -> Text:
        lines = self.lines(self._console.width - SPARE, self._console.height - 2)
        if self._stopping:
            lines.append(Text(STOPPING, "yellow", no_wrap=True))
        self._height = len(lines)
        return Text("\n").join(lines)
