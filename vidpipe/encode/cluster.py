"""Let a Dask cluster encode the chunks: an Executor like any other, after every worker has been looked at.

In:   the address of a scheduler, the ffmpeg of this machine, the source and the store; optionally s3://BUCKET/PREFIX.
      Without it all workers must see the source and the store at the same paths; with it they share nothing else (shared.py).
Out:  Cluster: an Executor for ``encode`` and the number of tasks that run side by side.
Wrong: UsageError if ``distributed`` is not installed, the scheduler does not answer, there is no worker, or a worker (by name) has no
       ffmpeg, another version of it or of vidpipe, lacks an encoder, or does not see the source and the work, or cannot use the prefix.

Dask does what a cluster needs: it deals out tasks, and gives those of a worker that died to others. A task is a function of
this package with plain data, so workers need vidpipe installed, and nothing else is sent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpipe import __version__
from vidpipe.encode import shared
from vidpipe.encode.artifacts import Store, writing
from vidpipe.encode.chunk import AnyTask, Made, run_audio, run_chunk, run_subtitles
from vidpipe.encode.result import Artifact
from vidpipe.errors import EncodeFailed, UsageError, VidpipeError
from vidpipe.media.ffmpeg import FFmpeg, find, locate
from vidpipe.media.process import Cancel
from vidpipe.progress import Note, Reporter, Silent
from vidpipe.source.facts import Source

PATIENCE = 15.0  # seconds for the scheduler to answer and for a first worker to appear
VARIABLE = "VIDPIPE_FFMPEG"  # of the worker's own environment: its ffmpeg may lie elsewhere
TRIES = 2  # of a piece whose bytes do not arrive as they were made
TRACE_LINES = 12  # of a worker's unexpected exception
TAKERS = 8  # pieces taken from S3 side by side


@dataclass(frozen=True)
class Terms:
    """What every task is told: what its worker must have, and where the work is shared. Travels as a plain dict (see ``run_there``).

    version: of vidpipe.  setting: the ffmpeg program as the user named it.  work: s3://BUCKET/PREFIX, None for shared paths.
    run: the object there whose absence stops the task.  look_seconds: between two looks at it.
    """

    version: str
    ffmpeg: str
    encoders: tuple[str, ...]
    filters: tuple[str, ...]
    setting: str | None
    work: str | None = None
    run: str = ""
    look_seconds: float = shared.LOOK_SECONDS


@dataclass(frozen=True)
class Cluster:
    """executor: for ``encode``.  slots: tasks that the workers run side by side.  workers: their names."""

    executor: Executor
    slots: int
    workers: tuple[str, ...]


@contextmanager
def connect(
    address: str,
    *,
    ffmpeg: FFmpeg,
    setting: str | None,
    encoders: Iterable[str],
    filters: Iterable[str],
    source: Source,
    store: Store,
    work: str | None = None,
    reporter: Reporter | None = None,
    cancel: Cancel | None = None,
) -> Iterator[Cluster]:
    """Connect to the scheduler at ``address`` (tcp://HOST:8786) and check its workers.

    setting: the ffmpeg program as the user named it, None for the bundled one; a worker's VIDPIPE_FFMPEG goes first.
    work: s3://BUCKET/PREFIX through which source and pieces travel.  Raises Interrupted while the source travels.
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
    reporter = reporter or Silent()
    with contextlib.ExitStack() as stack:
        stack.enter_context(client)
        folder = stack.enter_context(store.temporary())
        with writing(folder):
            (folder / "seen").touch()
        room = stack.enter_context(shared.Room(work)) if work else None
        run = stack.enter_context(room.run(folder.name, source.sha256, store)) if room else ""
        with _translated(address):
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise UsageError("the Dask scheduler has no workers", where=address, fix=f"start some: dask worker {address}") from error
            found = client.run(describe, setting, source.location, str(folder / "seen"), work, run, on_error="return")
            workers = client.scheduler_info(n_workers=-1)["workers"]
            slots = sum(client.nthreads().values())
        names = {worker: str(facts.get("name") or worker) for worker, facts in workers.items()}
        arrived = _arrived(room, run, found) if room else None
        named = {names.get(worker, worker): facts for worker, facts in found.items()}
        check(named, ffmpeg, encoders, filters, Path(source.location), address, arrived)
        terms = Terms(__version__, ffmpeg.version, tuple(encoders), tuple(filters), setting, work, run, shared.LOOK_SECONDS)
        executor: Executor = _DaskExecutor(client, terms)
        if room:
            reporter.emit(Note(text=f"the source goes to {room.url} ({source.size // 1_000_000} MB), unless it is there"))
            room.put_source(Path(source.location), source.size, source.sha256, cancel)
            executor = _RoomExecutor(executor, room, store)
            stack.callback(executor.shutdown)
        yield Cluster(executor=executor, slots=slots, workers=tuple(sorted(names.values())))
        if room:
            try:
                room.drop_source(source.sha256)
            except EncodeFailed as error:  # everything is encoded and here: no reason to fail
                reporter.emit(Note(level="warning", text=f"the source stays at {room.url}: {error.what}"))
            with contextlib.suppress(OSError, RuntimeError):  # a worker that is gone has nothing left to remove
                client.run(tidy, on_error="ignore")


def _arrived(room: shared.Room, run: str, found: dict[str, WorkerFacts | BaseException]) -> frozenset[str]:
    """Return the probes that workers have written and that are there."""
    probes = [facts.probe for facts in found.values() if isinstance(facts, WorkerFacts)]
    arrived = frozenset(probe for probe in probes if room.arrived(run, probe))
    room.drop_probes(run)
    return arrived


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

    source_size: bytes, None if it does not see the source.  probe: what it has written at S3.  denied: why it could not.
    """

    ffmpeg: FFmpeg | None
    problem: str
    source_size: int | None
    sees_work: bool
    version: str = ""
    probe: str = ""
    denied: str = ""


def describe(setting: str | None, source: str, seen: str, work: str | None = None, run: str = "") -> WorkerFacts:
    """Tell about this worker; runs there."""
    try:
        program, problem = find(os.environ.get(VARIABLE) or setting), ""
    except VidpipeError as error:
        program, problem = None, str(error)
    try:
        size = Path(source).stat().st_size
    except OSError:
        size = None
    probe = denied = ""
    if work:
        try:
            with shared.Room(work) as room:
                probe = room.probe(run)
        except VidpipeError as error:
            denied = f"{error.what}; {error.fix}"
    return WorkerFacts(program, problem, size, Path(seen).exists(), __version__, probe, denied)


def check(
    found: dict[str, WorkerFacts | BaseException],
    ffmpeg: FFmpeg,
    encoders: Iterable[str],
    filters: Iterable[str],
    source: Path,
    address: str,
    arrived: frozenset[str] | None = None,
) -> None:
    """Raise UsageError with a line for each worker that cannot do the work. arrived: probes that are there; None if paths are shared."""
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
            if lacking := _lacking(facts.ffmpeg, encoders, filters):
                problems.append(f"worker {name}: its ffmpeg lacks {lacking}")
            if arrived is not None:
                if facts.denied:
                    problems.append(f"worker {name}: cannot use the work at S3: {facts.denied}")
                elif facts.probe not in arrived:
                    problems.append(f"worker {name}: what it writes at S3 does not arrive; check its AWS_ENDPOINT_URL")
                continue
            if facts.source_size != size:
                problems.append(f"worker {name}: does not see {source}, or sees another file there")
            if not facts.sees_work:
                problems.append(f"worker {name}: does not see the work folder of this run")
    if problems:
        share = "give them AWS credentials for the bucket" if arrived is not None else "share the source and VIDPIPE_HOME with them"
        raise UsageError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''} with the workers of the cluster",
            where=address,
            details=problems,
            fix=f"give all workers the same vidpipe and ffmpeg (VIDPIPE_FFMPEG), and {share}",
        )


def _lacking(ffmpeg: FFmpeg, encoders: Iterable[str], filters: Iterable[str]) -> str:
    return ", ".join(sorted({*encoders} - ffmpeg.encoders) + sorted({*filters} - ffmpeg.filters))


def run_there(function: Callable[[Any], Made], task: AnyTask, told: dict[str, Any]) -> Made:
    """Run a task with this worker's own ffmpeg; a worker that joined after the check is checked here.

    told: Terms as a dict. A worker that cannot read a class ends without a word; one of another version must live to say so.
    Nor would the commanding machine ever hear of an exception that it cannot read: only vidpipe's own are sent to it.
    """
    distributed: Any = importlib.import_module("distributed")
    worker = distributed.get_worker()
    try:
        return _run_there(function, task, told, worker)
    except VidpipeError:
        raise
    except Exception as error:  # noqa: BLE001 - it is told whatever it is
        told_instead = EncodeFailed(
            f"a worker cannot run the task ({type(error).__name__}: {error})",
            where=f"worker {worker.name}",
            fix=f"give all workers vidpipe {told['version']}, as the commanding machine has it; otherwise report this as a bug",
            details=traceback.format_exc().splitlines()[-TRACE_LINES:],
        )
    raise told_instead  # outside the except: Dask also sends the exception in whose context another one was raised


def _run_there(function: Callable[[Any], Made], task: AnyTask, told: dict[str, Any], worker: Any) -> Made:
    if told["version"] != __version__:
        raise _unfit(worker, f"its vidpipe is {__version__}, not {told['version']}")
    terms = Terms(**told)
    program = os.environ.get(VARIABLE) or terms.setting
    own = find(program)
    if own.version != terms.ffmpeg:
        raise _unfit(worker, f"its ffmpeg is {own.version}, not {terms.ffmpeg}")
    if lacking := _lacking(own, terms.encoders, terms.filters):
        raise _unfit(worker, f"its ffmpeg lacks {lacking}")
    task = task.model_copy(update={"ffmpeg": locate(program)})
    if terms.work is None:
        return function(task)
    with shared.Room(terms.work) as room:
        return shared.run_apart(function, task, room, terms.run, _scratch(worker), terms.look_seconds)


def _unfit(worker: Any, problem: str) -> EncodeFailed:
    fix = "give all workers the same vidpipe and ffmpeg, and run the same command again"
    return EncodeFailed(problem, where=f"worker {worker.name}", fix=fix)


def tidy(dask_worker: Any = None) -> None:
    """Remove this worker's copies of sources that no task uses; runs there, and Dask gives the worker."""
    shared.forget(_scratch(dask_worker))


def _scratch(worker: Any) -> Path:
    """The worker's own folder on its own disk. Dask removes it with the worker, or after one that was killed."""
    return Path(worker.local_directory) / "vidpipe"


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
        elif isinstance(error, ImportError | AttributeError | TypeError):  # a worker whose vidpipe knows this function otherwise, or not
            other = EncodeFailed(
                f"a worker cannot run the task ({type(error).__name__}: {error})",
                fix=f"give all workers vidpipe {__version__}, as this machine has it, and run the same command again",
            )
            other.__cause__ = error
            self.set_exception(other)
        else:
            self.set_exception(error)


class _DaskExecutor(Executor):
    """Dask's own executor, for the functions that ``encode`` submits."""

    def __init__(self, client: Any, terms: Terms) -> None:
        # pure=False: two runs of one task are two runs; Dask would otherwise give back an old result whose files may be gone.
        self._inner = client.get_executor(pure=False)
        self._terms = terms

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        if function not in (run_chunk, run_audio, run_subtitles) or options:
            raise TypeError("this executor runs chunks, sound and subtitles only")
        return _DaskFuture(self._inner.submit(run_there, function, *arguments, dataclasses.asdict(self._terms)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        del cancel_futures
        self._inner.shutdown(wait=wait)


class _RoomFuture(Future[Made]):
    """A task on its way: first a look at what lies there, then Dask, then the way back. inner: Dask's."""

    inner: Future[Made] | None = None

    def cancel(self) -> bool:
        done = super().cancel()
        if self.inner is not None:
            self.inner.cancel()
        return done


class _RoomExecutor(Executor):
    """Runs tasks where only the room is shared: takes what lies there, has the rest made, and takes that."""

    def __init__(self, dask: Executor, room: shared.Room, store: Store) -> None:
        self._dask, self._room, self._store = dask, room, store
        self._pool = ThreadPoolExecutor(TAKERS, thread_name_prefix="take")

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        (task,) = arguments
        future = _RoomFuture()
        self._later(future, self._begin, future, function, task)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
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

    def _begin(self, future: _RoomFuture, function: Callable[..., Made], task: AnyTask) -> None:
        """Take what an earlier run has left there, and have the rest made."""
        files = self._take(task, task.keys)
        if files is None:
            self._make(future, function, task, 1)
        else:
            reused = {name: artifact.model_copy(update={"reused": True}) for name, artifact in files.items()}
            with contextlib.suppress(InvalidStateError):
                future.set_result(Made(files=reused))

    def _make(self, future: _RoomFuture, function: Callable[..., Made], task: AnyTask, attempt: int) -> None:
        if future.cancelled():
            return
        future.inner = self._dask.submit(function, task)
        future.inner.add_done_callback(lambda inner: self._later(future, self._end, future, inner, function, task, attempt))
        if future.cancelled():  # in the meantime
            future.inner.cancel()

    def _end(
        self, future: _RoomFuture, inner: Future[Made], function: Callable[..., Made], task: AnyTask, attempt: int
    ) -> None:
        problems = inner.result().problems
        files = self._take(task, {name: key for name, key in task.keys.items() if name not in problems})
        if files is not None:
            with contextlib.suppress(InvalidStateError):
                future.set_result(Made(files=files, problems=problems))
        elif attempt < TRIES:
            self._make(future, function, task, attempt + 1)
        else:
            raise EncodeFailed(
                f"what a worker has made does not arrive as it was made, {TRIES} times",
                where=self._room.url,
                fix="check that nothing else writes or removes objects there, and run the same command again",
            )

    def _take(self, task: AnyTask, keys: dict[str, str]) -> dict[str, Artifact] | None:
        """Return files of a task from the room or the store; None if any has to be made. keys: by file name."""
        files: dict[str, Artifact] = {}
        for name, key in keys.items():
            # The room first: what it has is removed from there, even if the store has it too.
            found = self._room.take(name, key, self._store, source=task.source, title=task.title) or self._store.lookup(key)
            if found is None:
                return None
            files[name] = found
        return files
