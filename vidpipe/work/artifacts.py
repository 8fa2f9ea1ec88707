"""Finished pieces of work, kept by what they were made from, so that nothing is encoded twice. Nothing in the store is trusted.

In:   a key (the hash of everything that shapes the bytes) and a finished temporary file.
Out:  Artifacts; temporary folders; what the store holds; space freed.
Wrong: EncodeFailed if the disk is full or the folder cannot be written. A missing, short or altered file is dropped and made again.

    WORK/chunks/ab/abcd….{hash of the bytes}.mp4     the bytes, renamed into place when complete and on the disk
    WORK/chunks/ab/abcd….json                        written last: which file, its size and SHA-256, of which source

Two processes may use a store at once: every name that is written is written whole, and a file's name holds its own hash, so that
two makers of the same key never mix their bytes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vidpipe import durable, quantities
from vidpipe.data import Data
from vidpipe.errors import EncodeFailed
from vidpipe.work import temporary
from vidpipe.work.tree import CHUNKS, TMP

BLOCK = 1 << 20  # bytes read at a time when hashing


class Artifact(Data):
    """A finished file in the work folder. size: bytes.  samples: video frames or audio frames in it, 0 for other kinds.

    A video artifact is one fragmented MP4 of one rung and one chunk: init section, then one moof+mdat for each segment, its decode
    times starting at 0. An audio artifact is one fragmented MP4 of the whole track.
    """

    key: str
    path: Path
    size: int
    sha256: str
    samples: int = 0
    reused: bool = False


class Sidecar(Data):
    """What is known of a stored file. source: SHA-256 of the source it was made from.  title: that source's name, for people."""

    key: str
    file: str
    size: int
    sha256: str
    samples: int
    source: str
    title: str


class Held(Data):
    """What the store holds of one source. bytes: on the disk.  last_used: seconds since the epoch."""

    source: str
    title: str
    artifacts: int
    bytes: int
    last_used: float


def key_of(**settings: Any) -> str:
    """Return the key for something made with exactly these settings: SHA-256 of their canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> tuple[int, str]:
    """Return the size and SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


@dataclass(frozen=True)
class Store:
    """The store in a work space, and the working folders in which its files are made. Picklable; holds no state of its own."""

    root: Path

    @property
    def chunks(self) -> Path:
        """Folder of the finished files."""
        return self.root / CHUNKS

    @property
    def tmp(self) -> Path:
        """Folder of the working folders."""
        return self.root / TMP

    def lookup(self, key: str) -> Artifact | None:
        """Return the artifact of ``key`` after reading it whole and comparing size and hash; None if it has to be made."""
        path = self._sidecar(key)
        sidecar = _read(path)
        if sidecar is None:
            return None
        file = path.parent / sidecar.file
        try:
            whole = file.stat().st_size == sidecar.size and sha256_of(file) == (sidecar.size, sidecar.sha256)
        except OSError:
            whole = False
        if not whole or sidecar.key != key:
            _drop(path, file)
            return None
        with contextlib.suppress(OSError):
            for used in (path, file):  # see Held.last_used; `work clean --older-than` goes by it too
                os.utime(used)
        return _artifact(sidecar, file, reused=True)

    def add(self, key: str, made: Path, *, samples: int, source: str, title: str) -> Artifact:
        """Move a finished temporary file into the store and return its artifact. Raises EncodeFailed on a full disk."""
        path = self._sidecar(key)
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            size, sha256 = sha256_of(made)
            file = path.parent / f"{key}.{sha256[:16]}{made.suffix}"
            sidecar = Sidecar(key=key, file=file.name, size=size, sha256=sha256, samples=samples, source=source, title=title)
            durable.sync(made)
            made.replace(file)
            durable.write(path, sidecar.model_dump_json().encode())  # it syncs the folder, and so both names: a sync may take 20 ms
        return _artifact(sidecar, file, reused=False)

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Give a new working folder, removed at the end; a killed process leaves it for ``sweep``."""
        with contextlib.ExitStack() as removed:
            with writing(self.root):
                folder = removed.enter_context(temporary.temporary(self.root))
            yield folder

    def sweep(self) -> int:
        """Remove the working folders of processes of this host that are gone. Return how many."""
        return temporary.sweep(self.root)

    def held(self) -> list[Held]:
        """Return what the store holds, by source, the one used longest ago first."""
        by_source: dict[str, list[tuple[Sidecar, float]]] = {}
        for _, sidecar, used in self._entries():
            by_source.setdefault(sidecar.source, []).append((sidecar, used))
        held = [
            Held(
                source=source,
                title=entries[0][0].title,
                artifacts=len(entries),
                bytes=sum(sidecar.size for sidecar, _ in entries),
                last_used=max(used for _, used in entries),
            )
            for source, entries in by_source.items()
        ]
        return sorted(held, key=lambda entry: entry.last_used)

    def _entries(self) -> Iterator[tuple[Path, Sidecar, float]]:
        for folder in _listed(self.chunks):
            for path in _listed(folder):
                if path.suffix == ".json" and (sidecar := _read(path)) is not None:
                    with contextlib.suppress(OSError):
                        yield path, sidecar, path.stat().st_mtime

    def _sidecar(self, key: str) -> Path:
        return self.chunks / key[:2] / f"{key}.json"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Translate errors of writing below ``folder``."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(folder) from error
        raise EncodeFailed(
            f"cannot write: {error.strerror or error}", where=str(error.filename or folder), fix="check the folder and its permissions"
        ) from error


def disk_full(folder: Path) -> EncodeFailed:
    """Return the error for a full disk."""
    free = ""
    with contextlib.suppress(OSError):
        free = f" ({quantities.size(shutil.disk_usage(_existing(folder)).free)} free)"
    return EncodeFailed(
        f"the disk is full{free}",
        where=str(folder),
        fix="free some space (`vidpipe work list`, `vidpipe work clean`), then run the same command again: it continues where it stopped",
    )


def _existing(folder: Path) -> Path:
    return folder if folder.exists() or folder == folder.parent else _existing(folder.parent)


def _artifact(sidecar: Sidecar, file: Path, *, reused: bool) -> Artifact:
    return Artifact(key=sidecar.key, path=file, size=sidecar.size, sha256=sidecar.sha256, samples=sidecar.samples, reused=reused)


def _read(path: Path) -> Sidecar | None:
    try:
        return Sidecar.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        _drop(path)
        return None


def _drop(*paths: Path) -> int:
    freed = 0
    for path in paths:
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    return freed


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
