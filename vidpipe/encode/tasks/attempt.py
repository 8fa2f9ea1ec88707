"""One attempt of a task: run ffmpeg under guard, compare what it made, keep it, or say in full why there is nothing to keep.

In:   a task, ffmpeg's arguments, a working folder.
Out:  Completed, then Made.
Wrong: Failed, which the task may answer with another attempt; ``error_of`` makes of it what the person reads. EncodeFailed if the disk
       is full, SourceRefused if the source changed meanwhile, UsageError if ffmpeg is too old, Interrupted.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vidpipe.encode.audio import AudioJob
from vidpipe.encode.check import SourceFault
from vidpipe.encode.command import ChunkJob
from vidpipe.encode.process_limits import limits_of
from vidpipe.encode.stalls import Blame, Guard, Hangs, Stalled, decode_alone
from vidpipe.encode.subtitles import SubtitleJob
from vidpipe.encode.tasks.task import Made, Task
from vidpipe.errors import EncodeFailed, SourceRefused
from vidpipe.media.process import Cancel, Completed, run
from vidpipe.mp4.boxes import BoxError
from vidpipe.source.audio_changes import check_understood
from vidpipe.source.captions import CaptionJob
from vidpipe.source.text import one_line
from vidpipe.work.artifacts import Store, disk_full, writing

ATTEMPTS = 2
UNDECODABLE = 69
"""ffmpeg's exit code when more than two thirds of a stream cannot be decoded (fftools/ffmpeg.c, max_error_rate)."""
LINES_SHOWN, LINES_KEPT = 3, 12  # of ffmpeg's last words in an error; with --debug
UNDECODABLE_FIX = "validate it (vidpipe validate FILE says where it is damaged), and copy it again from its origin or export it again"
AFTERMATH = (  # what every other thread says once one has failed; it would bury the cause
    "Task finished with error code",
    "Terminating thread with return code",
    "Error sending frames to consumers",
    "Could not open encoder before EOF",
    "Nothing was written into output file",
)


class Failed(Exception):
    """An attempt gave nothing that can be used."""

    def __init__(
        self, reason: str, completed: Completed | None = None, *, sought: bool = False, source: bool = False, blame: Blame | None = None
    ) -> None:
        super().__init__(reason)
        self.completed = completed
        self.sought = sought  # the seek is to blame
        self.source = source  # the source is to blame
        self.blame = blame  # what a decoder alone did; then another attempt would only hang once more


@dataclass
class Watched:
    """What the attempts of a task share. decodes: it has been seen that the source decodes."""

    job: ChunkJob | AudioJob
    cancel: Cancel | None
    progress: Callable[[int], None]
    decodes: bool = False


def encoded(task: Task, arguments: list[str], folder: Path, watched: Watched) -> Completed:
    """Run an encode to its end, or to the moment when it is clear that it has none."""

    def line(text: str) -> None:
        if guard.line(text):
            watched.progress(guard.progress.frames)

    with Guard(task.ffmpeg, watched.job, folder, watched.cancel, decodes=watched.decodes) as guard, writing(folder):
        try:
            argv, limits = [task.ffmpeg, *arguments], limits_of(watched.job)
            completed = run(argv, cwd=folder, on_line=line, on_tick=guard.tick, cancel=watched.cancel, limits=limits)
        except Hangs as hangs:
            raise Failed(str(hangs), blame=hangs.blame, source=True) from hangs
        except Stalled as stalled:
            guard.decodes = True  # the decoder moved on for all that time
            raise Failed(str(stalled)) from stalled
        finally:
            watched.decodes = guard.decodes
    return ended(completed, folder)


def ended(completed: Completed, folder: Path) -> Completed:
    """Give back an ffmpeg that ended well. Raises Failed, EncodeFailed if the disk is full."""
    if "No space left on device" in completed.stderr_tail or "Disk quota exceeded" in completed.stderr_tail:
        raise disk_full(folder)
    check_understood(completed.stderr_tail, completed.argv[0])
    if completed.returncode != 0:
        code = completed.returncode
        if code == UNDECODABLE:
            raise Failed("most of it cannot be decoded", completed, source=True)
        raise Failed(f"ffmpeg was killed by signal {-code}" if code < 0 else f"ffmpeg ended with exit code {code}", completed)
    return completed


def attempted(completed: Completed, check: Callable[..., int], path: Path, *arguments: object) -> int:
    """Compare a file with what was planned; return its samples. Raises Failed if it is missing or another."""
    try:
        return check(path, *arguments)
    except FileNotFoundError as error:
        raise Failed(f"{path.name} was not made", completed) from error
    except SourceFault as error:
        raise Failed(str(error), completed, source=True) from error
    except (BoxError, ValueError, OSError) as error:
        raise Failed(f"{path.name} is not what was planned: {error}", completed) from error


def check_unchanged(job: ChunkJob | AudioJob | SubtitleJob | CaptionJob, task: Task) -> None:
    """Never keep what was made of a file that is no longer the one that was hashed."""
    try:
        now = Path(job.location).stat()
    except OSError as error:
        raise SourceRefused(
            f"it cannot be read any more: {error.strerror or error}",
            where=task.title,
            fix="put the file back and run the same command again",
            id="unreadable-source",
        ) from error
    if (now.st_size, now.st_mtime_ns) != (job.size, job.mtime_ns):
        raise SourceRefused(
            "it changed while it was being encoded",
            where=task.title,
            fix="wait until the file is complete, then run the same command again",
            id="changed-source",
        )


def stored(task: Task, folder: Path, samples: dict[str, int]) -> Made:
    """Move what was made into the store. samples: file name -> frames or samples in it."""
    store = Store(task.store)
    files = {
        name: store.add(key, folder / name, samples=samples.get(name, 0), source=task.source, title=task.title)
        for name, key in task.keys.items()
    }
    return Made(files=files)


def error_of(task: Task, where: str, arguments: list[str], failure: Failed, watched: Watched) -> EncodeFailed | SourceRefused:
    """Return what the person reads of a task that failed for good: the encoder's fault, or the source's."""
    words = words_of(failure.completed)
    details = said(words)
    debug = [f"command: {shlex.join([task.ffmpeg, *arguments])}", *(f"ffmpeg: {word}" for word in words)]
    blame = failure.blame or (None if failure.source or watched.decodes else _look(task, watched))
    if blame:
        more = [word for word in blame.words[-LINES_KEPT:] if word not in words]
        details += said(more)
        debug += [f"decoding alone: {blame.command}", *(f"ffmpeg: {word}" for word in more)]
    if failure.source or blame:
        what = blame.reason if blame else str(failure)
        return SourceRefused(what, where=where, fix=UNDECODABLE_FIX, details=details, debug=debug, id="undecodable-source")
    return EncodeFailed(
        f"{failure}, {ATTEMPTS} times",
        where=where,
        fix="run the same command again, with --debug to see ffmpeg's command and words; it continues after the finished chunks",
        details=details,
        debug=debug,
    )


def said(words: Sequence[str]) -> list[str]:
    """The last words of ffmpeg as lines of a message: few, and each of a length that can be read."""
    return [f"ffmpeg: {one_line(word)}" for word in words[-LINES_SHOWN:]]


def words_of(completed: Completed | None) -> list[str]:
    """What ffmpeg said last."""
    lines = completed.stderr_tail.splitlines() if completed else []
    return [line for line in lines if not any(phrase in line for phrase in AFTERMATH)][-LINES_KEPT:]


def _look(task: Task, watched: Watched) -> Blame | None:
    """Whether what could not be encoded cannot be decoded either: then the source is to blame. Asked after failures only."""
    with Store(task.store).temporary() as folder:
        return decode_alone(task.ffmpeg, watched.job, folder, watched.cancel)
