"""Make a title of every source that arrives, until somebody stops it: a service.

In:   an inbox, the Settings of all titles.
Out:  a TitleResult for each source, which lies in ``done/`` or ``failed/`` of the inbox afterwards.
Wrong: UsageError if the inbox cannot be read, or another process watches it.

Nothing is remembered but what lies where: a watcher that was killed finds the source still in the inbox, and the ingest resumes, or finds
the title live and moves the source. A source that was stopped stays where it is. So does one that is not to blame: if the machine, the
target or the catalog fail, it is tried again, after PAUSE and then ever more seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from vidpipe.batch.inbox import SETTLE, Arrival, Inbox, open_inbox
from vidpipe.batch.queue import TitleResult, run_batch
from vidpipe.batch.requests import BatchTitle, from_sources
from vidpipe.errors import EXIT_BUG, EncodeFailed, PublishFailed, SourceRefused, UsageError, VidpipeError
from vidpipe.progress import Note, Reporter, RunReporter
from vidpipe.settings import Settings
from vidpipe.work.watched import watching

PERIOD = 5.0
"""Seconds between two looks into the inbox."""
PAUSE, LONGEST_PAUSE = 60.0, 900.0
"""Seconds before the next attempt after a failure that is not the source's; each doubles the one before."""
ATTEMPTS = 3
"""Of an encode that fails: the machine may be to blame, but not for ever."""
REFUSED = frozenset({"other-source", "withdrawn-title"})
"""Ids of refusals that the next attempt would meet again, because only a person can decide."""


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
    name = f"s3{where[2:].rstrip('/')}/" if where.lower().startswith("s3://") else str(Path(where).resolve())
    with watching(settings.work, name) as free:
        if not free:
            raise UsageError("another process watches this inbox", where=where, fix="stop it, or watch another folder")
        arrivals = _Arrivals(inbox, period, pause, replace, RunReporter(reporter))
        for result in run_batch(arrivals, configured, reporter, cancel, elsewhere=settings.cluster is not None):
            arrival, own = arrivals.ended(result.content_id), RunReporter(reporter, result.content_id)
            if result.is_well or is_refused(result, arrivals.attempts(arrival)):
                _put_away(inbox, arrival, result, own, arrivals)
            elif result.state == "failed":
                seconds = arrivals.later(arrival)
                own.emit(Note(level="warning", text=f"{Path(arrival.source).name} is tried again in {seconds:.0f} s"))
            yield result


def is_refused(result: TitleResult, attempts: int) -> bool:
    """Whether a source is to blame for a failure, and not the machine, the target or the catalog. attempts: before this one."""
    ids = {each.id for each in result.diagnostics}
    if result.exit_code == SourceRefused.exit_code:
        return "fetch-failed" not in ids
    if result.exit_code in (EncodeFailed.exit_code, EXIT_BUG):
        return attempts + 1 >= ATTEMPTS
    return bool(ids & REFUSED)


class _Arrivals:
    """The titles of the sources that arrive; None while there is none. Two sources of one title come one after the other."""

    def __init__(self, inbox: Inbox, period: float, pause: float, replace: bool, reporter: Reporter) -> None:
        self._inbox, self._period, self._pause, self._replace, self._reporter = inbox, period, pause, replace, reporter
        self._open: dict[str, Arrival] = {}  # by content id
        self._waits: dict[Arrival, tuple[float, float, int]] = {}  # until when, for how long, and after how many attempts
        self._looked = float("-inf")
        self._said = ""

    def __iter__(self) -> Iterator[BatchTitle | None]:
        while True:
            if time.monotonic() - self._looked >= self._period:
                yield from self._new()
                self._looked = time.monotonic()
            yield None

    def ended(self, content_id: str) -> Arrival:
        """Return the source of a title that has ended."""
        return self._open.pop(content_id)

    def attempts(self, arrival: Arrival) -> int:
        """Return how many attempts have failed before."""
        return self._waits[arrival][2] if arrival in self._waits else 0

    def later(self, arrival: Arrival) -> float:
        """Take a source again in a while; return in how many seconds."""
        _, before, attempts = self._waits.get(arrival, (0.0, self._pause / 2, 0))
        seconds = min(LONGEST_PAUSE, before * 2)
        self._waits[arrival] = (time.monotonic() + seconds, seconds, attempts + 1)
        return seconds

    def _new(self) -> Iterator[BatchTitle]:
        try:
            found = list(self._inbox.whole())
            self._waits = {arrival: wait for arrival, wait in self._waits.items() if arrival in found}
            for arrival in found:
                (title,) = from_sources([arrival.source])
                waits = self._waits[arrival][0] > time.monotonic() if arrival in self._waits else False
                # It may have waited for a place, and have been written again meanwhile.
                if title.content_id not in self._open and not waits and self._inbox.is_still(arrival):
                    self._open[title.content_id] = arrival
                    yield title.model_copy(update={"request": title.request.model_copy(update={"replace": self._replace})})
            self._said = ""
        except (VidpipeError, OSError) as problem:  # the share or the server is away for a while
            if self._said != str(problem):  # once is enough
                self._reporter.emit(Note(level="warning", text=f"the inbox cannot be read: {problem}"))
            self._said = str(problem)


def _put_away(inbox: Inbox, arrival: Arrival, result: TitleResult, reporter: Reporter, arrivals: _Arrivals) -> None:
    name = Path(arrival.source).name
    try:
        where = inbox.put_away(arrival, well=result.is_well, why="\n".join(result.message))
        now = f"is now {where}" if where else "was replaced meanwhile, and comes next"
        reporter.emit(Note(text=f"{name} {now}"))
    except (OSError, PublishFailed) as problem:
        seconds = arrivals.later(arrival)
        reporter.emit(Note(level="warning", text=f"{name} cannot be moved away, and is looked at again in {seconds:.0f} s: {problem}"))
