"""Executors for ``encode``: one that hands tasks to Dask, and one around it that brings everything through the staging prefix.

In:   tasks, as ``encode`` submits them.
Out:  futures of Made.
Wrong: the futures end in EncodeFailed for Dask's own errors, and for pieces that do not arrive as they were made.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError, ThreadPoolExecutor
from typing import Any

from vidpipe import __version__
from vidpipe.encode.cluster.staging import Staging
from vidpipe.encode.cluster.worker import Terms, run_there
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.task import Made, Task
from vidpipe.errors import EncodeFailed
from vidpipe.work.artifacts import Artifact, Store

TRIES = 2  # of a piece whose bytes do not arrive as they were made
TAKERS = 8  # pieces taken from S3 in parallel


class _DaskFuture(Future[Made]):
    """The scheduler's view of a Dask future, with Dask's own errors translated."""

    def __init__(self, inner: Future[Made]) -> None:
        super().__init__()
        self._inner = inner
        inner.add_done_callback(self._finish)

    def cancel(self) -> bool:
        self._inner.cancel()
        return super().cancel()

    def _finish(self, inner: Future[Made]) -> None:
        with contextlib.suppress(InvalidStateError):  # cancelled in the meantime
            self._settle(inner)

    def _settle(self, inner: Future[Made]) -> None:
        try:
            error = inner.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is None:
            self.set_result(inner.result())
        elif type(error).__module__.partition(".")[0] == "distributed" or isinstance(error, CancelledError):
            lost = EncodeFailed(
                f"the cluster lost a task: {error or 'it was cancelled'}",
                fix="check the workers' logs (out of memory?), then run the same command again: finished chunks are kept",
            )
            lost.__cause__ = error
            self.set_exception(lost)
        elif isinstance(error, ImportError | AttributeError | TypeError):  # a worker whose vidpipe knows this function otherwise, or not
            other = EncodeFailed(
                "a worker cannot run the task: it has another version of vidpipe",
                fix=f"give all workers vidpipe {__version__}, as this machine has it, and run the same command again",
                debug=[f"{type(error).__name__}: {error}"],
            )
            other.__cause__ = error
            self.set_exception(other)
        else:
            self.set_exception(error)


class DaskExecutor(Executor):
    """Dask's own executor, for the tasks that ``encode`` submits."""

    def __init__(self, client: Any, terms: Terms) -> None:
        # pure=False: two runs of one task are two runs; Dask would otherwise give back an old result whose files may be gone.
        self._inner = client.get_executor(pure=False)
        self._terms = terms

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """See Executor.submit."""
        _only_tasks(function, options)
        return _DaskFuture(self._inner.submit(run_there, *arguments, dataclasses.asdict(self._terms)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See Executor.shutdown."""
        del cancel_futures
        self._inner.shutdown(wait=wait)


def _only_tasks(function: Callable[..., Any], options: dict[str, Any]) -> None:
    """Refuse what is no task of an encode: workers are asked for nothing else."""
    if function is not run_task or options:
        raise TypeError("this executor runs tasks of an encode only")


class _RoomFuture(Future[Made]):
    """A task on its way: first a look at what lies there, then Dask, then the way back. inner: Dask's."""

    inner: Future[Made] | None = None

    def cancel(self) -> bool:
        done = super().cancel()
        if self.inner is not None:
            self.inner.cancel()
        return done


class StagingExecutor(Executor):
    """Runs tasks where only an S3 prefix is shared: takes what lies there, has the rest made, and takes that."""

    def __init__(self, dask: Executor, staging: Staging, store: Store) -> None:
        self._dask, self._staging, self._store = dask, staging, store
        self._pool = ThreadPoolExecutor(TAKERS, thread_name_prefix="take")

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """See Executor.submit."""
        _only_tasks(function, options)
        (task,) = arguments
        future = _RoomFuture()
        self._later(future, self._begin, future, task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """See Executor.shutdown."""
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _later(self, future: _RoomFuture, step: Callable[..., None], *arguments: Any) -> None:
        """Take a step in the pool; what it raises becomes the task's error."""

        def guarded() -> None:
            try:
                step(*arguments)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                with contextlib.suppress(InvalidStateError):
                    future.set_exception(error)

        with contextlib.suppress(RuntimeError):  # shut down: nobody waits any more
            self._pool.submit(guarded)

    def _begin(self, future: _RoomFuture, task: Task) -> None:
        """Take what an earlier run has left there, and have the rest made."""
        files = self._take(task, task.job.outputs)
        if files is None:
            self._make(future, task, 1)
        else:
            reused = {name: artifact.model_copy(update={"reused": True}) for name, artifact in files.items()}
            with contextlib.suppress(InvalidStateError):
                future.set_result(Made(files=reused))

    def _make(self, future: _RoomFuture, task: Task, attempt: int) -> None:
        if future.cancelled():
            return
        future.inner = self._dask.submit(run_task, task)
        future.inner.add_done_callback(lambda inner: self._later(future, self._end, future, inner, task, attempt))
        if future.cancelled():  # in the meantime
            future.inner.cancel()

    def _end(self, future: _RoomFuture, inner: Future[Made], task: Task, attempt: int) -> None:
        problems = inner.result().problems
        files = self._take(task, {name: key for name, key in task.job.outputs.items() if name not in problems})
        if files is not None:
            with contextlib.suppress(InvalidStateError):
                future.set_result(Made(files=files, problems=problems))
        elif attempt < TRIES:
            self._make(future, task, attempt + 1)
        else:
            raise EncodeFailed(
                f"the output of a worker arrived damaged or not at all, {TRIES} times",
                where=self._staging.url,
                fix="check that nothing else writes or removes objects there, and run the same command again",
            )

    def _take(self, task: Task, keys: dict[str, str]) -> dict[str, Artifact] | None:
        """Return files of a task from the staging prefix or the store; None if any has to be made. keys: by file name."""
        files: dict[str, Artifact] = {}
        for name, key in keys.items():
            # The prefix first: what it has is removed from there, even if the store has it too.
            found = self._staging.take(name, key, self._store, source=task.job.source, title=task.job.title) or self._store.lookup(key)
            if found is None:
                return None
            files[name] = found
        return files
