"""Show a run while it goes on: a Reporter for its events, Ctrl-C, and how it ended.

In:   the way to show progress that was asked for.
Out:  while a block runs, its Reporter and the event that Ctrl-C and SIGTERM set.
Wrong: what the block raises; Reported if that has been shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING

import typer

from vidpipe.cli import exits, options
from vidpipe.cli.words import err
from vidpipe.errors import Interrupted

if TYPE_CHECKING:
    from vidpipe.cli.reporters import UntilLive, Watcher


@contextmanager
def watching(progress: options.Progress, *stages: str) -> Iterator[tuple[UntilLive, Event]]:
    """Give a Reporter and the event that Ctrl-C sets; let the Reporter show how the block ended. stages: that are to come."""
    from vidpipe.cli.reporters import UntilLive, watcher

    with _shown(watcher(progress.value, stages)) as (shown, cancel):
        yield UntilLive(shown, cancel), cancel


@contextmanager
def watching_many(progress: options.Progress, titles: int | None) -> Iterator[tuple[Watcher, Event]]:
    """The same for many titles. A signal stops those that are not about to become live. titles: how many, None if nobody knows."""
    from vidpipe.cli.reporters import watcher_of_many

    with _shown(watcher_of_many(progress.value, titles)) as (shown, cancel):
        yield shown, cancel


@contextmanager
def _shown(shown: Watcher) -> Iterator[tuple[Watcher, exits.Stop]]:
    shown.open()
    with exits.stopping(shown.interrupting, shown.last_words) as cancel:
        try:
            yield shown, cancel
        except typer.Exit as ended:
            shown.close(None, ended.exit_code)
            raise
        except BaseException as error:
            problem = exits.failure(error, debug=exits.wants("--debug", sys.argv[1:]))
            if shown.close(problem):
                raise exits.Reported(problem) from error
            if problem.exit_code == Interrupted.exit_code:
                from vidpipe.cli.summary import interrupted

                with suppress(OSError):  # nobody reads: the exit code says it
                    interrupted(err(), shown.snapshot(), sys.argv[1:])
                if type(error) in (Interrupted, KeyboardInterrupt) and not problem.traceback:  # others have more to say
                    raise exits.Reported(problem) from error
            raise
        shown.close(None)
