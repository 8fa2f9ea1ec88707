"""Write files that appear whole or not at all, and that are still there after a power cut.

In:   a file's name and its bytes, or a finished temporary file.
Out:  the file: its bytes are on the disk before its name is (fsync, then rename), and its name before the call returns (fsync of the
      folder).
Wrong: OSError; nothing is left behind.

Without the first fsync a file system may keep the name and lose the bytes; without the second one it may lose the name, and whoever
believes that the file is there is wrong. A file system that cannot do it (some network file systems, folders on Windows) is taken as it is.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".vidpipe-"
"""How the name of a file that is being written begins; it ends in ``.tmp``."""
STALE_SECONDS = 24 * 3600
"""Age at which what has no lock belongs to nobody any more."""

_FICLONE = 0x40049409  # linux/fs.h; Python 3.14 is the first to have it in fcntl
_CANNOT = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def write(file: Path, data: bytes | Path, *, private: bool = False) -> None:
    """Write ``file``, or replace it. data: its bytes, or a file to copy.  private: nobody else may read it."""
    with _written(file, data, private=private) as temporary:
        temporary.replace(file)
    sync(file.parent)


def create(file: Path, data: bytes, *, private: bool = False) -> bool:
    """Write ``file`` unless it is there; False if it is. Of several processes that create it at once, one wins."""
    try:
        with _written(file, data, private=private) as temporary:
            os.link(temporary, file)  # unlike a rename, a link never replaces the file of another process
            temporary.unlink()
    except FileExistsError:
        return False
    sync(file.parent)
    return True


def share(source: Path, file: Path) -> None:
    """Give ``file`` the bytes of another file, without writing them twice where the file system can: a clone, a hard link, else a copy.

    A link is safe because nothing here writes into a file that is there: each write is a new file under the old name.
    """
    temporary = file.parent / f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
    try:
        if not (_cloned(source, temporary) or _linked(source, temporary)):
            write(file, source)
            return
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)  # replace leaves both names where they were links to one file already
    sync(file.parent)


def move(made: Path, file: Path) -> None:
    """Give a finished temporary file of the same file system its name."""
    sync(made)
    made.replace(file)
    sync(file.parent)


def sweep(folder: Path) -> None:
    """Remove what killed writers have left half-written in a folder, but nothing younger than a day: others may be writing."""
    for left in folder.glob(f"{TEMPORARY}*.tmp"):
        with suppress(FileNotFoundError):  # somebody else sweeps, or has finished it
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if os.name == "posix":
            raise
        return  # Windows opens no folders
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in _CANNOT:
            raise
    finally:
        os.close(handle)


def _cloned(source: Path, file: Path) -> bool:
    """Make a file that shares the blocks of another until one of them is written (btrfs, XFS …). False where that cannot be done."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        with source.open("rb") as original, file.open("xb") as clone:
            fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())
            os.fsync(clone.fileno())
    except OSError:
        file.unlink(missing_ok=True)
        return False
    return True


def _linked(source: Path, file: Path) -> bool:
    """Give a file a second name. False where that cannot be done: across file systems, too many links, FAT …"""
    try:
        os.link(source, file)
    except OSError:
        return False
    return True


@contextmanager
def _written(file: Path, data: bytes | Path, *, private: bool) -> Iterator[Path]:
    """Give a new file beside ``file`` that holds the data and is on the disk; the block gives it its name."""
    temporary = file.parent / f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
    # The umask decides who may read it, as for any file: a web server may have to, which mkstemp's 0600 would forbid.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600 if private else 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            if isinstance(data, Path):
                with data.open("rb") as source:
                    shutil.copyfileobj(source, stream, 1 << 20)
            else:
                stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        yield temporary
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
