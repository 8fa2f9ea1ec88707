"""Do a thing to many items in parallel, each on a thread of its own, and stop at the first failure or on request.

In:   items, made one at a time in the caller's thread; what to do with each.
Out:  the results, in the order in which they come.
Wrong: the first failure; Interrupted on cancel (UploadsLeft if some of the work is still running then).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Generic, TypeVar

from vidpipe.errors import Interrupted, PublishFailed

PATIENCE = 3.0
"""Seconds that running uploads get to end once the run is to stop; one that hangs gives up by itself only minutes later."""
TICK = 0.2  # seconds between looks at the cancel signal

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class UploadsLeft(Interrupted, PublishFailed):
    """Interrupted while uploads are running that do not end. They may still arrive, so that the version must not be discarded:
    as after any PublishFailed, the next run continues it.
    """


def in_parallel(
    items: Iterable[_Item],
    work: Callable[[_Item], _Result],
    *,
    cancel: threading.Event,
    workers: int,
    on_failure: Callable[[], None] | None = None,
) -> Iterator[_Result]:
    """Yield the result of ``work`` for each item as soon as it is there.

    ``items`` is consumed in the caller's thread, never more than ``workers`` ahead.  on_failure: called once, from a thread, as soon as
    the work fails for one; whatever ``items`` raises then gives way to that failure.

    On a failure, on cancel, and when the generator is closed, ``items`` is closed first (if it is a generator), and what runs is waited
    for: for PATIENCE at most once a run is to stop. The rest is left behind on daemon threads, which keep no process alive.
    """
    failure = _FirstFailure(on_failure)

    def watched(item: _Item) -> _Result:
        try:
            return work(item)
        except BaseException as problem:
            failure.note(problem)
            raise

    uploads = _Uploads(watched)
    source = iter(items)
    try:
        while True:
            try:
                item = next(source)
            except StopIteration:
                break
            except Exception as problem:
                if failure.first is not None:
                    raise failure.first from problem
                raise
            _stop_if(cancel, failure)
            uploads.begin(item)
            del item  # the upload holds it now; nothing else keeps its bytes while the next one is made
            yield from uploads.finished(most=workers - 1, cancel=cancel, failure=failure)
        yield from uploads.finished(most=0, cancel=cancel, failure=failure)
    except BaseException as problem:
        if isinstance(source, Generator):
            source.close()
        left = uploads.settle(cancel, failure)
        if left and isinstance(problem, Interrupted):
            raise UploadsLeft(
                f"stopped; {left} upload{'s' if left > 1 else ''} did not end and may still reach the target",
                fix="run the same command again to continue, or discard it: vidpipe work clean --unfinished",
            ) from problem
        raise


class _FirstFailure:
    """Remembers the first failed upload and reports it at once."""

    def __init__(self, on_failure: Callable[[], None] | None) -> None:
        self.first: BaseException | None = None
        self._on_failure = on_failure
        self._lock = threading.Lock()

    def note(self, problem: BaseException) -> None:
        with self._lock:
            if self.first is not None:
                return
            self.first = problem
        if self._on_failure is not None:
            self._on_failure()


class _Uploads(Generic[_Item, _Result]):
    """Uploads, each on a thread of its own. Daemon threads: those of ThreadPoolExecutor are joined when the process ends, however long
    one hangs.
    """

    def __init__(self, upload: Callable[[_Item], _Result]) -> None:
        self._upload = upload
        self._running: dict[Future[_Result], threading.Thread] = {}

    def begin(self, item: _Item) -> None:
        future: Future[_Result] = Future()
        thread = threading.Thread(target=self._run, args=(future, item), name="vidpipe-upload", daemon=True)
        self._running[future] = thread
        thread.start()

    def finished(self, *, most: int, cancel: threading.Event, failure: _FirstFailure) -> Iterator[_Result]:
        """Yield what is done, and wait until at most ``most`` uploads are running."""
        while True:
            _stop_if(cancel, failure)
            for future in [future for future in self._running if future.done()]:
                self._running.pop(future).join()
                yield future.result()
            if len(self._running) <= most:
                return
            wait(self._running, timeout=TICK, return_when=FIRST_COMPLETED)  # wakes up to look at cancel, too

    def settle(self, cancel: threading.Event, failure: _FirstFailure) -> int:
        """Wait for running uploads, not long once the run is to stop. Return how many are left behind."""
        deadline: float | None = None
        while not all(future.done() for future in self._running):
            if deadline is None and (cancel.is_set() or failure.first is not None):
                deadline = time.monotonic() + PATIENCE
            if deadline is not None and time.monotonic() > deadline:
                break
            wait(self._running, timeout=TICK)
        for future in [future for future in self._running if future.done()]:
            self._running.pop(future).join()
        return len(self._running)

    def _run(self, future: Future[_Result], item: _Item) -> None:
        try:
            result = self._upload(item)
        except BaseException as problem:  # noqa: BLE001 - handed to whoever asks for the result
            future.set_exception(problem)
        else:
            future.set_result(result)


def _stop_if(cancel: threading.Event, failure: _FirstFailure) -> None:
    if failure.first is not None:
        raise failure.first
    if cancel.is_set():
        raise Interrupted("stopped while uploading", fix="run the same command again to continue")
