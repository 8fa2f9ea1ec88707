"""Reconcile the catalog and the target, both ways.

In:   a content id, or none for all titles; the target of the settings.
Out:  Repair: what was put right, and what only an ingest of the source can.
Wrong: PublishFailed if a target cannot be reached, CatalogFailed, Interrupted: the same command goes on.

From the catalog to the target, of each live version: the address of the title is put right; a lost record is written again; an object that
is lost or has another size is copied from another version of the title that has the same one. Whatever else is lost is named.
From the target to the catalog: a complete version that the catalog does not know (it was lost, or restored from an old backup) is adopted,
by its record and inventory. It becomes live if the address of the title plays it and the catalog knows no live version, when it has been
proven to play; otherwise it is superseded, and ``rollback`` can go there.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import lies_at, storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import adopt
from vidpipe.data import Data
from vidpipe.errors import PublishFailed, UsageError, VerificationFailed
from vidpipe.lifecycle.proving import prove
from vidpipe.lifecycle.scrub import played_by
from vidpipe.lifecycle.titles import keys_given, prefix_of, versions_of
from vidpipe.pipeline.address import flip, is_flipped, show
from vidpipe.pipeline.making import stop_if
from vidpipe.pipeline.sealing import inventory_at, loss, seal_record
from vidpipe.progress import Reporter, RunReporter, Silent, Stages
from vidpipe.protect.key_store import KeyStore
from vidpipe.publish.copies import has_headers
from vidpipe.publish.result import ObjectEntry
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage
from vidpipe.work.jobs import claim, unfinished

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
"""The id of a version, as ``layout.new_version`` makes it."""
ADOPTED = "adopted"
"""Fingerprint of a version that was adopted: no ingest finds itself unchanged by it."""
SETTLED = timedelta(hours=1)
"""A younger version may be about to be published by another machine."""
MOST_NAMED = 3

Deed = Literal["address", "record", "copied", "adopted", "lost"]


class RepairRequest(Data):
    """What to reconcile. content_id: None stands for all titles.  dry_run: only say what would be done."""

    content_id: str | None = None
    dry_run: bool = False


class Repaired(Data):
    """One thing that was put right, or cannot be. deed: what it was; "lost" is what was not put right.  what: for people."""

    content_id: str
    version: str
    deed: Deed
    what: str

    @property
    def is_well(self) -> bool:
        """Whether it was put right."""
        return self.deed != "lost"


class Repair(Data):
    """Everything that was not as it should be."""

    found: tuple[Repaired, ...]
    dry_run: bool = False


def repair(
    request: RepairRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Repair:
    """Reconcile a title, or all."""
    cancel = cancel or threading.Event()
    stages = Stages(RunReporter(reporter or Silent(), request.content_id))
    keys = KeyStore(settings.keys, keys_given(settings))
    found: list[Repaired] = []
    with open_catalog(settings.catalog_url) as catalog, closing(open_storage(settings.target)) as target, stages("repair"):
        for record in _unknown(target, catalog, request.content_id):
            stop_if(cancel)
            if unfinished(settings.work, record.content_id) is not None:
                continue  # that ingest goes on with it
            found.append(_adopted(record, target, catalog, settings, keys, stages.reporter, cancel, dry_run=request.dry_run))
        known = catalog.having("live", "withdrawn") if request.content_id is None else (request.content_id,)
        for content_id in known:
            stop_if(cancel)
            if request.content_id is not None and not any(item.content_id == content_id for item in found):
                versions_of(catalog, content_id)  # it is there
            found += _put_right(content_id, catalog, settings, stages.reporter, cancel, dry_run=request.dry_run)
    return Repair(found=tuple(found), dry_run=request.dry_run)


def _unknown(target: Storage, catalog: Catalog, content_id: str | None) -> Iterator[Record]:
    """Yield the records of complete versions at the target that the catalog does not know, the oldest of each title first."""
    complete: dict[tuple[str, str], set[str]] = {}
    for stored in target.list(content_id or ""):
        title, _, rest = stored.path.partition("/")
        version, _, path = rest.partition("/")
        if VERSION.fullmatch(version) and path in (layout.RECORD, layout.INVENTORY):
            complete.setdefault((title, version), set()).add(path)
    titles: dict[str, frozenset[str]] = {}
    for (title, version), paths in sorted(complete.items()):
        if len(paths) < 2:
            continue
        if title not in titles:
            titles[title] = frozenset(record.version for record in catalog.versions(title))
        if version in titles[title]:
            continue
        try:
            record = Record.model_validate_json(target.get(f"{title}/{version}/{layout.RECORD}"))
        except ValidationError:
            continue  # no record of ours
        if (record.content_id, record.version) == (title, version) and datetime.now(UTC) - record.created_at >= SETTLED:
            yield record


def _adopted(
    record: Record,
    target: Storage,
    catalog: Catalog,
    settings: Settings,
    keys: KeyStore,
    reporter: Reporter,
    cancel: threading.Event,
    *,
    dry_run: bool,
) -> Repaired:
    """Give a version its line in the catalog."""
    named: dict[str, str] = {"content_id": record.content_id, "version": record.version}
    if not lies_at(target, record):
        what = f"its record says that it lies at {target_of(record)}: publish it there, or move the title with vidpipe copy"
        return Repaired(**named, deed="lost", what=what)
    live = catalog.standing(record.content_id) is None and played_by(target, record.content_id) == record.version
    if live:
        try:
            prove(record, target, keys, reporter=reporter, cancel=cancel)
        except (VerificationFailed, UsageError) as problem:
            return Repaired(**named, deed="lost", what=f"it is not adopted, because it does not prove to play: {problem}")
    status: Literal["live", "superseded"] = "live" if live else "superseded"
    if not dry_run:
        with claim(settings.work, record.content_id):
            catalog.change(record.content_id, adopt(record, ADOPTED, status))
    return Repaired(**named, deed="adopted", what=f"it lay at the target, unknown to the catalog, and is {status} now")


def _put_right(
    content_id: str, catalog: Catalog, settings: Settings, reporter: Reporter, cancel: threading.Event, *, dry_run: bool
) -> Iterator[Repaired]:
    """Put right what the target does not have as the catalog says."""
    found = catalog.standing(content_id)
    if found is None:
        return
    record = found[0]
    named: dict[str, str] = {"content_id": content_id, "version": record.version}
    with closing(storage_of(record)) as storage:
        yield from _objects(record, storage, catalog, named, reporter, cancel, dry_run=dry_run)
        if record.status == "live":
            try:
                wrong = not is_flipped(storage, record)
            except PublishFailed as problem:  # its own master playlist is lost
                yield Repaired(**named, deed="lost", what=f"its address cannot be compared: {problem.what}")
                return
            if wrong:
                if not dry_run:
                    show(storage, catalog, content_id, settings, reporter)
                yield Repaired(**named, deed="address", what="the address of the title did not play it")
        elif storage.head(layout.address(content_id)) is not None:
            if not dry_run:
                flip(storage, catalog, content_id)
            yield Repaired(**named, deed="address", what="it is withdrawn, and the address of the title was still there")


def _objects(
    record: Record,
    storage: Storage,
    catalog: Catalog,
    named: dict[str, str],
    reporter: Reporter,
    cancel: threading.Event,
    *,
    dry_run: bool,
) -> Iterator[Repaired]:
    lost = loss(storage, record)
    if lost is None:
        yield Repaired(**named, deed="lost", what="its inventory is lost: ingest the source again, and a new version takes its place")
        return
    paths = set(lost.paths)
    if layout.RECORD in paths:
        paths.remove(layout.RECORD)
        if not dry_run:
            seal_record(storage, prefix_of(record), record, reporter=reporter, cancel=cancel)
        yield Repaired(**named, deed="record", what="its record.json was lost or damaged")
    others = {known.version: entries for known, entries in _others(record, storage, catalog)} if paths else {}
    back = {path for path in sorted(paths) if _copied(record, storage, path, lost.inventory.entries[path], others, dry_run=dry_run)}
    if back:
        yield Repaired(**named, deed="copied", what=f"{len(back)} objects were lost, and are the same in another version: {_some(back)}")
    if paths - back:
        what = f"{len(paths - back)} objects are lost: {_some(paths - back)}; ingest the source again, and they are put back"
        yield Repaired(**named, deed="lost", what=what)


def _others(record: Record, storage: Storage, catalog: Catalog) -> Iterator[tuple[Record, dict[str, ObjectEntry]]]:
    """Yield the other versions of a title at the same target, with what they have."""
    for other in catalog.versions(record.content_id):
        if other.version != record.version and other.status != "deleting" and (known := inventory_at(storage, other)):
            yield other, dict(known.entries)


def _copied(
    record: Record, storage: Storage, path: str, wanted: ObjectEntry, others: dict[str, dict[str, ObjectEntry]], *, dry_run: bool
) -> bool:
    """Copy a lost object from a version that has the same one. What came is compared with what is wanted."""
    for version, entries in others.items():
        if entries.get(path) != wanted:
            continue
        source = f"{layout.version_prefix(record.content_id, version)}/{path}"
        stored = storage.head(source)
        if stored is None or (stored.size, stored.sha256) != (wanted.size, wanted.sha256):
            continue
        if dry_run:
            return True
        target = f"{prefix_of(record)}/{path}"
        if storage.copy(source, target, size=wanted.size):
            stored = storage.head(target)
            if stored and (stored.size, stored.sha256) == (wanted.size, wanted.sha256):
                return has_headers(storage, stored, path, wanted.content_encoding)
    return False


def _some(paths: set[str]) -> str:
    shown = ", ".join(sorted(paths)[:MOST_NAMED])
    return f"{shown}, …" if len(paths) > MOST_NAMED else shown
