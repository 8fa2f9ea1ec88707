"""Safe text for terminals: consoles, and the cleaning of text that comes from files.

In:   text of unknown origin, such as a title in a container.
Out:  the same text with every character that could steer a terminal written as an escape; consoles for both streams.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 10_000
"""Columns of output that goes into a file or a pipe: nothing is cut or folded there."""

# C0 and C1 controls, line and paragraph separators, marks that reorder or hide text, unpaired surrogates
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")


def escaped(text: object) -> str:
    """Return text in which no character can move the cursor, change colours or reverse the reading order."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


class Unwritten(OSError):
    """Standard output takes nothing more: the disk is full, for example. (That nobody reads is a BrokenPipeError.)"""


class StandardOutput(TextIOWrapper):
    """Standard output, whose failures can be distinguished from all others."""

    def write(self, text: str, /) -> int:
        """See TextIOBase."""
        with _unwritten():
            return super().write(text)

    def flush(self) -> None:
        """See IOBase."""
        with _unwritten():
            super().flush()


@contextmanager
def _unwritten() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise Unwritten(problem.errno, problem.strerror) from problem


def out() -> Console:
    """The console of results. Colour only on a terminal that wants it (NO_COLOR is respected)."""
    return console(stderr=False)


class Printer(Protocol):
    """Prints lines: a console of rich, or Piped."""

    @property
    def width(self) -> int:
        """Columns that a line may have."""

    def print(self, text: str, /, *, style: str | None = None, end: str = "\n", soft_wrap: bool = True) -> None:
        """Print a line of text."""


class Piped:
    """Standard error that is no terminal. rich would print the same lines there, and take longer to load than all of them to write."""

    quiet = False
    width = PIPED_WIDTH

    def print(self, text: str, /, *, style: str | None = None, end: str = "\n", soft_wrap: bool = True) -> None:
        """Print a line of text, as it is. Goes quiet when the pipe is closed."""
        if self.quiet:
            return
        try:
            sys.stderr.write(text + end)
            sys.stderr.flush()
        except BrokenPipeError:
            self.quiet = True


def err() -> Printer:
    """The console of everything that is said to people beside the result. Goes quiet when its pipe is closed."""
    return console(stderr=True) if _is_shown() else Piped()


def has_bar() -> bool:
    """Whether standard error is a terminal that can redraw a line."""
    if not _is_shown():
        return False
    shown = console(stderr=True)
    return shown.is_terminal and not shown.is_dumb_terminal


def lines(console: Printer, *texts: str) -> None:
    """Print lines that may be pasted: they are not broken."""
    for text in texts:
        console.print(escaped(text), soft_wrap=True)


def prose(console: Printer, text: str, *, indent: str = "  ") -> None:
    """Print a sentence, folded between words. indent: of all lines but the first."""
    for line in folded(escaped(text), console.width, indent):
        console.print(line, soft_wrap=True)


def folded(text: str, width: int, indent: str = "") -> list[str]:
    """Return the lines of a text, folded between words. A path is a word, and stays whole even if it is wider."""
    if len(text) <= width:
        return [text]
    from textwrap import wrap

    return wrap(text, max(width, 1), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _is_shown() -> bool:
    """Whether standard error is a terminal, or the environment says so: these variables are rich's."""
    return sys.stderr.isatty() or any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"))


def write_json(value: Any, *, lines: bool = False) -> None:
    """Print one JSON value: indented on a terminal, else on one line. Controls and non-ASCII are escaped. lines: always on one line."""
    sys.stdout.write(json.dumps(value, indent=2 if sys.stdout.isatty() and not lines else None) + "\n")
    sys.stdout.flush()


def console(*, stderr: bool) -> Console:
    """The console of rich for a stream."""
    from vidpipe.cli.terminal import Terminal  # rich

    return Terminal.of(stderr=stderr)
