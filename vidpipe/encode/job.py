"""The one shape of all work: run a program in a folder, check what it left there, keep that by its keys; perhaps once more, differently.

In:   nothing; ``tasks/`` has a Job for a chunk of the picture, for audio tracks, for subtitles and for closed captions.
Out:  Job, and what it says of itself. The scheduler and the cluster know nothing else of any work.
Wrong: Failed, from ``check``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from vidpipe.data import Data
from vidpipe.media.process import Completed, Limits
from vidpipe.plan import Plan


@dataclass(frozen=True)
class Blame:
    """What the decoder alone did. command: to paste.  words: what ffmpeg said last."""

    reason: str
    command: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decoding:
    """ffmpeg's arguments that only decode what a job decodes, and the threads of its decoder."""

    arguments: list[str]
    threads: int = 1


@dataclass(frozen=True)
class Checked:
    """What a program left. samples: file name -> frames, samples or pictures in it.  problems: file name -> why there is no such file."""

    samples: Mapping[str, int]
    problems: Mapping[str, str] = field(default_factory=dict)


class Failed(Exception):
    """An attempt gave nothing that can be used.

    - completed: the program.
    - seek_failed: the seek is to blame.
    - source: the source is to blame.
    - changing: the streams whose audio changes, although their packets do not say so.
    - blame: what a decoder alone did; another attempt would only hang once more.
    """

    def __init__(
        self,
        reason: str,
        completed: Completed | None = None,
        *,
        seek_failed: bool = False,
        source: bool = False,
        changing: frozenset[int] = frozenset(),
        blame: Blame | None = None,
    ) -> None:
        super().__init__(reason)
        self.completed = completed
        self.seek_failed = seek_failed
        self.source = source
        self.changing = changing
        self.blame = blame


class Job(Data, ABC):
    """A piece of work. It can be pickled: it may be done on another machine.

    - location, size, mtime_ns: of the source.
    - source, title: its SHA-256 and its name for people.
    - outputs: file name -> key, of everything that is expected in the folder.
    """

    location: str
    size: int
    mtime_ns: int
    source: str
    title: str
    outputs: dict[str, str]

    @classmethod
    def of(cls, command: Data, plan: Plan, outputs: Mapping[str, str], *, input_: int = 0, **more: Any) -> Self:
        """Return the job that does what a command says with an input, and keeps it by these keys."""
        source = plan.asset.inputs[input_]
        return cls(**dict(command), source=source.sha256, title=source.name, outputs=dict(outputs), **more)

    @property
    @abstractmethod
    def where(self) -> str:
        """What it makes of which part of the source, for people."""

    @abstractmethod
    def argv(self, ffmpeg: str) -> list[str]:
        """Return the command. ffmpeg: the program of the machine that does the job."""

    def stdin(self) -> bytes | None:
        """Return what the program reads on its standard input."""
        return None

    @abstractmethod
    def limits(self) -> Limits:
        """Return what the program may use."""

    def decoding(self) -> Decoding | None:
        """Return how the same is decoded alone, to learn whether the source is to blame; None if that says nothing."""
        return None

    def progress(self, frames: int) -> int:
        """Return how many frames of the timeline are done when ffmpeg has written so many of its first output."""
        return frames

    @abstractmethod
    def check(self, folder: Path, completed: Completed) -> Checked:
        """Compare what the program left with what was planned.  Raises Failed, or what no other attempt can mend."""

    def again(self, failure: Failed) -> tuple[Job, ...]:
        """Return what to try after a failure: the same once more, or otherwise, or in parts."""
        del failure
        return (self,)

    def given_up(self, failure: Failed) -> Mapping[str, str] | None:
        """Return file name -> problem if a title can do without what failed twice; None if it cannot."""
        del failure
        return None
