"""Show how far a run is, let Ctrl-C stop it, and show how it ended.

In:   the value of ``--progress``.
Out:  a Reporter and the event that a signal sets.
Wrong: what the block raises, or Reported if its message has been shown already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

import typer

from vidpipe.cli import exits, options

if TYPE_CHECKING:
    from vidpipe.cli.reporters import UntilLive


@contextmanager
def watching(progress: options.Progress) -> Iterator[tuple[UntilLive, Event]]:
    """Give a Reporter and the event that Ctrl-C sets; let the Reporter show how the block ended."""
    from vidpipe.cli.reporters import UntilLive, watcher

    shown = watcher(progress.value)
    shown.open()
    with exits.stopping(shown.interrupting) as cancel:
        try:
            yield UntilLive(shown, cancel), cancel
        except typer.Exit as ended:
            shown.close(None, ended.exit_code)
            raise
        except BaseException as error:
            problem = exits.failure(error, debug=exits.wants("--debug", sys.argv[1:]))
            if shown.close(problem):
                raise exits.Reported(problem) from error
            raise
        shown.close(None)
