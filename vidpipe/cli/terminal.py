"""The consoles of rich for both streams. Imported when something is printed by it: rich takes longer to load than the help to write.

In:   nothing.  Out: consoles.  Wrong: BrokenPipeError when nobody reads results any more.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Self

from rich.console import Console

from vidpipe.cli.words import PIPED_WIDTH


class Terminal(Console):
    """A console that does not end the program when nobody reads any more: rich would, with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, which ``exits.run`` knows, for results; drop what is said beside them."""
        self.quiet = True
        if not self.stderr:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


    @classmethod
    def of(cls, *, stderr: bool) -> Self:
        """Return the console of a stream."""
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else PIPED_WIDTH
        if stream.isatty() and os.environ.get("TERM") in ("dumb", "unknown"):  # rich takes each of them for 80 columns wide
            with suppress(OSError):
                width = os.get_terminal_size(stream.fileno()).columns or None
        return cls(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)
