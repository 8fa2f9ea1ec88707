"""Working folders: each belongs to a process while that lives, and is swept away if it was killed.

In:   the work space.
Out:  a folder for as long as a block runs.
Wrong: OSError.

    WORK/tmp/{host}-{random}/        held by the lock .lock in it while its process lives
"""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidpipe.durable import STALE_SECONDS
from vidpipe.work.locks import held
from vidpipe.work.tree import LOCK, TMP


@contextmanager
def temporary(work: Path) -> Iterator[Path]:
    """Give a new working folder, removed at the end; a killed process leaves it for ``sweep``."""
    while True:
        folder = work / TMP / f"{_host()}-{secrets.token_hex(6)}"
        with held(folder / LOCK) as mine:
            if not mine:
                continue  # somebody sweeps it already: it was made a moment before it was locked
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


def sweep(work: Path) -> int:
    """Remove the working folders of processes of this host that are gone. Return how many."""
    removed = 0
    for folder in _folders(work):
        if folder.name.startswith(f"{_host()}-"):
            with abandoned(folder) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)
                    removed += 1
    return removed


def in_use(work: Path) -> list[Path]:
    """Return the working folders whose processes live."""
    return [folder for folder in _folders(work) if not _is_abandoned(folder)]


def is_over(work: Path, name: str) -> bool:
    """Whether the working folder of this name is gone, or its process is."""
    folder = work / TMP / name
    return not folder.exists() or _is_abandoned(folder)


@contextmanager
def abandoned(folder: Path) -> Iterator[bool]:
    """Whether the process that made a working folder is gone. If so, nobody else takes the folder while the block runs."""
    if not (folder / LOCK).exists():
        yield _age(folder) > STALE_SECONDS  # its maker is between making it and locking it, or died there
        return
    with held(folder / LOCK) as free:
        yield free


def _is_abandoned(folder: Path) -> bool:
    with abandoned(folder) as free:
        return free


def _folders(work: Path) -> list[Path]:
    try:
        return sorted(path for path in (work / TMP).iterdir() if path.is_dir() and not path.is_symlink())
    except OSError:
        return []


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _host() -> str:
    return socket.gethostname().split(".")[0] or "host"
