"""Copies of remote sources, kept while a run may still need them.

In:   the work space, a key that says which version of which source, and who wants it.
Out:  the folder of the copy for as long as a block runs.
Wrong: OSError.

    WORK/fetched/{key}/{name}        the copy
    WORK/fetched/{key}/.part         the same, not complete
    WORK/fetched/{key}/.lock         held while a process uses the folder, or, if the copy is shared, fills it
    WORK/fetched/{key}/.reader-…     of a shared copy: held while somebody reads it

A folder is removed by who holds it. Whoever comes meanwhile finds it held, or gone, and makes it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vidpipe.errors import SourceRefused
from vidpipe.work import locks
from vidpipe.work.tree import FETCHED, LOCK, READER

PARTIAL = ".part"
"""Name of a copy that is not complete; some programs add a suffix of their own while they write it."""


@contextmanager
def copy_of(work: Path, address: str, version: str, *, looking: bool) -> Iterator[Path | None]:
    """Give the folder of a copy for the length of a run, and decide what of it stays; None if another run holds it.

    address, version: hashes; copies of other versions of the same address go.  looking: the run makes no title, so a copy that it finds is
    left for the one that does.
    """
    folder = work / FETCHED / f"{address}-{version}"
    with held(folder) as free:
        if not free:
            yield None
            return
        _remove_others(folder, address)
        for left in folder.glob(f"{PARTIAL}.*"):
            left.unlink(missing_ok=True)
        before = any(contents(folder))
        ended = False
        try:
            yield folder
            ended = True
        except SourceRefused:  # nobody wants this file again; but what broke off can be continued
            for file in contents(folder):
                if file.name != PARTIAL and not (looking and before):
                    file.unlink()
            raise
        finally:
            useless = not before if looking else ended
            if useless or not any(contents(folder)):
                remove(folder)


@contextmanager
def shared(work: Path, key: str, fill: Callable[[Path], None], cancelled: Callable[[], bool] | None = None) -> Iterator[Path | None]:
    """Give a copy that several read at once; whoever needs it first fills it. None if the wait for that was cancelled."""
    folder = work / FETCHED / key
    file = folder / "source"
    with ExitStack() as reading:
        with locks.held(folder / LOCK, seconds=locks.FOREVER, cancelled=cancelled) as mine:
            if mine and not file.exists():
                fill(file)
            if mine:
                reading.enter_context(locks.held(folder / f"{READER}{secrets.token_hex(6)}", passing=True))
        yield file if mine else None


def drop_unread(work: Path) -> None:
    """Remove the shared copies that nobody reads or fills."""
    for folder in folders(work):
        with held(folder) as free:
            if free and not any(_is_read(reader) for reader in folder.glob(f"{READER}*")):
                remove(folder)


def folders(work: Path) -> list[Path]:
    """Return the folders of all copies."""
    found = work / FETCHED
    return sorted(path for path in found.iterdir() if path.is_dir() and not path.is_symlink()) if found.is_dir() else []


def contents(folder: Path) -> Iterator[Path]:
    """Return the files in the folder of a copy that are a copy, whole or not."""
    return (file for file in folder.iterdir() if file.name != LOCK and not file.name.startswith(READER))


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold the folder of a copy, which is made if it is not there; False if somebody else holds it."""
    with locks.held(folder / LOCK) as free:
        yield free


def remove(folder: Path) -> None:
    """Remove the folder of a copy that is held, its lock last."""
    for file in sorted(folder.iterdir(), key=lambda file: file.name == LOCK):
        file.unlink(missing_ok=True)
    with suppress(OSError):  # somebody else has begun to use it again
        folder.rmdir()


def _remove_others(folder: Path, address: str) -> None:
    """Remove the copies of other versions of the same address, unless a run uses them."""
    for other in folder.parent.glob(f"{address}-*"):
        if other != folder:
            with held(other) as free:
                if free:
                    remove(other)


def _is_read(reader: Path) -> bool:
    with locks.held(reader, passing=True) as free:
        return not free
