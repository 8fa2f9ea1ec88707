"""The note of an unfinished ingest, so that a run killed at any moment is continued by the next one, not begun again.

In:   the work space, a content id, and the fingerprint of what is to be published.
Out:  a JobNote held under a lock: which version, under which key, is being made at which target.
Wrong: UsageError if another process is making the same title right now (Running), or the folder cannot be written.

    WORK/jobs/{content_id}.json      the note
    WORK/jobs/{content_id}.lock      held while the ingest runs; gone with it
    WORK/jobs/.gate                  held while an ingest begins, and while the work space is cleaned
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from vidpipe import durable
from vidpipe.content_id import CONTENT_ID
from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.work.locks import held
from vidpipe.work.tree import GATE, JOBS, LOCK

GATE_SECONDS = 60.0
"""So long does an ingest wait for `vidpipe work clean` to end."""

Id = Annotated[str, Field(pattern=rf"^{CONTENT_ID.pattern}$")]
KeyId = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class JobNote(Data):
    """One version in the making.

    target: where it goes.  key_ids: of its content keys, none when the title is not encrypted.
    keys_kept: ids of those that the version that was live before has, too, and so not for this version to remove.
    catalog: where its line will stand, as Catalog.where says it; None in a note that an older vidpipe wrote.
    copy_of: the version whose media it has, under another description; None for an ingest.
    """

    content_id: Id
    fingerprint: str
    version: Id
    target: str
    key_ids: tuple[KeyId, ...] = ()
    keys_kept: tuple[KeyId, ...] = ()
    catalog: str | None = None
    copy_of: Id | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_ones(cls, note: Any) -> Any:
        """Read a note of vidpipe 0.1.0, which had one key or none, and of 0.2.0.dev, which kept all keys or none."""
        if isinstance(note, dict) and "key_id" in note:
            key_id = note["key_id"]
            note = {**{name: value for name, value in note.items() if name != "key_id"}, "key_ids": () if key_id is None else (key_id,)}
        if isinstance(note, dict) and isinstance(note.get("keys_kept"), bool):
            return {**note, "keys_kept": note.get("key_ids", ()) if note["keys_kept"] else ()}
        return note


class Running(UsageError):
    """The title is being made right now, with the same home."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to make a title. unfinished: the note that an earlier run left behind, whatever it was making."""

    path: Path
    unfinished: JobNote | None

    def save(self, job: JobNote) -> None:
        """Write the note; from now on a killed run continues this version."""
        with _translated(self.path):
            durable.sweep(self.path.parent)
            durable.write(self.path, job.model_dump_json().encode())

    def finish(self) -> None:
        """Remove the note: the version is live, or was discarded."""
        self.path.unlink(missing_ok=True)


@contextmanager
def claim(work: Path, content_id: str) -> Iterator[Claim]:
    """Hold the only claim on ``content_id`` in this work space while the block runs."""
    folder = work / JOBS
    path = folder / f"{content_id}.json"
    with ExitStack() as claimed:
        with _translated(path), _gate(folder):
            free = claimed.enter_context(held(path.with_suffix(LOCK), passing=True))
        if not free:
            raise Running(
                f"another ingest of {content_id!r} is running with the same home",
                fix="wait for it to end, or give this one another --id",
            )
        yield Claim(path, _read(path))


def unfinished(work: Path, content_id: str) -> JobNote | None:
    """Return the note of a title without claiming it. Raises UsageError."""
    return _read(work / JOBS / f"{content_id}.json")


def noted(work: Path) -> tuple[str, ...]:
    """Return the content ids of which there is a note: of unfinished ingests, and of those that run. Raises OSError."""
    return tuple(file.stem for file in sorted((work / JOBS).glob("*.json")))


def running(work: Path) -> tuple[str, ...]:
    """Return the content ids of the ingests that run now. Raises OSError."""
    with _gate(work / JOBS):
        return _running(work / JOBS)


@contextmanager
def no_ingest(work: Path) -> Iterator[None]:
    """Let no ingest begin while the block runs. Raises UsageError if one is running, OSError."""
    with _gate(work / JOBS):
        if names := _running(work / JOBS):
            raise UsageError(f"an ingest is running: {', '.join(names)}", where=str(work), fix="wait for it to end, or stop it, then clean")
        yield


@contextmanager
def _gate(folder: Path) -> Iterator[None]:
    """Hold what every ingest passes when it begins: so none begins unseen, and none is taken for running that is only looked at."""
    if not folder.is_dir():  # nothing was ever made here, and looking makes nothing
        yield
        return
    with held(folder / GATE, seconds=GATE_SECONDS, passing=True) as free:
        if not free:
            raise UsageError("the work space is being cleaned", where=str(folder.parent), fix="wait for `vidpipe work clean` to end")
        yield


def _running(folder: Path) -> tuple[str, ...]:
    found = []
    for lock in sorted(folder.glob(f"*{LOCK}")):
        with held(lock, passing=True) as free:
            if not free:
                found.append(lock.stem)
    return tuple(found)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the home folder cannot be used: {error.strerror or error}",
            where=str(path),
            fix="free some space, give this user write access, or choose another home with --home",
        ) from error


def _read(path: Path) -> JobNote | None:
    try:
        with _translated(path):
            job = JobNote.model_validate_json(path.read_bytes()) if path.exists() else None
    except ValidationError:
        return None  # a note that cannot be read is no note: the version is made anew
    return job if job and job.content_id == path.stem else None
