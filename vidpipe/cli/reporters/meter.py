"""Adds the events of a run up: which stages are done, how far the others are, how fast, and how long it will take.

In:   events, and a clock that never goes back.
Out:  a Snapshot, whenever one is asked for.
Wrong: nothing. A stage whose size or speed is unknown has no percentage and no remaining time.

Frames of reused chunks count as done but never as speed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from vidpipe.data import Data
from vidpipe.progress import (
    ChunkFinished,
    ChunkProgress,
    Copied,
    DecodeProgress,
    EncodePlanned,
    Event,
    Fetched,
    FileStarted,
    Note,
    StageFinished,
    StageStarted,
    Uploaded,
    VerifyProgress,
)

WINDOW_SECONDS = 30.0
"""Speed is measured over this time: long enough that chunks ending together do not make it jump."""
FETCH = "fetch"
"""The stage in which a source comes from elsewhere; nothing else is done meanwhile."""
VALIDATE = "validate"
"""The stage in which a source is measured and, by the command of that name, decoded."""
ENCODE = "encode"
VERIFY = "verify"


class EncodeState(Data):
    """How far an encode is: the ``progress`` of the NDJSON.

    frames: of the timeline, done.  fps: frames encoded a second.  speed: times realtime.  eta: seconds left of the encode.
    fps, speed and eta are None while nothing has been encoded.
    """

    percent: float
    frames: int
    frames_total: int
    fps: float | None = None
    speed: float | None = None
    eta: float | None = None
    chunks_done: int = 0
    chunks_reused: int = 0
    chunks: int = 0
    bytes_uploaded: int = 0


class Headway(Data):
    """How far a stage is. total: None if nobody knows.  pace: of ``what``, a second.  left: seconds, None while there is no pace."""

    what: Literal["frames", "bytes"]
    done: int
    total: int | None = None
    pace: float | None = None

    @property
    def share(self) -> float | None:
        """How much of it is done, from 0 to 1."""
        return None if self.total is None else min(self.done, self.total) / self.total if self.total else 1.0

    @property
    def left(self) -> float | None:
        """Seconds until it is done at this pace."""
        return max(self.total - self.done, 0) / self.pace if self.total is not None and self.pace else None


class StageState(Data):
    """A stage that has begun. seconds: that it took, or has taken so far.  note: the last thing that was said in it.

    failed: it ended with an error, or was stopped.
    """

    name: str
    seconds: float
    finished: bool = False
    failed: bool = False
    note: str | None = None


class Snapshot(Data):
    """How far a run is.

    seconds: since it began.  content_id: of its title.  file: that is validated, None unless it is one of several.
    stages: in the order in which they began.  headway: of the stages whose size is known, by name.
    encode: None before it is planned.  uploaded: bytes.  copied: objects.
    """

    seconds: float = 0.0
    content_id: str | None = None
    file: str | None = None
    stages: tuple[StageState, ...] = ()
    headway: dict[str, Headway] = {}
    encode: EncodeState | None = None
    uploaded: int = 0
    copied: int = 0

    @property
    def running(self) -> tuple[str, ...]:
        """Names of the stages that are not finished."""
        return tuple(stage.name for stage in self.stages if not stage.finished)


class _Stage:
    """A stage: when it began, what it took before, and what was said in it."""

    def __init__(self) -> None:
        self.begun: float | None = None
        self.took = 0.0
        self.failed = False
        self.note: str | None = None


class _Pace:
    """How much is done a second, over the last half minute."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._samples: deque[tuple[float, int]] = deque()

    def begin(self) -> None:
        """Count from zero, from now on."""
        self._samples.clear()
        self.add(0)

    def add(self, done: int) -> None:
        """Remember how much is done now."""
        now = self._now()
        self._samples.append((now, done))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()

    def a_second(self) -> float | None:
        """Return the pace; None if nothing was done."""
        if not self._samples:
            return None
        (begun, before), (_, after) = self._samples[0], self._samples[-1]
        elapsed = self._now() - begun
        return (after - before) / elapsed if elapsed > 0 and after > before else None


class _Counter:
    """Bytes or frames of a stage other than the encode, and their pace. What goes back begins anew."""

    def __init__(self, what: Literal["frames", "bytes"], now: Callable[[], float]) -> None:
        self._what = what
        self._pace = _Pace(now)
        self._done, self._total = 0, None if what == "bytes" else 0
        self.used = False

    def begin(self) -> None:
        """Forget what was counted: the stage begins."""
        self._done, self.used = 0, False
        self._pace.begin()

    def take(self, done: int, total: int | None) -> None:
        """Count."""
        if not self.used or done < self._done:
            self._pace.begin()
        self._done, self._total, self.used = done, total, True
        self._pace.add(done)

    def headway(self) -> Headway:
        """Return how far it is."""
        return Headway(what=self._what, done=self._done, total=self._total, pace=self._pace.a_second())


class Meter:
    """Adds up events. Not thread-safe; its owner guards it. now: seconds of a clock that never goes back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._begun = now()
        self._content_id: str | None = None
        self._file: str | None = None
        self._stages: dict[str, _Stage] = {}
        self._counters = {FETCH: _Counter("bytes", now), VALIDATE: _Counter("frames", now), VERIFY: _Counter("bytes", now)}
        self._planned: EncodePlanned | None = None
        self._encoded = _Pace(now)
        self._frames: dict[int, int] = {}
        self._finished: dict[int, bool] = {}
        self._uploaded = 0
        self._copied = 0

    def take(self, event: Event) -> None:
        """Count one event."""
        self._content_id = event.content_id or self._content_id
        match event:
            case StageStarted():
                self._start(event.stage)
            case StageFinished() if event.stage in self._stages:
                stage = self._stages[event.stage]
                stage.begun, stage.took, stage.failed = None, stage.took + event.seconds, event.failed
            case FileStarted():
                self._file = f"{event.number} of {event.files}: {event.file}" if event.files > 1 else None
                self._stages.clear()
                self._begun = self._now()
                self._counters[VALIDATE].begin()
            case Fetched():
                self._counters[FETCH].take(event.bytes, event.total)
            case DecodeProgress():
                self._counters[VALIDATE].take(event.frames, event.frames_total)
            case VerifyProgress():
                self._counters[VERIFY].take(event.bytes, event.bytes_total)
            case EncodePlanned():
                self._planned = event
                self._frames.clear()
                self._finished.clear()
                self._encoded.begin()
            case ChunkProgress() if event.chunk not in self._finished:
                self._frames[event.chunk] = event.frames
                self._sample()
            case ChunkFinished():
                self._frames[event.chunk] = event.frames
                self._finished[event.chunk] = event.reused
                self._sample()
            case Uploaded():
                self._uploaded += event.bytes
            case Copied():
                self._copied += 1
            case Note() if self._stages and event.level == "info":
                self._stages[next(reversed(self._stages))].note = event.text
            case _:
                pass

    def snapshot(self) -> Snapshot:
        """Return how far the run is now."""
        now = self._now()
        headway = {name: counter.headway() for name, counter in self._counters.items() if counter.used}
        encode = self._encode()
        if encode is not None:
            pace = self._encoded.a_second()
            headway[ENCODE] = Headway(what="frames", done=encode.frames, total=encode.frames_total, pace=pace)
        return Snapshot(
            seconds=now - self._begun,
            content_id=self._content_id,
            file=self._file,
            stages=tuple(
                StageState(
                    name=name,
                    seconds=stage.took + (now - stage.begun if stage.begun is not None else 0.0),
                    finished=stage.begun is None,
                    failed=stage.failed,
                    note=stage.note,
                )
                for name, stage in self._stages.items()
            ),
            headway=headway,
            encode=encode,
            uploaded=self._uploaded,
            copied=self._copied,
        )

    def _start(self, name: str) -> None:
        """Begin a stage, perhaps once more: what could not be copied or restored is made anew."""
        stage = self._stages.setdefault(name, _Stage())
        stage.begun = self._now()
        if counter := self._counters.get(name):
            counter.begin()

    def _encode(self) -> EncodeState | None:
        if self._planned is None:
            return None
        done, total, rate = sum(self._frames.values()), self._planned.frames, self._planned.frame_rate
        fps = self._encoded.a_second()
        return EncodeState(
            percent=round(100 * min(done, total) / total, 1) if total else 100.0,
            frames=done,
            frames_total=total,
            fps=round(fps, 1) if fps else None,
            speed=round(fps / rate, 2) if fps and rate else None,
            eta=round(max(total - done, 0) / fps, 1) if fps else None,
            chunks_done=len(self._finished),
            chunks_reused=sum(self._finished.values()),
            chunks=self._planned.chunks,
            bytes_uploaded=self._uploaded,
        )

    def _sample(self) -> None:
        """Remember how many frames have been encoded by now: all but those of reused chunks."""
        self._encoded.add(sum(frames for chunk, frames in self._frames.items() if not self._finished.get(chunk)))
