"""Put back what the target has lost of a live version.

In:   the live record, and what is lost of it.
Out:  the Destination at which the version is made again, and its record.
Wrong: Differs if the bytes cannot be had again, UsageError if its keys cannot; PublishFailed from the storage.

A version never changes: what is lost is put back with its own bytes or not at all. Its playlists name IVs that depend on the bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.pipeline.sealing import Loss, seal_record
from vidpipe.progress import Note, Reporter
from vidpipe.protect.key_source import LocalKeys, existing, uses_of
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.destination import Destination
from vidpipe.publish.upload import is_compressible
from vidpipe.storage.base import Storage, Stored


class Differs(Exception):
    """What was made again has other bytes than what was published."""


def restorable(live: Record, lost: Loss | None, reporter: Reporter) -> Loss:
    """Report what is lost of a live version, and return it. Raises Differs if nobody knows what it had."""
    if lost is None:
        raise Differs(layout.INVENTORY)
    what = f"{len(lost.paths)} objects of {named(live)} are lost or damaged ({min(lost.paths)} …)"
    reporter.emit(Note(level="warning", text=what))
    return lost


def restoring(live: Record, lost: Loss, storage: Storage, keys: KeyStore, *, gzip: bool) -> Destination:
    """Return where a live version is made again: only what is lost is written there, and nothing that differs from what was published.

    gzip: as in Destination.
    """
    prefix = layout.version_prefix(live.content_id, live.version)
    source, scheme = LocalKeys(keys), live.encryption.method
    protection = Protection(scheme_of(scheme), existing(source, uses_of(scheme), live.encryption.key_ids))
    return Destination(Restoring(storage, prefix, lost), live.content_id, live.version, source, protection, gzip)


def restore_record(live: Record, lost: Loss, storage: Storage, *, reporter: Reporter, cancel: threading.Event) -> None:
    """Write the record of a live version again if it is lost."""
    if layout.RECORD in lost.paths:
        seal_record(storage, layout.version_prefix(live.content_id, live.version), live, reporter=reporter, cancel=cancel)


def named(live: Record) -> str:
    """Return how messages call a version."""
    return f"version {live.version} of {live.content_id}"


class Restoring:
    """The storage of a version that has lost some of its objects: takes them back if they are the same, and nothing else."""

    def __init__(self, inner: Storage, prefix: str, lost: Loss) -> None:
        self._inner, self._prefix, self._lost = inner, prefix, lost
        self.keeps_headers = inner.keeps_headers

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
        """Write an object if it is lost.  Raises Differs if it is not the one that was published."""
        name = path.removeprefix(f"{self._prefix}/")
        known = self._lost.inventory.entries.get(name)
        if known is None or known.sha256 != sha256:
            raise Differs(name)
        if name in self._lost.paths:
            self._inner.put(
                path,
                data,
                content_type=content_type,
                cache_control=cache_control,
                sha256=sha256,
                content_encoding=content_encoding,
                on_bytes=on_bytes,
            )

    def head(self, path: str) -> Stored | None:
        """See Storage.head. What is not lost is known from the inventory, but for its headers, which count for text alone."""
        name = path.removeprefix(f"{self._prefix}/")
        known = self._lost.inventory.entries.get(name)
        if known is None or name in self._lost.paths or is_compressible(name):
            return self._inner.head(path)
        return Stored(path=path, size=known.size, sha256=known.sha256)

    def copy(self, source: str, path: str, *, size: int) -> bool:
        """Nothing is copied into a live version: only its own bytes, made again, are known to be right."""
        return False

    def get(self, path: str) -> bytes:
        """See Storage.get."""
        return self._inner.get(path)

    def list(self, prefix: str = "") -> Iterator[Stored]:
        """See Storage.list."""
        return self._inner.list(prefix)

    def download(self, path: str, file: Path, on_bytes: Callable[[int], None] | None = None) -> None:
        """See Storage.download."""
        self._inner.download(path, file, on_bytes)

    def check(self) -> None:
        """See Storage.check."""
        self._inner.check()

    def tidy(self, prefix: str) -> None:
        """See Storage.tidy."""
        self._inner.tidy(prefix)

    def delete_prefix(self, prefix: str) -> None:
        """Nothing of a live version is ever removed."""
        raise ValueError(f"{prefix} is being restored")

    def location(self, path: str = "") -> str:
        """See Storage.location."""
        return self._inner.location(path)

    def close(self) -> None:
        """See Storage.close."""
        self._inner.close()
