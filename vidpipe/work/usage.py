"""What the work folder holds, and how to free it. Nothing there is needed once a title is live: it only saves work.

In:   HOME/work.
Out:  what each kind of file takes, which ingests are unfinished, and the space that was freed.
Wrong: UsageError if an ingest is running, or a file cannot be read or removed.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.work import fetched, jobs, temporary
from vidpipe.work.artifacts import Held, Store
from vidpipe.work.tree import FETCHED, JOBS, MEANING, TMP, is_lock


class FolderUse(Data):
    """What one kind of file takes. kind: the folder's name.  files: without locks.  bytes: added sizes."""

    kind: str
    meaning: str
    files: int
    bytes: int


class Usage(Data):
    """What the work folder holds. unfinished: content ids whose ingest was cut short.  running: those that are being made now.

    sources: what the finished chunks take, source by source, the one used longest ago first.
    """

    folder: str
    shares: tuple[FolderUse, ...]
    sources: tuple[Held, ...]
    unfinished: tuple[str, ...]
    running: tuple[str, ...]


def usage(work: Path) -> Usage:
    """Measure the work folder. One that does not exist yet is empty.  Raises UsageError."""
    with _translated(work):
        running, notes = jobs.running(work), jobs.noted(work)
        shares = tuple(_share(folder.name, list(_files(folder))) for folder in _folders(work))
    return Usage(
        folder=str(work),
        shares=shares,
        sources=tuple(Store(work).held()),
        unfinished=tuple(name for name in notes if name not in running),
        running=running,
    )


def clean(work: Path, *, older_than_days: float = 0, dry_run: bool = False) -> tuple[FolderUse, ...]:
    """Remove everything but the notes, and return what was removed. Published titles, keys and the catalog lie elsewhere.

    older_than_days: keep files that were written more recently.  dry_run: only report.
    An unfinished ingest stays possible: it fetches and encodes again what is gone.  Raises UsageError while an ingest is running; what
    `vidpipe plan` and `validate` are just using stays.
    """
    limit = time.time() - older_than_days * 86_400
    removed = []
    with _translated(work), jobs.no_ingest(work):
        for folder in _folders(work):
            if folder.name == JOBS:
                continue  # a few hundred bytes each
            if folder.name == FETCHED:
                removed.append(_clean_copies(work, limit, dry_run=dry_run))
                continue
            used = temporary.in_use(work) if folder.name == TMP else []
            files = [file for file in _files(folder, used) if file.lstat().st_mtime <= limit]
            removed.append(_share(folder.name, files))
            if not dry_run:
                _remove(folder, files, used)
    return tuple(removed)


def _clean_copies(work: Path, limit: float, *, dry_run: bool) -> FolderUse:
    """Remove the copies that nobody uses and that are older than ``limit``, each whole. Return what they take."""
    with ExitStack() as locks:
        old = [copy for copy in fetched.folders(work) if all(file.lstat().st_mtime <= limit for file in fetched.contents(copy))]
        free = [copy for copy in old if locks.enter_context(fetched.held(copy))]
        share = _share(FETCHED, [file for copy in free for file in fetched.contents(copy)])
        if not dry_run:
            for copy in free:
                fetched.remove(copy)
    return share


def _folders(work: Path) -> list[Path]:
    return sorted(path for path in work.iterdir() if path.is_dir() and not path.is_symlink()) if work.is_dir() else []


def _files(folder: Path, without: Sequence[Path] = ()) -> Iterator[Path]:
    """Every file below a folder, but not below some; links are listed as themselves, never followed."""
    return (path for path in _below(folder, without) if path.is_symlink() or not path.is_dir())


def _below(folder: Path, without: Sequence[Path]) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if not any(path.is_relative_to(each) for each in without)]


def _share(kind: str, files: list[Path]) -> FolderUse:
    sizes = []
    for file in (each for each in files if not is_lock(each)):
        with suppress(FileNotFoundError):  # a running ingest renames and removes files
            sizes.append(file.lstat().st_size)
    return FolderUse(kind=kind, meaning=MEANING.get(kind, "other files"), files=len(sizes), bytes=sum(sizes))


def _remove(folder: Path, files: list[Path], without: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
    for path in reversed(_below(folder, without)):  # deepest first
        if path.is_dir() and not path.is_symlink():
            try:
                path.rmdir()
            except OSError as problem:
                if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise


@contextmanager
def _translated(work: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise UsageError(
            f"the work folder cannot be used: {problem.strerror or problem}",
            where=str(problem.filename or work),
            fix="give this user access to it, or choose another home with --home",
        ) from problem
