"""A directory as a target: what a web server serves, and the default.

In:   object paths and bytes.
Out:  files below the root, each written as vidpipe/durable.py does it.
Wrong: PublishFailed: no permission, no space, a file in the way, the object is missing; a symbolic link leads
       out of the root; UsageError never, ValueError for a path that leaves the root.

A file system has no place for Content-Type and Cache-Control: they are not kept, ``head`` says None, and the web server in
front of the directory has to send them. The SHA-256 is computed from the file, never remembered.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from vidpipe import durable
from vidpipe.errors import PublishFailed
from vidpipe.storage.base import Damaged, Stored, clean_path, sha256_file


class LocalStorage:
    """Objects as files below ``root``, which is created at the first write."""

    keeps_headers = False

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow links: people want the path they gave

    def check(self) -> None:
        """See Storage.check: creates the directory and tries to write in it."""
        with _translated("use", str(self.root)):
            self.root.mkdir(parents=True, exist_ok=True)
            trial = self.root / f"{durable.TEMPORARY}{secrets.token_hex(8)}.tmp"
            with _removed_on_failure(trial):
                trial.write_bytes(b"")
                trial.unlink()

    def put(
        self,
        path: str,
        data: bytes | Path,
        *,
        content_type: str,
        cache_control: str,
        sha256: str,
        content_encoding: str | None = None,
        on_bytes: Callable[[int], None] | None = None,
    ) -> None:
        """See Storage.put. It is one piece. The headers and the hash are not kept; see the head of the module."""
        if content_encoding is not None:
            raise ValueError("nothing would declare that this file is compressed")
        file = self._file(path)
        with _translated("write", str(file)):
            file.parent.mkdir(parents=True, exist_ok=True)
            durable.write(file, data)
        if on_bytes is not None:
            on_bytes(file.stat().st_size)

    def copy(self, source: str, path: str, *, size: int) -> bool:
        """See Storage.copy, and ``durable.share``."""
        origin, file = self._file(source).resolve(), self._file(path)
        with _translated("copy", str(file)):
            if not origin.is_file():
                return False
            file.parent.mkdir(parents=True, exist_ok=True)
            durable.share(origin, file)
        return True

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        """See Storage.get. A directory remembers no hash."""
        file = self._file(path)
        with _translated("read", str(file)):
            data = file.read_bytes()
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise Damaged.of(data, str(file))
        return data

    def download(self, path: str, file: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        """See Storage.download. It is one piece."""
        source = self._file(path)
        with _translated("read", str(source)), source.open("rb"):  # a missing source is about the source, not about the copy
            pass
        with _translated("write", str(file)):
            durable.write(file, source)
        if on_bytes is not None:
            on_bytes(file.stat().st_size)

    def head(self, path: str) -> Stored | None:
        """See Storage.head. Reads the whole file for its hash."""
        file = self._file(path)
        with _translated("read", str(file)):
            if not file.is_file():
                return None
            return Stored(path=clean_path(path), size=file.stat().st_size, sha256=sha256_file(file))

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See Storage.list."""
        folder = self._file(prefix, empty=True)
        found: dict[str, os.stat_result] = {}
        with _translated("list", str(folder)):
            for parent, _, names in os.walk(folder, onerror=_unless_missing):
                for name in names:
                    file = Path(parent) / name
                    if not name.startswith(durable.TEMPORARY):
                        with suppress(FileNotFoundError):  # somebody has just deleted it
                            facts = file.stat()
                            if stat.S_ISREG(facts.st_mode):
                                found[file.relative_to(self.root).as_posix()] = facts
        for path in sorted(found):
            yield Stored(path=path, size=found[path].st_size, modified=datetime.fromtimestamp(found[path].st_mtime, UTC))

    def tidy(self, prefix: str) -> None:
        """See Storage.tidy."""
        folder = self._file(prefix)
        with _translated("tidy", str(folder)):
            for left in folder.rglob(f"{durable.TEMPORARY}*.tmp"):
                left.unlink(missing_ok=True)

    def delete(self, path: str) -> None:
        """See Storage.delete."""
        file = self._file(path)
        with _translated("delete", str(file)):
            file.unlink(missing_ok=True)

    def unfinished_uploads(self, before: datetime) -> Iterator[Stored]:
        """See Storage.unfinished_uploads: temporary files whose writer is gone."""
        with _translated("list", str(self.root)):
            for file in sorted(self.root.rglob(f"{durable.TEMPORARY}*.tmp")):
                with suppress(FileNotFoundError):  # its writer has just finished it
                    facts = file.stat()
                    if facts.st_mtime < before.timestamp():
                        yield Stored(path=file.relative_to(self.root).as_posix(), size=facts.st_size)

    def abort_upload(self, left: Stored) -> None:
        """See Storage.abort_upload."""
        self.delete(left.path)

    def delete_prefix(self, prefix: str) -> None:
        """See Storage.delete_prefix. Parent folders that become empty go too, the root stays."""
        folder = self._file(prefix)
        with _translated("delete", str(folder)):
            while folder.is_dir():
                with suppress(FileNotFoundError):  # another process deletes the same
                    shutil.rmtree(folder)
            for parent in folder.parents:
                if parent == self.root or not parent.is_relative_to(self.root):
                    break
                with suppress(OSError):  # not empty, or gone already: both are fine
                    parent.rmdir()

    def location(self, path: str = "") -> str:
        """See Storage.location."""
        return str(self.root / clean_path(path, empty=True))

    def close(self) -> None:
        """Nothing to release."""

    def _file(self, path: str, *, empty: bool = False) -> Path:
        file = self.root / clean_path(path, empty=empty)
        with _translated("read", str(file)):
            inside = file.resolve().is_relative_to(self.root.resolve())
        if not inside:
            fix = "remove the link, or publish to the folder that it points to (--to)"
            raise PublishFailed("a symbolic link points outside the target", where=str(file), fix=fix)
        return file


@contextmanager
def _removed_on_failure(file: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        raise


def _unless_missing(problem: OSError) -> None:
    if not isinstance(problem, FileNotFoundError | NotADirectoryError):
        raise problem


_ADVICE: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again: finished work is reused"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run the same command again: finished work is reused"),
    errno.EACCES: ("permission denied", "give this user access to it, or choose another target with --to"),
    errno.EPERM: ("permission denied", "give this user access to it, or choose another target with --to"),
    errno.EROFS: ("the file system is read-only", "choose another target with --to"),
    errno.ENOENT: ("no such file", "check the path; if it was published, something has removed it since"),
    errno.ENOTDIR: ("a file is where a directory is needed", "move that file away, or choose another target with --to"),
    errno.EEXIST: ("a file is where a directory is needed", "move that file away, or choose another target with --to"),
    errno.EISDIR: ("a directory is where a file is needed", "move that directory away, or choose another target with --to"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a shorter target or a shorter --id"),
    errno.ELOOP: ("symbolic links form a loop", "repair the links, or choose another target with --to"),
    errno.EIO: ("the disk reports an input/output error", "check the disk, or choose another target with --to"),
}


@contextmanager
def _translated(verb: str, where: str) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        what, fix = _ADVICE.get(
            problem.errno or 0, (problem.strerror or str(problem), "check the path, or choose another target with --to")
        )
        raise PublishFailed(f"cannot {verb}: {what}", where=where, fix=fix) from problem
    except RuntimeError as problem:  # Python before 3.13: resolve() on a loop of links
        what, fix = _ADVICE[errno.ELOOP]
        raise PublishFailed(f"cannot {verb}: {what}", where=where, fix=fix) from problem
