"""What a task is given, and what it gives back. Everything but a Watch can be pickled: tasks travel to other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidpipe.data import Data
from vidpipe.encode.job import Job
from vidpipe.media.process import Cancel
from vidpipe.work.artifacts import Artifact


class Task(Data):
    """A job, and what it takes to do it here or elsewhere.

    - job: of any kind.
    - ffmpeg: the program.
    - store: the folder of what is made.
    - alive: a folder that goes away when the run is over; its absence stops a task on another machine.
    """

    job: Job
    ffmpeg: str
    store: Path
    alive: Path | None = None


class Made(Data):
    """What a task made: file name -> artifact. problems: file name -> why it was not made, for what a title can do without."""

    files: dict[str, Artifact]
    problems: dict[str, str] = {}


@dataclass(frozen=True)
class Watch:
    """What a task in this process is watched by. progress: called with the timeline frames that are done."""

    cancel: Cancel
    progress: Callable[[int], None]


@dataclass(frozen=True)
class RunIsOver:
    """The cancel signal of a task on another machine: the folder of the run is gone."""

    alive: Path

    def is_set(self) -> bool:
        """Return True once the folder is gone."""
        return not self.alive.is_dir()


def cancel_of(task: Task, watch: Watch | None) -> Cancel | None:
    """Return what stops a task: the signal of this process, or on another machine the end of the run."""
    return watch.cancel if watch else RunIsOver(task.alive) if task.alive else None
