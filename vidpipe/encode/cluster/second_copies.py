"""Give the tasks that are still running to idle workers too, once there is nothing else to do: the first result counts.

In:   an executor, the tasks that it runs in parallel.
Out:  futures of Made, as from that executor.
Wrong: what the copy that ended last raised, if all copies of a task failed.

A worker that is three times slower than the others makes everybody wait at the end of a title (simulated in docs/cluster.md). Two copies of
a task do no harm: artifacts are named by their own bytes, and whoever comes second is cancelled, or its result forgotten. Titles that have
not given every slot a task that ended are left alone: nobody is late yet.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError
from typing import Any

from vidpipe.encode.tasks.task import Made

COPIES = 2  # of a task at once


class _FirstOf(Future[Made]):
    """The result of whichever copy comes first. again: submits another copy."""

    def __init__(self, again: Callable[[], Future[Made]]) -> None:
        super().__init__()
        self.again = again
        self.copies: list[Future[Made]] = []

    def cancel(self) -> bool:
        done = super().cancel()
        for copy in self.copies:
            copy.cancel()
        return done


class SecondCopies(Executor):
    """Runs tasks on another executor. slots: tasks that run there in parallel.

    aside: a pool in which to react to what has ended; None reacts at once. Dask ends futures in its event loop, which must not wait.
    """

    def __init__(self, inner: Executor, slots: int, aside: Executor | None = None) -> None:
        self._inner, self._slots, self._aside = inner, slots, aside
        self._open: dict[_FirstOf, None] = {}  # in the order in which they were submitted, and so begun
        self._count = 0  # of tasks that have ended
        self._lock = threading.RLock()  # a future that has ended calls back at once, in the thread that submitted it

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """See Executor.submit."""
        task = _FirstOf(lambda: self._inner.submit(function, *arguments, **options))
        with self._lock:
            self._open[task] = None
        self._copy(task)
        return task

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See Executor.shutdown."""
        self._inner.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _copy(self, task: _FirstOf) -> None:
        copy = task.again()
        task.copies.append(copy)
        copy.add_done_callback(lambda ended: self._react(task, ended))
        if task.cancelled():  # in the meantime
            copy.cancel()

    def _react(self, task: _FirstOf, copy: Future[Made]) -> None:
        if self._aside is None:
            self._ended(task, copy)
        else:
            with contextlib.suppress(RuntimeError):  # shut down: nobody waits any more
                self._aside.submit(self._ended, task, copy)

    def _ended(self, task: _FirstOf, copy: Future[Made]) -> None:
        with self._lock:
            if task not in self._open:
                return
            if task.done():  # cancelled
                del self._open[task]
                return
            failed = copy.cancelled() or copy.exception() is not None
            if failed and any(not other.done() for other in task.copies):
                return  # the other one may do better
            del self._open[task]
            self._count += 1
        for other in task.copies:  # before the result is there: who waits for it may then close the cluster
            if other is not copy:
                other.cancel()
        with contextlib.suppress(InvalidStateError):  # cancelled in the meantime
            if copy.cancelled():
                task.cancel()
            elif error := copy.exception():
                task.set_exception(error)
            else:
                task.set_result(copy.result())
        self._use_idle()

    def _use_idle(self) -> None:
        """Copy what was begun first, as far as there are fewer tasks than slots. (Whoever gave the result away has handed out the rest.)"""
        with self._lock:
            running = sum(len(task.copies) for task in self._open)
            single = [task for task in self._open if len(task.copies) < COPIES]
            idle = self._slots - running if self._count >= self._slots else 0
            for task in single[: max(0, idle)]:
                self._copy(task)
