"""Run one task of any kind: run its program, let the job check its output, store it; on failure as the job has it, once more.

In:   a Task, and a Watch if it runs in this process.
Out:  Made: file name -> Artifact.
Wrong: see the package.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidpipe.encode.job import Blame, Failed, Job
from vidpipe.encode.stalls import Guard, Hangs, Stalled, decode_alone
from vidpipe.encode.tasks.outcome import LINES_KEPT, said, words_of
from vidpipe.encode.tasks.task import Made, Task, Watch, cancel_of
from vidpipe.errors import EncodeFailed, SourceRefused
from vidpipe.media.process import Cancel, Completed, run
from vidpipe.work.artifacts import Artifact, Store, writing

ATTEMPTS = 2
UNDECODABLE_FIX = "run vidpipe validate FILE to see where it is damaged; copy it again from the original, or export it again"


@dataclass
class _Watched:
    """What the attempts of a task share. decodes: it has been seen that the source decodes."""

    cancel: Cancel | None
    progress: Callable[[int], None]
    decodes: bool = False


def run_task(task: Task, watch: Watch | None = None) -> Made:
    """Do a task's job and return its artifacts."""
    watched = _Watched(cancel_of(task, watch), watch.progress if watch else lambda frames: None)
    try:
        return _attempt(task, task.job, watched)
    except Failed as failure:
        if failure.blame:
            raise _error_of(task, task.job, failure, watched) from failure
        again = task.job.again(failure)
    files: dict[str, Artifact] = {}
    problems: dict[str, str] = {}
    for job in again:
        try:
            made = _attempt(task, job, watched)
        except Failed as failure:
            given_up = job.given_up(failure)
            if given_up is None:
                raise _error_of(task, job, failure, watched) from failure
            _check_unchanged(job)
            problems |= given_up
        else:
            files |= made.files
            problems |= made.problems
    return Made(files=files, problems=problems)


def _attempt(task: Task, job: Job, watched: _Watched) -> Made:
    store = Store(task.store)
    with store.temporary() as folder:
        checked = job.check(folder, _ran(task.ffmpeg, job, folder, watched))
        _check_unchanged(job)
        files = {
            name: store.add(key, folder / name, samples=checked.samples.get(name, 0), source=job.source, title=job.title)
            for name, key in job.outputs.items()
            if name not in checked.problems
        }
    return Made(files=files, problems=dict(checked.problems))


def _ran(ffmpeg: str, job: Job, folder: Path, watched: _Watched) -> Completed:
    """Run a job's program to its end, or to the moment when it is clear that it has none."""
    argv, stdin, limits = job.argv(ffmpeg), job.stdin(), job.limits()
    if job.decoding() is None:  # nothing could be learned from its silence
        with writing(folder):
            return run(argv, stdin=stdin, cwd=folder, cancel=watched.cancel, limits=limits)

    reported = 0

    def tick() -> None:
        nonlocal reported
        guard.tick()
        if guard.progress.frames > reported:
            reported = guard.progress.frames
            watched.progress(job.progress(reported))

    with Guard(ffmpeg, job, folder, watched.cancel, decodes=watched.decodes) as guard, writing(folder):
        try:
            return run(argv, stdin=stdin, cwd=folder, on_line=guard.line, on_tick=tick, cancel=watched.cancel, limits=limits)
        except Hangs as hangs:
            raise Failed(str(hangs), blame=hangs.blame, source=True) from hangs
        except Stalled as stalled:
            guard.decodes = True  # the decoder moved on for all that time
            raise Failed(str(stalled)) from stalled
        finally:
            watched.decodes = guard.decodes


def _check_unchanged(job: Job) -> None:
    """Never keep what was made of a file that is no longer the one that was hashed."""
    try:
        now = Path(job.location).stat()
    except OSError as error:
        raise SourceRefused(
            f"it can no longer be read: {error.strerror or error}",
            where=job.title,
            fix="put the file back and run the same command again",
            id="unreadable-source",
        ) from error
    if (now.st_size, now.st_mtime_ns) != (job.size, job.mtime_ns):
        raise SourceRefused(
            "it changed while it was being encoded",
            where=job.title,
            fix="wait until the file is complete, then run the same command again",
            id="changed-source",
        )


def _error_of(task: Task, job: Job, failure: Failed, watched: _Watched) -> EncodeFailed | SourceRefused:
    """Return what the person reads of a job that failed for good: the encoder's fault, or the source's."""
    words = words_of(failure.completed)
    details = said(words)
    debug = [f"command: {shlex.join(job.argv(task.ffmpeg))}", *(f"ffmpeg: {word}" for word in words)]
    blame = failure.blame or (None if failure.source or watched.decodes else _look(task, job, watched))
    if blame:
        more = [word for word in blame.words[-LINES_KEPT:] if word not in words]
        details += said(more)
        debug += [f"decoding alone: {blame.command}", *(f"ffmpeg: {word}" for word in more)]
    if failure.source or blame:
        what = blame.reason if blame else str(failure)
        return SourceRefused(what, where=job.where, fix=UNDECODABLE_FIX, details=details, debug=debug, id="undecodable-source")
    return EncodeFailed(
        f"{failure}, {ATTEMPTS} times",
        where=job.where,
        fix="run the same command again, with --debug to see ffmpeg's command and output; finished chunks are kept",
        details=details,
        debug=debug,
    )


def _look(task: Task, job: Job, watched: _Watched) -> Blame | None:
    """Whether what could not be encoded cannot be decoded either: then the source is to blame. Asked after failures only."""
    with Store(task.store).temporary() as folder:
        return decode_alone(task.ffmpeg, job, folder, watched.cancel)
