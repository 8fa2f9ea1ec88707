"""What a version consists of, object by object: written when it is finished, and compared with the target ever after.

In:   the objects that were published, and the record; later a live record and its storage.
Out:  ``inventory.json``: size and SHA-256 of every object but itself and the record. Inventory, and what is lost of a version;
      ``Restoring``: a Storage through which exactly that is put back.
Wrong: VerificationFailed if the target gives back other bytes than were sent; PublishFailed from the storage; Differs if what was made
       again is not what was published.

A version never changes: what is lost is put back with its own bytes or not at all. Its playlists name IVs that depend on the bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.errors import VerificationFailed
from vidpipe.package.result import PublishedSegment
from vidpipe.progress import Reporter
from vidpipe.publish import PublishedObject, is_compressible, publish_object
from vidpipe.storage.base import Storage, Stored
from vidpipe.verify.target import Target

ATTEMPTS = 3
"""Of writing an object that the target does not give back as it was sent."""


class Entry(Data):
    """An object. size: bytes.  sha256: lower-case hex."""

    size: int
    sha256: str


class Inventory(Data):
    """The objects of a version by path, below its prefix."""

    objects: dict[str, Entry]


@dataclass(frozen=True)
class Loss:
    """What is no longer at the target as it was published. paths: below the prefix, missing or of another size."""

    inventory: Inventory
    paths: frozenset[str]


class Differs(Exception):
    """What was made again has other bytes than what was published."""


def inventory_of(published: Iterable[PublishedObject | PublishedSegment]) -> Inventory:
    """Return the inventory of what was published."""
    found = {(item.path if isinstance(item, PublishedObject) else item.uri): item for item in published}
    return Inventory(objects={path: Entry(size=found[path].size, sha256=found[path].sha256) for path in sorted(found)})


def seal(storage: Storage, prefix: str, record: Record, inventory: Inventory, *, reporter: Reporter, cancel: threading.Event) -> None:
    """Write what finishes a version: the inventory, and last the record. Both are read back: an answer of 200 proves nothing."""
    _write(storage, prefix, layout.INVENTORY, inventory.model_dump_json(indent=1).encode(), reporter, cancel)
    seal_record(storage, prefix, record, reporter=reporter, cancel=cancel)


def seal_record(storage: Storage, prefix: str, record: Record, *, reporter: Reporter, cancel: threading.Event) -> None:
    """Write the record, and read it back."""
    _write(storage, prefix, layout.RECORD, record.model_dump_json(indent=2).encode(), reporter, cancel)


def loss(storage: Storage, record: Record) -> Loss | None:
    """Compare a listing of a version with its inventory, and its record with the catalog's. None if the inventory itself is lost."""
    prefix = layout.version_prefix(record.content_id, record.version)
    sizes = {stored.path.removeprefix(f"{prefix}/"): stored.size for stored in storage.list(prefix)}
    if layout.INVENTORY not in sizes:
        return None
    try:
        inventory = Inventory.model_validate_json(storage.get(f"{prefix}/{layout.INVENTORY}"))
    except ValidationError:
        return None
    lost = {path for path, entry in inventory.objects.items() if sizes.get(path) != entry.size}
    if layout.RECORD not in sizes or not _is_record(storage.get(f"{prefix}/{layout.RECORD}"), record):
        lost.add(layout.RECORD)
    return Loss(inventory, frozenset(lost))


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
        known = self._lost.inventory.objects.get(name)
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
        known = self._lost.inventory.objects.get(name)
        if known is None or name in self._lost.paths or is_compressible(name):
            return self._inner.head(path)
        return Stored(path=path, size=known.size, sha256=known.sha256)

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


def _write(storage: Storage, prefix: str, path: str, data: bytes, reporter: Reporter, cancel: threading.Event) -> None:
    target = Target(storage, prefix, cancel)
    for attempt in range(1, ATTEMPTS + 1):
        sent = publish_object(storage, prefix, path, data, reporter=reporter)
        try:
            target.read(path, sent.size, sent.sha256)
            return
        except VerificationFailed:
            if attempt == ATTEMPTS:
                raise


def _is_record(data: bytes, record: Record) -> bool:
    try:
        return Record.model_validate_json(data).model_copy(update={"status": record.status}) == record
    except ValidationError:
        return False
