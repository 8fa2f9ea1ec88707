"""Locks between processes (and threads): each is a file that one holder has locked. Built on the package filelock.

In:   the path of the lock's file; its folder is made if it is missing.
Out:  whether the lock is held while a block runs.
Wrong: OSError if the file cannot be made, or the file system has no locks.

The kernel drops a lock with the process that held it, however that process ends: nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

FOREVER = -1.0


@contextmanager
def held(path: Path, *, seconds: float = 0, cancelled: Callable[[], bool] | None = None, passing: bool = False) -> Iterator[bool]:
    """Hold a lock while the block runs; False if somebody else holds it.

    seconds: how long to wait for it.  cancelled: ends the wait.  passing: the file goes with the lock; otherwise it stays, as a sign that
    somebody was there.
    """
    lock = _taken(path, seconds, cancelled)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            if passing:
                with suppress(OSError):  # Windows removes no file that is open
                    path.unlink()  # still held: whoever has opened it already will find it gone, and make another
            lock.release()


def _taken(path: Path, seconds: float, cancelled: Callable[[], bool] | None) -> FileLock | None:
    from filelock import FileLock, Timeout  # brings asyncio, which a command that takes no lock does without

    # A holder has a FileLock of its own, so threads of one process exclude each other as processes do. fallback_to_soft: where there is
    # no flock, filelock would write a file that survives its process instead.
    lock = FileLock(path, timeout=seconds, mode=0o600, thread_local=False, fallback_to_soft=False)
    while True:
        try:
            lock.acquire(cancel_check=cancelled)
            return lock
        except (FileNotFoundError, FileExistsError):  # its folder was just removed, perhaps while it was made: make it again
            if any(parent.is_file() for parent in path.parents):
                raise
        except Timeout:
            if path.exists() or (cancelled is not None and cancelled()):
                return None
            # It was removed while it was tried. filelock never takes a lock on a file that has no name any more.
