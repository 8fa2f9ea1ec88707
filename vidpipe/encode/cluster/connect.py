"""Connect to a Dask scheduler and look at every worker. What can go wrong stands in the package."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpipe import __version__, quantities
from vidpipe.encode.cluster.executors import DaskExecutor, StagingExecutor
from vidpipe.encode.cluster.second_copies import SecondCopies
from vidpipe.encode.cluster.staging import LOOK_SECONDS, Staging
from vidpipe.encode.cluster.worker import Terms, WorkerFacts, describe, lacking_of, tidy
from vidpipe.errors import EncodeFailed, UsageError
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import Cancel
from vidpipe.progress import Note, Reporter, Silent
from vidpipe.source.facts import Source
from vidpipe.work.artifacts import Store, writing

PATIENCE = 15.0  # seconds for the scheduler to answer and for a first worker to appear


@dataclass(frozen=True)
class Cluster:
    """executor: for ``encode``.  slots: tasks that the workers run in parallel.  workers: their names."""

    executor: Executor
    slots: int
    workers: tuple[str, ...]


def preload() -> None:
    """Import what connecting takes, while there is something else to wait for: most of a second."""
    with contextlib.suppress(ImportError):  # ``connect`` reports it
        importlib.import_module("distributed")


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
    alone: bool = True,
) -> Iterator[Cluster]:
    """Connect to the scheduler at ``address`` (tcp://HOST:8786) and check its workers.

    setting: the ffmpeg program as the user named it, None for the bundled one; a worker's VIDPIPE_FFMPEG goes first.
    work: s3://BUCKET/PREFIX through which source and pieces travel.  Raises Interrupted while the source travels.
    alone: no other title is encoded there by this process, so that a worker with nothing to do is idle, and may take second copies.
    """
    try:
        distributed: Any = importlib.import_module("distributed")  # slow to import, and an extra
    except ImportError as error:
        raise UsageError("the package distributed is not installed", fix="pip install 'vidpipe[cluster]'") from error
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        raise UsageError(
            f"the Dask scheduler does not answer: {error or 'no error was reported'}",
            where=address,
            fix="check the address, and that `dask scheduler` runs with the same version of distributed",
        ) from error
    reporter = reporter or Silent()
    with contextlib.ExitStack() as stack:
        stack.enter_context(client)
        folder = stack.enter_context(store.temporary())
        with writing(folder):
            (folder / "seen").touch()
        staging = stack.enter_context(Staging(work)) if work else None
        run = stack.enter_context(staging.run(folder.name, source.sha256, store)) if staging else ""
        with _translated(address):
            try:
                client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise UsageError("the Dask scheduler has no workers", where=address, fix=f"start some: dask worker {address}") from error
            found = client.run(describe, setting, source.location, str(folder / "seen"), work, run, on_error="return")
            workers = client.scheduler_info(n_workers=-1)["workers"]
            slots = sum(client.nthreads().values())
        names = {worker: str(facts.get("name") or worker) for worker, facts in workers.items()}
        arrived = _arrived(staging, run, found) if staging else None
        named = {names.get(worker, worker): facts for worker, facts in found.items()}
        check(named, ffmpeg, encoders, filters, Path(source.location), address, arrived)
        terms = Terms(__version__, ffmpeg.version, tuple(encoders), tuple(filters), setting, work, run, LOOK_SECONDS)
        executor: Executor = DaskExecutor(client, terms)
        if staging is None and alone:
            executor = SecondCopies(executor, slots, stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="copies")))
        elif staging:  # without second copies: what the slower one puts at S3 later would stay there
            reporter.emit(Note(text=f"the source goes to {staging.url} ({quantities.size(source.size)}), unless it is there"))
            staging.put_source(Path(source.location), source.size, source.sha256, cancel)
            executor = StagingExecutor(executor, staging, store)
            stack.callback(executor.shutdown)
        yield Cluster(executor=executor, slots=slots, workers=tuple(sorted(names.values())))
        if staging:
            try:
                staging.drop_source(source.sha256)
            except EncodeFailed as error:  # everything is encoded and here: no reason to fail
                reporter.emit(Note(level="warning", text=f"the source stays at {staging.url}: {error.what}"))
            with contextlib.suppress(OSError, RuntimeError):  # a worker that is gone has nothing left to remove
                client.run(tidy, on_error="ignore")


def _arrived(staging: Staging, run: str, found: dict[str, WorkerFacts | BaseException]) -> frozenset[str]:
    """Return the probes that workers have written and that are there."""
    probes = [facts.probe for facts in found.values() if isinstance(facts, WorkerFacts)]
    arrived = frozenset(probe for probe in probes if staging.arrived(run, probe))
    staging.drop_probes(run)
    return arrived


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # distributed's CommClosedError is an OSError; its RPCs also raise RuntimeError
        raise UsageError(
            f"the connection to the Dask scheduler or a worker was lost: {error or 'the connection ended'}",
            where=address,
            fix="check their logs, then run the same command again",
        ) from error


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
            problems.append(f"worker {name}: vidpipe does not run there ({facts}); install the same version")
        elif facts.version != __version__:
            problems.append(f"worker {name}: its vidpipe is {facts.version or 'an older one'}, this machine's is {__version__}")
        elif facts.ffmpeg is None:
            problems.append(f"worker {name}: {facts.problem}")
        elif facts.ffmpeg.version != ffmpeg.version:
            problems.append(f"worker {name}: its ffmpeg is {facts.ffmpeg.version}, this machine's is {ffmpeg.version}")
        else:
            if lacking := lacking_of(facts.ffmpeg, encoders, filters):
                problems.append(f"worker {name}: its ffmpeg lacks {lacking}")
            if arrived is not None:
                if facts.denied:
                    problems.append(f"worker {name}: cannot use the work prefix in S3: {facts.denied}")
                elif facts.probe not in arrived:
                    problems.append(f"worker {name}: its writes to S3 do not arrive; check its AWS_ENDPOINT_URL")
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
