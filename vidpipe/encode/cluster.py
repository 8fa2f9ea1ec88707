"""Let a Dask cluster encode the chunks: an Executor like any other, after every worker has been looked at.

In:   the address of a scheduler, the ffmpeg of this machine, the folder of the work and the source, which all workers must see.
Out:  Cluster: an Executor for ``encode`` and the number of tasks that run side by side.
Wrong: UsageError if ``distributed`` is not installed, the scheduler does not answer, there is no worker, or a worker (by name) has no
       ffmpeg, another version of it or of vidpipe, lacks an encoder, or does not see the source or the work folder.

Dask does what a cluster needs: it deals out tasks, and gives those of a worker that died to others. A task is a function of
this package with plain data, so workers need vidpipe installed, and nothing else is sent.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpipe import __version__
from vidpipe.encode.artifacts import Store, writing
from vidpipe.encode.chunk import Made, Task, run_audio, run_chunk, run_subtitles
from vidpipe.errors import EncodeFailed, UsageError, VidpipeError
from vidpipe.media.ffmpeg import FFmpeg, find, locate

PATIENCE = 15.0  # seconds for the scheduler to answer and for a first worker to appear
VARIABLE = "VIDPIPE_FFMPEG"  # of the worker's own environment: its ffmpeg may lie elsewhere


@dataclass(frozen=True)
class Cluster:
    """executor: for ``encode``.  slots: tasks that the workers run side by side.  workers: their names."""

    executor: Executor
    slots: int
    workers: tuple[str, ...]


@contextmanager
def connect(
    address: str, *, ffmpeg: FFmpeg, setting: str | None, encoders: Iterable[str], filters: Iterable[str], source: Path, store: Store
) -> Iterator[Cluster]:
    """Connect to the scheduler at ``address`` (tcp://HOST:8786) and check its workers.

    setting: the ffmpeg program as the user named it, None for the bundled one; a worker's VIDPIPE_FFMPEG goes first.
    """
    try:
        distributed: Any = importlib.import_module("distributed")  # slow to import, and an extra
    except ImportError as error:
        raise UsageError("the package distributed is not installed", fix="pip install 'vidpipe[cluster]'") from error
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise UsageError(
            f"the Dask scheduler does not answer: {error or type(error).__name__}",
            where=address,
            fix="check the address, and that `dask scheduler` runs with the same version of distributed",
        ) from error
    with client, store.temporary() as shared:
        with writing(shared):
            (shared / "seen").touch()
        with _translated(address):
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise UsageError("the Dask scheduler has no workers", where=address, fix=f"start some: dask worker {address}") from error
            found = client.run(describe, setting, str(source), str(shared / "seen"), on_error="return")
            workers = client.scheduler_info(n_workers=-1)["workers"]
            slots = sum(client.nthreads().values())
        names = {worker: str(facts.get("name") or worker) for worker, facts in workers.items()}
        check({names.get(worker, worker): facts for worker, facts in found.items()}, ffmpeg, encoders, filters, source, address)
        yield Cluster(
            executor=_DaskExecutor(client, ffmpeg.version, setting),
            slots=slots,
            workers=tuple(sorted(names.values())),
        )


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # distributed's CommClosedError is an OSError; its RPCs also raise RuntimeError
        raise UsageError(
            f"the Dask scheduler or a worker has gone: {error or type(error).__name__}",
            where=address,
            fix="look at their logs, and run the same command again",
        ) from error


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker says of itself. version: of its vidpipe.  problem: why it has no ffmpeg.

    source_size: bytes, None if it does not see the source.
    """

    ffmpeg: FFmpeg | None
    problem: str
    source_size: int | None
    sees_work: bool
    version: str = ""


def describe(setting: str | None, source: str, seen: str) -> WorkerFacts:
    """Tell about this worker; runs there."""
    try:
        program, problem = find(os.environ.get(VARIABLE) or setting), ""
    except VidpipeError as error:
        program, problem = None, str(error)
    try:
        size = Path(source).stat().st_size
    except OSError:
        size = None
    return WorkerFacts(program, problem, size, Path(seen).exists(), __version__)


def check(
    found: dict[str, WorkerFacts | BaseException],
    ffmpeg: FFmpeg,
    encoders: Iterable[str],
    filters: Iterable[str],
    source: Path,
    address: str,
) -> None:
    """Raise UsageError with a line for each worker that cannot do the work."""
    size = source.stat().st_size
    problems = []
    for name, facts in sorted(found.items()):
        if isinstance(facts, BaseException):
            problems.append(f"worker {name}: vidpipe does not answer there ({facts}); install the same version")
        elif facts.version != __version__:
            problems.append(f"worker {name}: its vidpipe is {facts.version or 'an older one'}, this machine's is {__version__}")
        elif facts.ffmpeg is None:
            problems.append(f"worker {name}: {facts.problem}")
        elif facts.ffmpeg.version != ffmpeg.version:
            problems.append(f"worker {name}: its ffmpeg is {facts.ffmpeg.version}, this machine's is {ffmpeg.version}")
        else:
            if lacking := sorted({*encoders} - facts.ffmpeg.encoders) + sorted({*filters} - facts.ffmpeg.filters):
                problems.append(f"worker {name}: its ffmpeg lacks {', '.join(lacking)}")
            if facts.source_size != size:
                problems.append(f"worker {name}: does not see {source}, or sees another file there")
            if not facts.sees_work:
                problems.append(f"worker {name}: does not see the work folder of this run")
    if problems:
        raise UsageError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} with the workers of the cluster",
            where=address,
            details=problems,
            fix="give all workers the same vidpipe and ffmpeg (VIDPIPE_FFMPEG), and share the source and VIDPIPE_HOME with them",
        )


def run_there(function: Callable[[Any], Made], task: Task, version: str, setting: str | None) -> Made:
    """Run a task with this worker's own ffmpeg; a worker that joined after the check is checked here."""
    program = os.environ.get(VARIABLE) or setting
    own = find(program)
    if own.version != version:
        raise EncodeFailed(
            f"its ffmpeg is {own.version}, not {version}",
            where=f"worker on {socket.gethostname()}",
            fix="give all workers the same ffmpeg, and run the same command again",
        )
    return function(task.model_copy(update={"ffmpeg": locate(program)}))


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
                f"the cluster lost a task: {error or type(error).__name__}",
                fix="look at the workers' logs (memory?), and run the same command again: finished chunks are kept",
            )
            lost.__cause__ = error
            self.set_exception(lost)
        else:
            self.set_exception(error)


class _DaskExecutor(Executor):
    """Dask's own executor, for the functions that ``encode`` submits."""

    def __init__(self, client: Any, version: str, setting: str | None) -> None:
        # pure=False: two runs of one task are two runs; Dask would otherwise give back an old result whose files may be gone.
        self._inner = client.get_executor(pure=False)
        self._version, self._setting = version, setting

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        if function not in (run_chunk, run_audio, run_subtitles) or options:
            raise TypeError("this executor runs chunks, sound and subtitles only")
        return _DaskFuture(self._inner.submit(run_there, function, *arguments, self._version, self._setting))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del cancel_futures
        self._inner.shutdown(wait=wait)
