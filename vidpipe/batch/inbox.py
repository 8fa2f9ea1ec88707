"""The place where sources arrive: a folder, or a prefix at S3.

In:   the folder or prefix.
Out:  Arrivals: sources that are whole, each a location that ``ingest`` takes; afterwards they lie in ``done/`` or ``failed/`` below it.
Wrong: UsageError for an inbox that cannot be read; PublishFailed, OSError where a source cannot be moved.

A file in a folder is whole when size and time have not changed for SETTLE seconds; one that is renamed into the folder while it keeps an
old time has to be looked at for as long. An object of S3 appears whole. Names that begin with a dot, or end as unfinished copies do
(.part, .tmp), are left alone, because their suffix is none of a source's. What takes the place of a source while its title is made is
another arrival, and is never moved with it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from vidpipe.batch.requests import is_source
from vidpipe.data import Data
from vidpipe.errors import PublishFailed, UsageError
from vidpipe.storage import open_storage

DONE, FAILED = "done", "failed"
WHY = ".error.txt"
"""Ends the name of the file beside a source in ``failed/`` that says what was wrong with it."""
SETTLE = 10.0


class Arrival(Data):
    """A source that is whole. state: text that changes whenever another one takes its place."""

    source: str
    state: str


class Inbox(Protocol):
    """Where sources arrive."""

    def whole(self) -> Iterator[Arrival]:
        """Yield the sources that are complete, in the order of their names."""

    def is_still(self, arrival: Arrival) -> bool:
        """Whether a source is still the one that was seen."""

    def put_away(self, arrival: Arrival, *, well: bool, why: str = "") -> str | None:
        """Move a source to ``done/`` or ``failed/`` and return where it is now; None if another one has taken its place, which stays.

        why: of a failure, for people.
        """


def open_inbox(where: str, settle: float = SETTLE, now: Callable[[], float] = time.monotonic) -> Inbox:
    """Return the inbox. settle: seconds without a change after which a file of a folder is whole."""
    if where.lower().startswith("s3://"):
        return _Prefix(where.rstrip("/") + "/")
    if not Path(where).is_dir():
        raise UsageError("there is no such folder", where=where, fix="make it, or name an S3 prefix: s3://BUCKET/PREFIX/")
    return _Folder(Path(where), settle, now)


class _Folder:
    def __init__(self, folder: Path, settle: float, now: Callable[[], float]) -> None:
        self._folder, self._settle, self._now = folder, settle, now
        self._seen: dict[str, tuple[str, float]] = {}  # state of each file, and since when

    def whole(self) -> Iterator[Arrival]:
        try:
            names = sorted(path.name for path in self._folder.iterdir() if is_source(path.name) and path.is_file())
        except OSError as problem:
            raise UsageError(f"cannot be read: {problem.strerror or problem}", where=str(self._folder), fix="check the folder") from problem
        now = self._now()
        states = {name: state for name in names if (state := _state(self._folder / name))}
        self._seen = {
            name: (state, self._seen[name][1] if name in self._seen and self._seen[name][0] == state else now)
            for name, state in states.items()
        }
        for name, (state, since) in self._seen.items():
            if now - since >= self._settle:
                yield Arrival(source=str(self._folder / name), state=state)

    def is_still(self, arrival: Arrival) -> bool:
        return _state(Path(arrival.source)) == arrival.state

    def put_away(self, arrival: Arrival, *, well: bool, why: str = "") -> str | None:
        file, folder = Path(arrival.source), self._folder / (DONE if well else FAILED)
        folder.mkdir(exist_ok=True)
        target = folder / file.name
        number = 1
        while target.exists():  # an earlier source of that name
            number += 1
            target = folder / f"{file.stem}-{number}{file.suffix}"
        if not self.is_still(arrival):
            return None
        if why:  # first: a source in failed/ has its reason beside it, whenever this process dies
            target.with_name(target.name + WHY).write_text(why, encoding="utf-8")
        file.rename(target)
        return str(target)


def _state(file: Path) -> str | None:
    """Return what changes when a file does, None if it is gone."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ino}"


class _Prefix:
    """Objects below an S3 prefix, without those in a folder of their own. Moving is done by the server."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def whole(self) -> Iterator[Arrival]:
        with closing(open_storage(self._prefix)) as storage:
            names = [stored.path for stored in storage.list() if "/" not in stored.path and is_source(stored.path)]
            found = [(name, storage.head(name)) for name in names]
        yield from (Arrival(source=f"{self._prefix}{name}", state=stored.tag or "") for name, stored in found if stored)

    def is_still(self, arrival: Arrival) -> bool:
        with closing(open_storage(self._prefix)) as storage:
            stored = storage.head(arrival.source.removeprefix(self._prefix))
        return stored is not None and stored.tag == arrival.state

    def put_away(self, arrival: Arrival, *, well: bool, why: str = "") -> str | None:
        name, folder = arrival.source.removeprefix(self._prefix), DONE if well else FAILED
        with closing(open_storage(self._prefix)) as storage:
            target, number = f"{folder}/{name}", 1
            while storage.head(target) is not None:
                number += 1
                target = f"{folder}/{Path(name).stem}-{number}{Path(name).suffix}"
            stored = storage.head(name)
            if stored is None or stored.tag != arrival.state:
                return None
            if why:  # first: a source in failed/ has its reason beside it, whenever this process dies
                text, plain = why.encode(), "text/plain; charset=utf-8"
                digest = hashlib.sha256(text).hexdigest()
                storage.put(f"{target}{WHY}", text, content_type=plain, cache_control="no-store", sha256=digest)
            if not storage.copy(name, target, size=stored.size):
                fix = "allow reading, writing and deleting objects below the inbox"
                raise PublishFailed("the server does not move it", where=arrival.source, fix=fix)
            now = storage.head(name)
            if now is None or now.tag != arrival.state:  # what was copied is no longer known
                storage.delete(target)
                storage.delete(f"{target}{WHY}")
                return None
            storage.delete(name)
            return storage.location(target)
