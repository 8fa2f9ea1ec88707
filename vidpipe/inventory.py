"""What a version consists of, object by object: written when it is finished, and compared with the target ever after.

In:   the objects that were published, and the record; later a live record and its storage.
Out:  ``inventory.json``: size and SHA-256 of every object but itself and the record. Inventory, and what is lost of a version.
Wrong: VerificationFailed if the target gives back other bytes than were sent; PublishFailed from the storage.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.errors import VerificationFailed
from vidpipe.package.result import PublishedSegment
from vidpipe.progress import Reporter
from vidpipe.publish.upload import PublishedObject, publish_object
from vidpipe.storage.base import Storage
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
