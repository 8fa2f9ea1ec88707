"""The place where sources arrive: a folder, or a prefix at S3.

In:   the folder or prefix.
Out:  the sources that are whole, each a location that ``ingest`` takes; afterwards they lie in ``done/`` or ``failed/`` below it.
Wrong: UsageError for an inbox that cannot be read; PublishFailed, OSError where a source cannot be moved.

A file in a folder is whole when size and time have not changed for SETTLE seconds; one that is renamed into the folder while it keeps an
old time has to be looked at for as long. An object of S3 appears whole. Names that begin with a dot, or end as unfinished copies do
(.part, .tmp), are left alone, because their suffix is none of a source's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol

from vidpipe.batch.requests import is_source
from vidpipe.errors import UsageError
from vidpipe.storage import open_storage

DONE, FAILED = "done", "failed"
WHY = ".error.txt"
"""Ends the name of the file beside a source in ``failed/`` that says what was wrong with it."""
SETTLE = 10.0


class Inbox(Protocol):
    """Where sources arrive."""

    def whole(self) -> Iterator[str]:
        """Yield the sources that are complete, in the order of their names."""

    def put_away(self, source: str, *, well: bool, why: str = "") -> str:
        """Move a source to ``done/`` or ``failed/`` and return where it is now. why: of a failure, for people."""


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
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}  # size and time of each file, and since when

    def whole(self) -> Iterator[str]:
        try:
            found = {path.name: path.stat() for path in sorted(self._folder.iterdir()) if is_source(path.name) and path.is_file()}
        except FileNotFoundError:  # one of them was moved away just now
            found = {}
        except OSError as problem:
            raise UsageError(f"cannot be read: {problem.strerror or problem}", where=str(self._folder), fix="check the folder") from problem
        now = self._now()
        states = {name: (facts.st_size, facts.st_mtime_ns) for name, facts in found.items()}
        self._seen = {
            name: (state, self._seen[name][1] if name in self._seen and self._seen[name][0] == state else now)
            for name, state in states.items()
        }
        yield from (str(self._folder / name) for name, (_, since) in self._seen.items() if now - since >= self._settle)

    def put_away(self, source: str, *, well: bool, why: str = "") -> str:
        file, folder = Path(source), self._folder / (DONE if well else FAILED)
        folder.mkdir(exist_ok=True)
        target = folder / file.name
        number = 1
        while target.exists():  # an earlier source of that name
            number += 1
            target = folder / f"{file.stem}-{number}{file.suffix}"
        if why:
            target.with_name(target.name + WHY).write_text(why, encoding="utf-8")
        file.rename(target)
        return str(target)


class _Prefix:
    """Objects below an S3 prefix, without those in a folder of their own. Moving is done by the server."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def whole(self) -> Iterator[str]:
        with closing(open_storage(self._prefix)) as storage:
            found = [stored.path for stored in storage.list()]
        yield from (f"{self._prefix}{path}" for path in found if "/" not in path and is_source(path))

    def put_away(self, source: str, *, well: bool, why: str = "") -> str:
        name, folder = source.removeprefix(self._prefix), DONE if well else FAILED
        with closing(open_storage(self._prefix)) as storage:
            stored = storage.head(name)
            target, number = f"{folder}/{name}", 1
            while storage.head(target) is not None:
                number += 1
                target = f"{folder}/{Path(name).stem}-{number}{Path(name).suffix}"
            if why:
                text = why.encode()
                storage.put(
                    f"{target}{WHY}",
                    text,
                    content_type="text/plain; charset=utf-8",
                    cache_control="no-store",
                    sha256=hashlib.sha256(text).hexdigest(),
                )
            if stored and storage.copy(name, target, size=stored.size):
                storage.delete(name)
            return storage.location(target)
