"""The note of an unfinished ingest, so that a run killed at any moment is continued by the next one, not begun again.

In:   the jobs folder of the work space, a content id, and the fingerprint of what is to be published.
Out:  a Job held under a lock: which version, under which key, is being made at which target.
Wrong: UsageError if another process is making the same title right now, or the folder cannot be written.

The lock is advisory (flock) and dies with its process, so nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import Field, ValidationError, model_validator

from vidpipe.content_id import CONTENT_ID
from vidpipe.data import Data
from vidpipe.errors import UsageError

Id = Annotated[str, Field(pattern=rf"^{CONTENT_ID.pattern}$")]


class Job(Data):
    """One version in the making.

    target: where it goes.  key_ids: of its content keys, none when the title is not encrypted.
    catalog: where its line will stand, as Catalog.where says it; None in a note that an older vidpipe wrote.
    """

    content_id: Id
    fingerprint: str
    version: Id
    target: str
    key_ids: tuple[Annotated[str, Field(pattern="^[0-9a-f]{32}$")], ...] = ()
    catalog: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_key(cls, note: Any) -> Any:
        """Read a note of vidpipe 0.1.0, which had one key or none."""
        if isinstance(note, dict) and "key_id" in note:
            key_id = note["key_id"]
            return {**{name: value for name, value in note.items() if name != "key_id"}, "key_ids": () if key_id is None else (key_id,)}
        return note


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make a title. unfinished: the note that an earlier run left behind, whatever it was making."""

    path: Path
    unfinished: Job | None

    def save(self, job: Job) -> None:
        """Write the note; from now on a killed run continues this version."""
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with _translated(self.path):
            temporary.write_text(job.model_dump_json(), encoding="utf-8")
            temporary.replace(self.path)

    def finish(self) -> None:
        """Remove the note: the version is live, or was discarded."""
        self.path.unlink(missing_ok=True)


@contextmanager
def claim(folder: Path, content_id: str) -> Iterator[Claim]:
    """Hold the only claim on ``content_id`` in this work space while the block runs."""
    path = folder / f"{content_id}.json"
    with _opened(path.with_name(f"{content_id}.lock")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another ingest of {content_id!r} is running with the same home",
                fix="wait for it to end, or give this one another --id",
            ) from error
        yield Claim(path, _read(path))


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    with lock:
        yield lock


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the home folder cannot be used: {error.strerror or error}",
            where=str(path),
            fix="make room, give this user the right to write there, or choose another home with --home",
        ) from error


def _read(path: Path) -> Job | None:
    try:
        with _translated(path):
            job = Job.model_validate_json(path.read_bytes()) if path.exists() else None
    except ValidationError:
        return None  # a note that cannot be read is no note: the version is made anew
    return job if job and job.content_id == path.stem else None
