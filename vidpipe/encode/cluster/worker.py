"""What runs on a worker: it reports what it is, and runs tasks with its own ffmpeg.

In:   where the work is; then a task, and Terms: what its worker must have.
Out:  WorkerFacts; then Made.
Wrong: EncodeFailed that names the worker if it is not fit for the task, or has an error that only it can read.
"""

from __future__ import annotations

import importlib
import os
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidpipe import __version__
from vidpipe.encode.cluster.staging import LOOK_SECONDS, Staging, run_apart
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.task import Made, Task
from vidpipe.errors import EncodeFailed, VidpipeError
from vidpipe.media.ffmpeg import FFmpeg, find, locate
from vidpipe.work.fetched import drop_unread
from vidpipe.work.measurements import of_programs

VARIABLE = "VIDPIPE_FFMPEG"  # of the worker's own environment: its ffmpeg may lie elsewhere
TRACE_LINES = 12  # of a worker's unexpected exception


@dataclass(frozen=True)
class Terms:
    """What every task is given: what its worker must have, and where the work is shared. Travels as a plain dict (see ``run_there``).

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
    look_seconds: float = LOOK_SECONDS


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
    """Describe this worker; runs there."""
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
            with Staging(work) as staging:
                probe = staging.probe(run)
        except VidpipeError as error:
            denied = f"{error.what}; {error.fix}"
    return WorkerFacts(program, problem, size, Path(seen).exists(), __version__, probe, denied)


def lacking_of(ffmpeg: FFmpeg, encoders: Iterable[str], filters: Iterable[str]) -> str:
    """Return the encoders and filters that an ffmpeg lacks, for a sentence."""
    return ", ".join(sorted({*encoders} - ffmpeg.encoders) + sorted({*filters} - ffmpeg.filters))


def run_there(task: Task, required: dict[str, Any]) -> Made:
    """Run a task with this worker's own ffmpeg; a worker that joined after the check is checked here.

    required: Terms as a dict. A worker that cannot read a class ends without a word; one of another version must live to say so.
    Nor would the coordinator ever hear of an exception that it cannot read: only vidpipe's own are sent to it.
    """
    distributed: Any = importlib.import_module("distributed")
    worker = distributed.get_worker()
    try:
        return _run_there(task, required, worker)
    except VidpipeError:
        raise
    except Exception:  # noqa: BLE001 - it is reported whatever it is
        sent = EncodeFailed(
            "a worker cannot run the task",
            where=f"worker {worker.name}",
            fix=f"give all workers vidpipe {required['version']}, as the coordinator has it; if they have it, report this as a bug",
            debug=traceback.format_exc().splitlines()[-TRACE_LINES:],
        )
    raise sent  # outside the except: Dask also sends the exception in whose context another one was raised


def _run_there(task: Task, required: dict[str, Any], worker: Any) -> Made:
    if required["version"] != __version__:
        raise _unfit(worker, f"its vidpipe is {__version__}, not {required['version']}")
    terms = Terms(**required)
    program = os.environ.get(VARIABLE) or terms.setting
    own = find(program, memory=of_programs(_scratch(worker)))
    if own.version != terms.ffmpeg:
        raise _unfit(worker, f"its ffmpeg is {own.version}, not {terms.ffmpeg}")
    if lacking := lacking_of(own, terms.encoders, terms.filters):
        raise _unfit(worker, f"its ffmpeg lacks {lacking}")
    task = task.model_copy(update={"ffmpeg": locate(program)})
    if terms.work is None:
        return run_task(task)
    with Staging(terms.work) as staging:
        return run_apart(task, staging, terms.run, _scratch(worker), terms.look_seconds)


def _unfit(worker: Any, problem: str) -> EncodeFailed:
    fix = "give all workers the same vidpipe and ffmpeg, and run the same command again"
    return EncodeFailed(problem, where=f"worker {worker.name}", fix=fix)


def tidy(dask_worker: Any = None) -> None:
    """Remove this worker's copies of sources that no task uses; runs there, and Dask gives the worker."""
    drop_unread(_scratch(dask_worker))


def _scratch(worker: Any) -> Path:
    """The worker's own folder on its own disk. Dask removes it with the worker, or after one that was killed."""
    return Path(worker.local_directory) / "vidpipe"
