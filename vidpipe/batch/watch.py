"""Make a title of every source that arrives, until somebody stops it: a service.

In:   an inbox, the Settings of all titles.
Out:  a TitleResult for each source, which lies in ``done/`` or ``failed/`` of the inbox afterwards.
Wrong: UsageError if the inbox cannot be read, or another process watches it.

Nothing is remembered but what lies where: a watcher that was killed finds the source still in the inbox, and the ingest resumes, or finds
the title live and moves the source. A source that was stopped stays where it is. So does one that is not to blame: if target or catalog
fail, it is tried again, after PAUSE and then ever more seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from vidpipe.batch.inbox import SETTLE, Inbox, open_inbox
from vidpipe.batch.queue import TitleResult, run_batch
from vidpipe.batch.requests import BatchTitle, from_sources
from vidpipe.errors import CatalogFailed, PublishFailed, UsageError, VerificationFailed
from vidpipe.progress import Note, Reporter, RunReporter
from vidpipe.settings import Settings
from vidpipe.work.watched import watching

PERIOD = 5.0
"""Seconds between two looks into the inbox."""
PAUSE, LONGEST_PAUSE = 60.0, 900.0
"""Seconds before the next attempt after a failure that is not the source's; each doubles the one before."""
NOT_ITS_FAULT = (PublishFailed.exit_code, VerificationFailed.exit_code, CatalogFailed.exit_code)


def watch(
    where: str,
    configured: Callable[[Mapping[str, str]], Settings],
    reporter: Reporter,
    cancel: threading.Event,
    *,
    replace: bool = False,
    settle: float = SETTLE,
    period: float = PERIOD,
    pause: float = PAUSE,
) -> Iterator[TitleResult]:
    """Make a title of each source that arrives and yield how it ended, until ``cancel`` is set.

    replace: a source may take the place of the one that a live title of its name was made of.
    settle: seconds after which a file that no longer changes is whole.  pause: before another attempt where the target failed.
    """
    settings, inbox = configured({}), open_inbox(where, settle)
    name = where if where.lower().startswith("s3://") else str(Path(where).resolve())
    with watching(settings.work, name) as free:
        if not free:
            raise UsageError("another process watches this inbox", where=where, fix="stop it, or watch another folder")
        arrivals = _Arrivals(inbox, period, pause, replace, RunReporter(reporter))
        for result in run_batch(arrivals, configured, reporter, cancel):
            source, own = arrivals.source_of(result.content_id), RunReporter(reporter, result.content_id)
            if result.exit_code in NOT_ITS_FAULT:
                seconds = arrivals.later(source)
                own.emit(Note(level="warning", text=f"{Path(source).name} is tried again in {seconds:.0f} s"))
            elif result.state != "stopped" and not _put_away(inbox, source, result, own):
                arrivals.never(source)
            arrivals.ended(result.content_id)
            yield result


class _Arrivals:
    """The titles of the sources that arrive; None while there is none. Two sources of one title come one after the other."""

    def __init__(self, inbox: Inbox, period: float, pause: float, replace: bool, reporter: Reporter) -> None:
        self._inbox, self._period, self._pause, self._replace, self._reporter = inbox, period, pause, replace, reporter
        self._open: dict[str, str] = {}  # content id -> source
        self._waits: dict[str, tuple[float, float]] = {}  # source -> until when, and for how long
        self._looked = float("-inf")
        self._said = ""

    def __iter__(self) -> Iterator[BatchTitle | None]:
        while True:
            if time.monotonic() - self._looked >= self._period:
                yield from self._new()
                self._looked = time.monotonic()
            yield None

    def source_of(self, content_id: str) -> str:
        return self._open[content_id]

    def ended(self, content_id: str) -> None:
        del self._open[content_id]

    def later(self, source: str) -> float:
        """Take a source again in a while; return in how many seconds."""
        seconds = min(LONGEST_PAUSE, self._waits[source][1] * 2) if source in self._waits else self._pause
        self._waits[source] = (time.monotonic() + seconds, seconds)
        return seconds

    def never(self, source: str) -> None:
        """Take a source no more: it has ended, and cannot be moved away."""
        self._waits[source] = (float("inf"), 0)

    def _new(self) -> Iterator[BatchTitle]:
        try:
            for source in list(self._inbox.whole()):
                (title,) = from_sources([source])
                waits = self._waits.get(source, (0.0, 0.0))[0] > time.monotonic()
                if title.content_id not in self._open and not waits:
                    self._open[title.content_id] = source
                    yield title.model_copy(update={"request": title.request.model_copy(update={"replace": self._replace})})
            self._said = ""
        except (UsageError, PublishFailed) as problem:  # the share or the server is away for a while
            if self._said != str(problem):  # once is enough
                self._reporter.emit(Note(level="warning", text=f"the inbox cannot be read: {problem}"))
            self._said = str(problem)


def _put_away(inbox: Inbox, source: str, result: TitleResult, reporter: Reporter) -> bool:
    try:
        where = inbox.put_away(source, well=result.is_well, why="\n".join(result.message))
        reporter.emit(Note(text=f"{Path(source).name} is now {where}"))
    except (OSError, PublishFailed) as problem:
        reporter.emit(Note(level="warning", text=f"{source} cannot be moved away: {problem}"))
        return False
    return True
