"""Make the titles of a batch side by side, in one process, so that the cores stay full.

In:   TitleRequests, and what gives the Settings of each.
Out:  a TitleResult for each, as soon as it has ended: while one title is verified and uploaded, the next ones encode.
Wrong: nothing leaves here but what has nothing to do with one title: a failure is the result of its title, and the others go on.

All titles share one pool of workers (``encode/worker_pool.py``), so that the machine encodes no more at once than it has cores for. A few
titles more than that are open at any time; what of them is not encoding is waiting for a disk, a server or a place. On a cluster, Dask
shares its workers among the tasks of all titles that are open.
A title that is live already, made of the same bytes with the same settings, is found unchanged: the same batch again is how to continue.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Literal

from pydantic import Field

from vidpipe.batch.requests import BatchTitle
from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.worker_pool import WorkerPool
from vidpipe.errors import EXIT_BUG, Interrupted, VidpipeError
from vidpipe.pipeline.ingest import IngestResult, ingest
from vidpipe.progress import Reporter, RunReporter, Silent, TitleFinished, TitleStarted
from vidpipe.settings import Settings
from vidpipe.source.fetch import is_remote, public

BESIDE = 2
"""Titles that are open beyond the chunks that can be encoded at once: one is uploaded and verified, one is measured."""
MOST = 16
"""Titles that are open at once: each has threads and open files."""
TICK = 0.2  # seconds between looks at the cancel signal

TitleState = Literal["live", "unchanged", "failed", "stopped", "not-started"]


class TitleResult(Data):
    """How a title of a batch ended. number: from 1, in the order in which they were given."""

    format: Literal["vidpipe.title/1"] = "vidpipe.title/1"
    number: int
    source: str = Field(description="As it was given; a URL without user, password and query.")
    content_id: str
    state: TitleState = Field(description="live: a new version, or the one that was put whole again; unchanged: it was live already.")
    exit_code: int = Field(description="Of `vidpipe ingest` for this title alone; 130 if it was stopped or not started.")
    seconds: float = Field(default=0, description="Wall time.")
    result: IngestResult | None = Field(default=None, description="What was made; null if nothing was.")
    message: tuple[str, ...] = Field(default=(), description="Why it failed, as lines for people.")
    diagnostics: tuple[Diagnostic, ...] = Field(default=(), description="Why it failed, as data (docs/diagnostics.md).")
    traceback: str | None = Field(default=None, description="Of a bug in vidpipe.")

    @property
    def is_well(self) -> bool:
        """Whether the title is live."""
        return self.state in ("live", "unchanged")


def run_batch(
    titles: Iterable[BatchTitle | None],
    configured: Callable[[Mapping[str, str]], Settings],
    reporter: Reporter | None = None,
    cancel: threading.Event | None = None,
    *,
    pool: WorkerPool | None = None,
    fail_fast: bool = False,
    elsewhere: bool = False,
) -> Iterator[TitleResult]:
    """Make every title and yield how it ended, in the order in which they end.

    titles: taken one by one, when there is room for another; None stands for "none at the moment".
    configured: gives the Settings of a title from what the title changes; a VidpipeError of it is the result of that title.
    fail_fast: the first failure stops the titles that have begun, and no other is started.
    elsewhere: a cluster encodes, of any size: as many titles are open as may be.
    Setting ``cancel`` does the same. A title that is about to be made live becomes live all the same.
    """
    cancel, reporter, pool = cancel or threading.Event(), reporter or Silent(), pool or WorkerPool()
    stop, waiting = threading.Event(), _Waiting(titles)
    running: dict[Future[TitleResult], int] = {}
    room = MOST if elsewhere else min(MOST, pool.size + BESIDE)
    with ThreadPoolExecutor(room, thread_name_prefix="title") as threads:
        try:
            while running or not (waiting.over or stop.is_set()):
                if cancel.is_set():
                    stop.set()
                while len(running) < room and not stop.is_set() and (title := waiting.take()) is not None:
                    number = waiting.taken
                    running[threads.submit(_one, number, title, configured, reporter, stop, pool)] = number
                ended, _ = wait(running, TICK, FIRST_COMPLETED) if running else ((), cancel.wait(TICK))
                for future in sorted(ended, key=running.__getitem__):
                    del running[future]
                    done = future.result()
                    if fail_fast and done.state == "failed":
                        stop.set()
                    yield done
        finally:
            stop.set()  # who reads no further wants no more
    for number, title in waiting.rest():
        yield _result(number, title, "not-started", Interrupted.exit_code)


class _Waiting:
    """Titles that have not begun. over: there will be no more.  taken: how many have been."""

    def __init__(self, titles: Iterable[BatchTitle | None]) -> None:
        self._titles = iter(titles)
        self._is_known = isinstance(titles, Sequence)
        self.over = False
        self.taken = 0

    def take(self) -> BatchTitle | None:
        try:
            title = next(self._titles)
        except StopIteration:
            self.over = True
            return None
        self.taken += title is not None
        return title

    def rest(self) -> Iterator[tuple[int, BatchTitle]]:
        """Yield those that nobody took, with their numbers; none of what was only ever coming."""
        if self._is_known:
            yield from ((number, title) for number, title in enumerate(self._titles, self.taken + 1) if title is not None)


def exit_code(results: Sequence[TitleResult]) -> int:
    """Return the exit code of a batch: that of the first title, in the order in which they were given, that is not live."""
    wrong = sorted((result.number, result.exit_code) for result in results if result.state == "failed")
    stopped = sorted((result.number, result.exit_code) for result in results if not result.is_well)
    return next((code for _, code in (*wrong, *stopped)), 0)


def _one(
    number: int,
    title: BatchTitle,
    configured: Callable[[Mapping[str, str]], Settings],
    reporter: Reporter,
    stop: threading.Event,
    pool: WorkerPool,
) -> TitleResult:
    """Make one title; whatever happens to it is its result."""
    own, begun = RunReporter(reporter, title.content_id), time.monotonic()
    own.emit(TitleStarted(source=_shown(title), number=number))
    try:
        made = ingest(title.request, configured(title.settings), reporter, stop, workers=pool)
        done = _result(number, title, "unchanged" if made.unchanged else "live", 0).model_copy(update={"result": made})
    except Interrupted as problem:
        done = _failed(number, title, problem, "stopped")
    except VidpipeError as problem:
        done = _failed(number, title, problem, "failed")
    except Exception as problem:  # noqa: BLE001 - a bug that one source shows must not take the others with it
        what = f"this is a bug in vidpipe: {type(problem).__name__}: {problem}"
        trace = traceback.format_exc()
        done = _result(number, title, "failed", EXIT_BUG).model_copy(update={"message": (what,), "traceback": trace})
    done = done.model_copy(update={"seconds": round(time.monotonic() - begun, 3)})
    own.emit(TitleFinished(number=number, state=done.state, exit_code=done.exit_code, seconds=done.seconds, message=done.message))
    return done


def _failed(number: int, title: BatchTitle, problem: VidpipeError, state: TitleState) -> TitleResult:
    update = {"message": tuple(problem.lines()), "diagnostics": problem.diagnostics()}
    return _result(number, title, state, problem.exit_code).model_copy(update=update)


def _result(number: int, title: BatchTitle, state: TitleState, code: int) -> TitleResult:
    return TitleResult(number=number, source=_shown(title), content_id=title.content_id, state=state, exit_code=code)


def _shown(title: BatchTitle) -> str:
    source = title.request.source
    return public(source) if is_remote(source) else source
