"""The Reporters of the command line: a live checklist, lines for logs, NDJSON for programs, or nothing.

In:   the events of ``vidpipe.progress``, from several threads.
Out:  text on standard error (docs/progress.md has the schema of the NDJSON).
Wrong: nothing: where nobody reads, the work goes on.

``meter.py`` adds the events up; the others only show what it says. Each value of ``--progress`` is a module; of many titles at once they
are in ``many.py``, and the table of a terminal in ``table.py``.
"""

from __future__ import annotations

from vidpipe.cli.reporters.ndjson import Ndjson
from vidpipe.cli.reporters.plain import Plain
from vidpipe.cli.reporters.quiet import Quiet
from vidpipe.cli.reporters.watcher import UntilLive, Watcher
from vidpipe.cli.words import has_bar
from vidpipe.progress import LAST_STAGE

__all__ = ["Plain", "UntilLive", "Watcher", "watcher", "watcher_of_many"]


def watcher(kind: str, expected: tuple[str, ...] = ()) -> Watcher:
    """Return the Reporter for a value of ``--progress``. expected: stages that are to come, which a checklist shows before they begin.

    A checklist needs a terminal that can redraw lines; without one, what would be a checklist is lines.
    """
    if kind in ("auto", "bar") and has_bar():
        from vidpipe.cli.reporters.live import Checklist  # rich, which only a terminal needs

        return Checklist(expected)
    if kind == "json":
        return Ndjson()
    return Quiet() if kind == "none" else Plain(stages=LAST_STAGE in expected)


def watcher_of_many(kind: str, titles: int | None) -> Watcher:
    """Return the Reporter of a batch. titles: how many, None if nobody knows."""
    from vidpipe.cli.reporters.many import ManyNdjson, ManyPlain, ManyQuiet

    if kind in ("auto", "bar") and has_bar():
        from vidpipe.cli.reporters.table import TitleTable

        return TitleTable(titles)
    if kind == "json":
        return ManyNdjson(titles)
    return ManyQuiet(titles) if kind == "none" else ManyPlain(titles)
