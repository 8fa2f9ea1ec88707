"""Check a program that has ended: did it succeed, and is each file what was planned? What jobs share in their ``check``.

In:   what it said, and the files that it left.
Out:  the samples of a file.
Wrong: Failed, which the job may answer with another attempt. EncodeFailed if the disk is full, UsageError if ffmpeg is too old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from vidpipe.encode.check import SourceFault
from vidpipe.encode.job import Failed
from vidpipe.media.process import Completed
from vidpipe.mp4.boxes import BoxError
from vidpipe.source.audio_changes import check_understood
from vidpipe.source.text import one_line
from vidpipe.work.artifacts import disk_full

UNDECODABLE = 69
"""ffmpeg's exit code when more than two thirds of a stream cannot be decoded (fftools/ffmpeg.c, max_error_rate)."""
LINES_SHOWN, LINES_KEPT = 3, 12  # of ffmpeg's last words in an error; with --debug
AFTERMATH = (  # what every other thread says once one has failed; it would bury the cause
    "Task finished with error code",
    "Terminating thread with return code",
    "Error sending frames to consumers",
    "Could not open encoder before EOF",
    "Nothing was written into output file",
)


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


def said(words: Sequence[str]) -> list[str]:
    """The last words of ffmpeg as lines of a message: few, and each of a length that can be read."""
    return [f"ffmpeg: {one_line(word)}" for word in words[-LINES_SHOWN:]]


def words_of(completed: Completed | None) -> list[str]:
    """What ffmpeg said last."""
    lines = completed.stderr_tail.splitlines() if completed else []
    return [line for line in lines if not any(phrase in line for phrase in AFTERMATH)][-LINES_KEPT:]
