"""The keys of titles: which there are, what each is for, which are lost; and their exchange as CPIX documents.

In:   settings; a content id, a key id, a document.
Out:  HeldKeys, which hold no key; a CPIX document, which does.
Wrong: UsageError for what is not there, a key that cannot be opened, or a document that cannot be used; CatalogFailed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of
from vidpipe.catalog.record import Record
from vidpipe.content_id import checked
from vidpipe.data import Data
from vidpipe.errors import UsageError, VidpipeError
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import used_keys, uses_in
from vidpipe.lifecycle.titles import standing_of, versions_of
from vidpipe.pipeline.key_access import key_store, master_source
from vidpipe.pipeline.sealing import inventory_at
from vidpipe.protect.cpix import cpix_document, read_cpix, titled
from vidpipe.protect.delivery_certificate import own_certificate, recipient_certificate
from vidpipe.protect.key_source_setting import KMS_ARN
from vidpipe.protect.key_store import KeyFileState, KeyInfo, KeyStore
from vidpipe.protect.key_uses import IntendedTrackType
from vidpipe.protect.master_rotation import MasterRotation, finished_move, rotate_master
from vidpipe.settings import Settings

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

KeyState = KeyFileState | Literal["missing"]


class KeyVersion(Data):
    """A version that a key is for."""

    version: str
    status: str
    track_type: IntendedTrackType | None = Field(default=None, description="The class of tracks; None if nobody has asked the inventory.")
    first: int | None = Field(default=None, description="0-based index of the first segment.")
    tracks: tuple[str, ...] = Field(default=(), description="Ids of the tracks that have segments under it.")
    segments: int | None = Field(default=None, description="Number of segments under it, in all tracks.")


class HeldKey(Data):
    """What may be shown of a key.

    content_id: None if its file is damaged, and no version in the catalog has it.
    created_at: None if it is missing (a version needs it, and this key store does not have it), or if its file cannot be read.
    """

    key_id: str
    content_id: str | None
    created_at: datetime | None
    state: KeyState
    versions: tuple[KeyVersion, ...] = Field(default=(), description="In the catalog, newest first; empty if no version has it.")


class KeyImport(Data):
    """What came of a document. added, known: key ids; known ones were there already, with the same bytes."""

    content_id: str
    added: tuple[str, ...]
    known: tuple[str, ...]


_KEY_ID = re.compile(r"[0-9a-f]{32}")


def list_keys(settings: Settings, content_id: str | None = None) -> tuple[HeldKey, ...]:
    """Return the keys of one title, or of all: those in the key store, and those that the catalog knows and the key store lacks."""
    with open_catalog(settings.catalog_url) as catalog:
        store = key_store(settings)
        if content_id is not None and not store.find(content_id):
            versions_of(catalog, content_id)  # the title is there
        titles = [content_id] if content_id is not None else _titles(catalog, store)
        states = store.states()
        found = [key for title in titles for key in _of_title(catalog, store, title, states)]
        if content_id is None:
            lost = sorted({key_id for key_id, state in states.items() if state == "damaged"} - {key.key_id for key in found})
            found += [HeldKey(key_id=key_id, content_id=None, created_at=None, state="damaged") for key_id in lost]
        return tuple(found)


def show_keys(settings: Settings, name: str) -> tuple[HeldKey, ...]:
    """Return the keys of a title, or the one key of an id, with what each is for in every version whose inventory can be read."""
    key_id = name.replace("-", "").lower()
    held = list_keys(settings, None if _KEY_ID.fullmatch(key_id) else name)
    found = tuple(key for key in held if key.key_id == key_id) or tuple(key for key in held if key.content_id == name)
    if not found and _KEY_ID.fullmatch(key_id):
        raise UsageError(f"there is no key {name[:80]!r}, and no title of that name", fix="see vidpipe keys list, and check --home")
    if not found:
        raise UsageError(f"{name} has no keys: it is not encrypted", fix="see vidpipe keys list")
    with open_catalog(settings.catalog_url) as catalog:
        known = {
            record.version: inventory
            for title in {key.content_id for key in found if key.content_id}
            for record in catalog.versions(title)
            if (inventory := _inventory(record)) is not None
        }
    return tuple(
        key.model_copy(update={"versions": tuple(_with_use(each, known.get(each.version), key.key_id) for each in key.versions)})
        for key in found
    )


def export_keys(settings: Settings, content_id: str, recipient: str | None = None) -> bytes:
    """Return a CPIX document with the keys of the version of a title that is live or withdrawn.

    recipient: file of the certificate that they are encrypted to; None writes them in clear.
    """
    certificate = recipient_certificate(recipient).valid() if recipient is not None else None
    with open_catalog(settings.catalog_url) as catalog:
        record = standing_of(versions_of(catalog, content_id))
    if record is None or not record.encryption.key_ids:
        fix = f"see vidpipe keys list {content_id}"
        raise UsageError(f"{content_id} has no {'live version' if record is None else 'keys: it is not encrypted'}", fix=fix)
    inventory = _inventory(record)
    if inventory is None:
        what = f"version {record.version} of {content_id} has no inventory that can be read"
        raise UsageError(what, fix=f"run: vidpipe repair {content_id}")
    store = key_store(settings)
    keys = [store.get(key_id) for key_id in inventory.keys]
    return cpix_document(content_id, uses_in(inventory), keys, record.encryption.method, certificate)


def import_keys(settings: Settings, document: bytes, where: str, content_id: str | None = None) -> KeyImport:
    """Store the keys of a CPIX document. content_id: of the title that they are for, if the document is to be overruled.

    Keys that are encrypted to the certificate of the settings are opened with its private key.
    """
    own = own_certificate(settings.delivery_certificate) if settings.delivery_certificate else None
    read = read_cpix(document, where, own)
    title = content_id or read.content_id
    if title is None:
        raise UsageError("the document does not say for which title its keys are", where=where, fix="give --id CONTENT_ID")
    checked(title)
    store, keys = key_store(settings), titled(read.keys, title)
    for key in keys:  # none is stored if one cannot be
        if store.holds(key.key_id) and store.get(key.key_id) != key:
            fix = f"see what has it: vidpipe keys show {key.key_id}"
            raise UsageError(f"the key store has another key, or another title, with the id {key.key_id}", where=where, fix=fix)
    added = tuple(key.key_id for key in keys if not store.holds(key.key_id))
    for key in keys:
        store.add(key)
    return KeyImport(content_id=title, added=added, known=tuple(key.key_id for key in keys if key.key_id not in added))


def rotate(settings: Settings, new: bytes | None = None, *, from_kms: str | None = None, dry_run: bool = False) -> MasterRotation:
    """Wrap all keys with a new master key.

    new: None makes a fresh one in the key store.
    from_kms: ARN of the KMS key that wraps the master key so far, if another source takes its place.
    """
    if from_kms is not None and not KMS_ARN.fullmatch(from_kms):
        fix = "give the ARN that key_source had, such as arn:aws:kms:eu-west-1:111122223333:key/…"
        raise UsageError("this is not the ARN of a KMS key", where="--from-kms", fix=fix)
    if from_kms is not None and new is not None:
        fix = "run this without --new-master first; after that, --new-master gives the key store another one"
        raise UsageError("from AWS KMS the master key comes to a file of the key store first", where="--new-master", fix=fix)
    source = master_source(settings, from_kms)
    if from_kms is not None and (done := finished_move(settings.keys, master_source(settings), dry_run=dry_run)):
        return done
    return rotate_master(settings.keys, source, new, dry_run=dry_run)


def _titles(catalog: Catalog, store: KeyStore) -> list[str]:
    catalogued = catalog.having("live", "superseded", "withdrawn", "deleting")
    return sorted({*catalogued, *(info.content_id for info in store.find())})


def _of_title(catalog: Catalog, store: KeyStore, content_id: str, states: Mapping[str, KeyFileState]) -> Iterator[HeldKey]:
    held: dict[str, KeyInfo | None] = {info.key_id: info for info in store.find(content_id)}
    records = catalog.versions(content_id)
    for record in records:
        for key_id in record.encryption.key_ids:
            held.setdefault(key_id)
    for key_id, info in held.items():
        uses = [KeyVersion(version=each.version, status=each.status) for each in records if key_id in each.encryption.key_ids]
        yield HeldKey(
            key_id=key_id,
            content_id=content_id,
            created_at=info.created_at if info else None,
            state=states.get(key_id, "missing"),
            versions=tuple(uses),
        )


def _inventory(record: Record) -> Inventory | None:
    try:
        with closing(storage_of(record)) as storage:
            known = inventory_at(storage, record)
    except VidpipeError:  # a target that cannot be reached now
        return None
    return known if isinstance(known, Inventory) else None


def _with_use(version: KeyVersion, inventory: Inventory | None, key_id: str) -> KeyVersion:
    used = next((each for each in used_keys(inventory) if each.key_id == key_id), None) if inventory else None
    if inventory is None or used is None:
        return version
    counts = {track.id: sum(segment.key_id == key_id for segment in track.segments) for track in inventory.tracks}
    tracks = tuple(id_ for id_, count in counts.items() if count)
    changes = {"track_type": used.track_type, "first": used.first, "tracks": tracks, "segments": sum(counts.values())}
    return version.model_copy(update=changes)
