"""What the library reports while it works: events handed to a Reporter. The library itself never prints.

In:   the stages emit events, of which they know nothing but what happened; ``RunReporter`` adds the run, the title and the time.
Out:  whatever the Reporter makes of them (a bar, lines, NDJSON, nothing).
A Reporter is called from several threads; an implementation guards its own state and must not raise.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, Protocol

from pydantic import Field

from vidpipe.data import Data


class Event(Data):
    """Something that happened in a run. A Reporter that is given to ``ingest`` knows of every event which run it belongs to."""

    event: str
    run: str | None = Field(default=None, description="Id of the run, a UUID: one for each call of ingest, prepare or validate_files.")
    content_id: str | None = Field(default=None, description="Id of the title; None where none is made.")
    at: datetime | None = Field(default=None, description="When it happened, in UTC.")


class StageStarted(Event):
    """A stage of the pipeline begins. Stages overlap: several may be open at once."""

    event: Literal["stage_started"] = "stage_started"
    stage: str


class StageFinished(Event):
    """A stage is done. seconds: wall time between its start and its end."""

    event: Literal["stage_finished"] = "stage_finished"
    stage: str
    seconds: float


class Note(Event):
    """A sentence for the person watching."""

    event: Literal["note"] = "note"
    level: Literal["info", "warning"] = "info"
    text: str


class Fetched(Event):
    """Bytes of the source have arrived, from a server or on standard input. bytes: so far.  total: None if nobody says how many come."""

    event: Literal["fetched"] = "fetched"
    bytes: int
    total: int | None = None


class FileStarted(Event):
    """A file is being validated. file: as it was given; a URL without secrets.  number: from 1, of ``files``."""

    event: Literal["file_started"] = "file_started"
    file: str
    number: int
    files: int


class DecodeProgress(Event):
    """Pictures of a file that is validated have been decoded. frames: so far; a second attempt goes back.  frames_total: in all."""

    event: Literal["decode_progress"] = "decode_progress"
    frames: int
    frames_total: int


class EncodePlanned(Event):
    """The size of the encode. frames: frames of the timeline; frame_rate: frames a second of the source."""

    event: Literal["encode_planned"] = "encode_planned"
    chunks: int
    frames: int
    frame_rate: float


class ChunkProgress(Event):
    """A chunk moved on. frames: finished frames of this chunk's timeline so far; a retry may go back to 0."""

    event: Literal["chunk_progress"] = "chunk_progress"
    chunk: int
    frames: int


class ChunkFinished(Event):
    """A chunk is complete. reused: nothing had to be encoded for it."""

    event: Literal["chunk_finished"] = "chunk_finished"
    chunk: int
    frames: int
    reused: bool


class Uploaded(Event):
    """Bytes reached the target."""

    event: Literal["uploaded"] = "uploaded"
    path: str
    bytes: int


class Copied(Event):
    """An object was copied inside the target, from the version that was live before: none of its bytes left this machine."""

    event: Literal["copied"] = "copied"
    path: str
    bytes: int


class Live(Event):
    """A version is live: the end of an ingest that went well.

    manifest: path or s3:// URL of its master playlist.  url, title_url: see the record's ``playback``.
    """

    event: Literal["live"] = "live"
    version: str
    manifest: str
    url: str | None = None
    title_url: str | None = None


LAST_STAGE = "catalog"
"""The stage in which a version becomes live. Once it has begun, nothing stops it any more: how it ends is how the run ends."""


class Reporter(Protocol):
    """Receives every event of a run."""

    def emit(self, event: Event) -> None:
        """Take one event; called from any thread; must return quickly and never raise."""


class Silent:
    """The Reporter that shows nothing."""

    def emit(self, event: Event) -> None:
        """Drop the event."""


class RunReporter:
    """The Reporter of one run: passes every event on with the run, the title and the time. Nothing else fills these in."""

    def __init__(self, reporter: Reporter, content_id: str | None = None) -> None:
        self.id = str(uuid.uuid4())
        self.content_id = content_id
        self._reporter = reporter

    def emit(self, event: Event) -> None:
        """Take one event; see Reporter."""
        about = {"run": self.id, "content_id": self.content_id, "at": datetime.now(UTC)}
        self._reporter.emit(event.model_copy(update=about))


class Stages:
    """The clock of a run: reports when a stage begins and ends, and adds up its seconds."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._begun = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time one stage."""
        self.reporter.emit(StageStarted(stage=stage))
        begun = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - begun
            self.add(stage, took)
            self.reporter.emit(StageFinished(stage=stage, seconds=round(took, 3)))

    def all(self) -> dict[str, float]:
        """Return the seconds of every stage so far, and under "total" those since the beginning."""
        return {**self.seconds, "total": round(time.monotonic() - self._begun, 3)}

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds of a stage that runs inside another one."""
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + seconds, 3)
