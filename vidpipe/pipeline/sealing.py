"""Finish a version, and notice what its target has lost of it: before it becomes live, and later.

In:   the inventory and the record of a new version; later a live record and its storage.
Out:  ``inventory.json`` and ``record.json`` at the target, read back. The inventory of a live version, and what is lost of it.
Wrong: VerificationFailed if the target gives back other bytes than were sent; PublishFailed from the storage.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from vidpipe import layout
from vidpipe.catalog.published_at import lies_at
from vidpipe.catalog.record import Record, as_published
from vidpipe.errors import PublishFailed, VerificationFailed
from vidpipe.inventory.model import Inventory, Objects, inventory_json, read_inventory
from vidpipe.progress import Reporter
from vidpipe.publish.upload import publish_object
from vidpipe.storage.base import Damaged, Storage, get_if_there
from vidpipe.verify.readback import Readback
from vidpipe.work.artifacts import Store, writing

ATTEMPTS = 3
"""Of writing an object that the target does not give back as it was sent."""


@dataclass(frozen=True)
class Loss:
    """What is no longer at the target as it was published. paths: below the prefix, missing or of another size."""

    inventory: Objects
    paths: frozenset[str]


def seal(
    storage: Storage, prefix: str, record: Record, inventory: Inventory, *, work: Path, reporter: Reporter, cancel: threading.Event
) -> None:
    """Write what finishes a version: the inventory, and last the record. Both are read back: an answer of 200 proves nothing."""
    # By way of a file: that of a title of hours has megabytes, and would be in memory several times. It lies in the work space, where
    # nothing is left of a run that is killed.
    with Store(work).temporary() as folder:
        file = folder / layout.INVENTORY
        with writing(folder), file.open("wb") as written:
            written.writelines(inventory_json(inventory))
        _write(storage, prefix, layout.INVENTORY, file, reporter, cancel)
    seal_record(storage, prefix, record, reporter=reporter, cancel=cancel)


def check_all_there(storage: Storage, prefix: str, inventory: Inventory) -> None:
    """Raise PublishFailed if an object is gone again that was proven before, perhaps hours ago. The last look before a version is live.

    A machine that slept for days in the middle of its work may have been taken for gone: ``gc`` on another one, which cannot see its note,
    then removes what it had uploaded.
    """
    listed = {stored.path.removeprefix(f"{prefix}/") for stored in storage.list(prefix)}
    for path in sorted({*inventory.entries, layout.INVENTORY, layout.RECORD} - listed):
        if storage.head(f"{prefix}/{path}") is None:  # listings of some servers are late
            raise PublishFailed(
                "the object was removed after it had been read back",
                where=storage.location(f"{prefix}/{path}"),
                fix="look at what else deletes there, such as a lifecycle rule of the bucket; then run the same command again",
            )


def seal_record(storage: Storage, prefix: str, record: Record, *, reporter: Reporter, cancel: threading.Event) -> None:
    """Write the record, and read it back."""
    _write(storage, prefix, layout.RECORD, record.model_dump_json(indent=2).encode(), reporter, cancel)


def inventory_at(storage: Storage, record: Record) -> Objects | None:
    """Return the inventory of a version if it lies at this target, whole: no version before 0.2.0 has one.  Raises PublishFailed."""
    prefix = layout.version_prefix(record.content_id, record.version)
    if not lies_at(storage, record):
        return None
    try:
        data = get_if_there(storage, f"{prefix}/{layout.INVENTORY}")
        return read_inventory(data) if data is not None else None
    except (Damaged, ValidationError):
        return None


def loss(storage: Storage, record: Record) -> Loss | None:
    """Compare a listing of a version with its inventory, and its record with the catalog's. None if the inventory itself is lost."""
    prefix = layout.version_prefix(record.content_id, record.version)
    sizes = {stored.path.removeprefix(f"{prefix}/"): stored.size for stored in storage.list(prefix)}
    if layout.INVENTORY not in sizes:
        return None
    try:
        inventory = read_inventory(storage.get(f"{prefix}/{layout.INVENTORY}"))
    except (Damaged, ValidationError):
        return None
    lost = {path for path, entry in inventory.entries.items() if sizes.get(path) != entry.size}
    if layout.RECORD not in sizes or not _is_record(storage, f"{prefix}/{layout.RECORD}", record):
        lost.add(layout.RECORD)
    return Loss(inventory, frozenset(lost))


def _write(storage: Storage, prefix: str, path: str, data: bytes | Path, reporter: Reporter, cancel: threading.Event) -> None:
    target = Readback(storage, prefix, cancel)
    for attempt in itertools.count(1):
        sent = publish_object(storage, prefix, path, data, reporter=reporter)
        try:
            target.read(path, sent.size, sent.sha256)
            return
        except VerificationFailed:
            if attempt == ATTEMPTS:
                raise


def _is_record(storage: Storage, path: str, record: Record) -> bool:
    try:
        return as_published(Record.model_validate_json(storage.get(path))) == as_published(record)
    except (Damaged, ValidationError):
        return False
