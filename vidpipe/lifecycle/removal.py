"""Delete versions that the catalog has given up: their objects, then keys that no version has any more, last their lines.

In:   records of versions that are being deleted; the note of an unfinished ingest of the title, if there is one.
Out:  RemovedVersion for each.
Wrong: PublishFailed if a target cannot be reached, when all others are done; CatalogFailed, Interrupted. What is left is still being
       deleted then, and the same command, or ``prune``, goes on.

The objects of a version are its own: what is shared with another one was copied, and is at most another name of the same file. Keys are
shared, and one goes only with the last version in the catalog that has it, and never while an unfinished ingest has it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.catalog.published_at import lies_at, storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import forget
from vidpipe.data import Data
from vidpipe.errors import PublishFailed
from vidpipe.lifecycle.titles import prefix_of, standing_of
from vidpipe.pipeline.address import flip
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import stop_if
from vidpipe.progress import Deleted, Note, Reporter
from vidpipe.publish.upload import discard, remove_object
from vidpipe.settings import Settings
from vidpipe.storage.base import Storage
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import JobNote

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class RemovedVersion(Data):
    """A version that was deleted, or would be.

    target: where it lay.  objects, bytes: that were still there; on a folder, files may share their blocks with those of other versions.
    key_ids: of keys that no version has any more.
    """

    content_id: str
    version: str
    target: str
    objects: int
    bytes: int
    key_ids: tuple[str, ...] = ()


def removable(doomed: Iterable[Record], known: Collection[Record], note: JobNote | None) -> Iterator[RemovedVersion]:
    """Yield what deleting versions would remove. known: all versions of the title."""
    left = {record.version: record for record in known}
    for record in doomed:
        del left[record.version]
        with closing(storage_of(record)) as storage:
            yield _seen(record, storage, _unused(record, left.values(), note))


def remove(
    doomed: Iterable[Record], catalog: Catalog, settings: Settings, note: JobNote | None, reporter: Reporter, cancel: threading.Event
) -> Iterator[RemovedVersion]:
    """Delete versions whose status says so, and yield what each was."""
    keys = key_store(settings)
    failed: list[PublishFailed] = []
    for record in doomed:
        stop_if(cancel)
        try:
            with closing(storage_of(record)) as storage:
                seen = _seen(record, storage, ())
                _remove_address(record, storage, catalog)
                discard(storage, prefix_of(record))
        except PublishFailed as error:
            failed.append(error)
            reporter.emit(Note(level="warning", text=f"version {record.version} of {record.content_id} cannot be deleted now: {error}"))
            continue
        others = [known for known in catalog.versions(record.content_id) if known.version != record.version]
        unused = tuple(key_id for key_id in _unused(record, others, note) if keys.holds(key_id))
        for key_id in unused:
            keys.remove(key_id)
        catalog.change(record.content_id, forget(record.version))
        reporter.emit(Deleted(version=record.version, objects=seen.objects, bytes=seen.bytes))
        yield seen.model_copy(update={"key_ids": unused})
    if failed:
        raise failed[0]


def _unused(record: Record, others: Iterable[Record], note: JobNote | None) -> tuple[str, ...]:
    """Return the keys of a version that neither another one nor an unfinished ingest has."""
    used = {key_id for other in others for key_id in other.encryption.key_ids} | set(note.key_ids if note else ())
    return tuple(key_id for key_id in record.encryption.key_ids if key_id not in used)


def _seen(record: Record, storage: Storage, key_ids: tuple[str, ...]) -> RemovedVersion:
    target = target_of(record)
    # What is not mounted has no objects either, and would be forgotten with all that lies there.
    if isinstance(storage, LocalStorage) and not storage.root.is_dir():
        raise PublishFailed("the target is not there", where=target, fix="mount it, or run the command on the machine that has it")
    sizes = [stored.size for stored in storage.list(prefix_of(record))]
    return RemovedVersion(
        content_id=record.content_id, version=record.version, target=target, objects=len(sizes), bytes=sum(sizes), key_ids=key_ids
    )


def _remove_address(record: Record, storage: Storage, catalog: Catalog) -> None:
    """Remove the address of the title at this target unless it plays the live version: it may play the one that goes."""
    standing = standing_of(catalog.versions(record.content_id))
    if standing is None or standing.status != "live" or not lies_at(storage, standing):
        for address in layout.addresses(record.content_id):
            remove_object(storage, address)
        flip(storage, catalog, record.content_id)  # a version may have become live between the question and the answer
