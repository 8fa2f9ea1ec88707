"""What a task is given, and what it gives back. Everything but a Watch can be pickled: tasks travel to other machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidpipe.data import Data
from vidpipe.encode.audio import AudioJob
from vidpipe.encode.command import ChunkJob
from vidpipe.encode.subtitles import SubtitleJob
from vidpipe.media.process import Cancel
from vidpipe.source.captions import CaptionJob
from vidpipe.work.artifacts import Artifact


class Task(Data):
    """What all kinds share. ffmpeg: the program.  keys: file name -> key of what is made.

    source, title: SHA-256 and name of the source, noted in the store.
    alive: a folder that goes away when the run is over; its absence stops a task on another machine.
    """

    ffmpeg: str
    store: Path
    keys: dict[str, str]
    source: str
    title: str
    alive: Path | None = None


class ChunkTask(Task):
    """A chunk of the picture."""

    job: ChunkJob


class AudioTask(Task):
    """All missing tracks."""

    job: AudioJob


class SubtitleTask(Task):
    """All missing subtitle tracks."""

    job: SubtitleJob


class CaptionTask(Task):
    """All missing channels of closed captions."""

    job: CaptionJob


AnyTask = ChunkTask | AudioTask | SubtitleTask | CaptionTask


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
