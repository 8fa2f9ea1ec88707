"""Reconcile the catalog and the target, both ways.

In:   a content id, or none for all titles; the target of the settings; the work space.
Out:  Repair: what was put right, and what only an ingest of the source can.
Wrong: PublishFailed if a target cannot be reached, CatalogFailed, Interrupted: the same command goes on.

From the catalog to the target, of each live version: the address of the title is put right; a lost record is written again; an object that
is lost or damaged is copied from another version of the title that has the same one; if there is none, the version is packaged once more
from the encoded pieces in the work space, and what is lost is put back byte for byte. Whatever else is lost is named.
From the target to the catalog: a complete version that the catalog does not know (it was lost, or restored from an old backup) is named;
it may belong to another catalog. With ``adopt`` it gets its line, by its record and inventory. Where the catalog knows no version that
stands, the one that the address of the title plays becomes live, if it proves to play; of a title without an address, the newest is
withdrawn, so that ``restore`` can bring it back. All others are superseded. The address of a title that plays a version which the catalog
does not know is left as it is.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from vidpipe import content_id as ids
from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import lies_at, storage_of, target_of
from vidpipe.catalog.record import Record, Status, as_published, had_inventory
from vidpipe.catalog.states import adopt
from vidpipe.data import Data
from vidpipe.encode.scheduler import NotKept
from vidpipe.errors import EncodeFailed, PublishFailed, SourceRefused, UsageError, VerificationFailed
from vidpipe.lifecycle.proving import prove
from vidpipe.lifecycle.scrub import played_by
from vidpipe.lifecycle.titles import prefix_of, versions_of
from vidpipe.pipeline.address import Unplayable, is_flipped, show, take_down
from vidpipe.pipeline.kept_plan import recall
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import stop_if
from vidpipe.pipeline.restore import Differs, put_back
from vidpipe.pipeline.sealing import Loss, inventory_at, loss, seal_record
from vidpipe.progress import Note, Reporter, RunReporter, Silent, Stages
from vidpipe.protect.key_store import KeyStore
from vidpipe.publish.copies import has_headers
from vidpipe.publish.result import ObjectEntry
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Damaged, Storage, get_if_there
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import Running, claim, unfinished

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
"""The id of a version, as ``layout.new_version`` makes it."""
ADOPTED = "adopted"
"""Fingerprint of a version that was adopted: no ingest finds itself unchanged by it."""
SETTLED = timedelta(hours=1)
"""A younger version may be about to be published by another machine."""
MOST_NAMED = 3

Deed = Literal["address", "record", "copied", "uploaded", "adopted", "unknown", "lost"]


class RepairRequest(Data):
    """What to reconcile. content_id: None stands for all titles of the target.  dry_run: only say what would be done.

    adopt: take versions that the catalog does not know; they are only named otherwise.
    """

    content_id: str | None = None
    adopt: bool = False
    dry_run: bool = False


class Repaired(Data):
    """One thing that was put right, or is not. deed: what it was; "unknown" and "lost" were not put right.  what: for people."""

    content_id: str
    version: str
    deed: Deed
    what: str

    @property
    def is_well(self) -> bool:
        """Whether nothing is lost."""
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
    keys = key_store(settings)
    if request.content_id is not None:
        ids.checked(request.content_id)
    found: list[Repaired] = []
    with open_catalog(settings.catalog_url) as catalog, closing(open_storage(settings.target)) as target, stages("repair"):
        unknown = list(_unknown(target, catalog, request.content_id))
        newest = {record.content_id: record.version for record in unknown}
        for record in unknown:
            stop_if(cancel)
            if unfinished(settings.work, record.content_id) is not None:
                continue  # that ingest goes on with it
            last = newest[record.content_id] == record.version
            run = stages.reporter
            found += _adopted(record, target, catalog, settings, keys, run, cancel, request, last=last)
        if request.content_id is not None and not found:
            versions_of(catalog, request.content_id)  # it is there
        for content_id in catalog.having("live", "withdrawn") if request.content_id is None else (request.content_id,):
            stop_if(cancel)
            found += _put_right(content_id, target, catalog, settings, stages, cancel, request)
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
            if (data := get_if_there(target, f"{title}/{version}/{layout.RECORD}")) is None:
                continue  # it was deleted since
            record = Record.model_validate_json(data)
        except (Damaged, ValidationError):
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
    request: RepairRequest,
    *,
    last: bool,
) -> Iterator[Repaired]:
    """Give a version its line in the catalog, if that is wanted. last: it is the newest of the unknown ones of its title."""
    named: dict[str, str] = {"content_id": record.content_id, "version": record.version}
    if not lies_at(target, record):
        what = f"its record says that it lies at {target_of(record)}: name that target with --to, or put it back there"
        yield Repaired(**named, deed="lost", what=what)
        return
    if not request.adopt:
        yield Repaired(**named, deed="unknown", what="a complete version that the catalog does not know: --adopt takes it in")
        return
    status: Status = "superseded"
    if catalog.standing(record.content_id) is None:
        played = played_by(target, record.content_id)
        if played == record.version:
            status = "live"
            try:
                prove(record, target, keys, reporter=reporter, cancel=cancel)
            except (VerificationFailed, UsageError) as problem:
                yield Repaired(**named, deed="lost", what=f"it is not adopted, because it does not prove to play: {problem}")
                return
        elif played is None and last:
            status = "withdrawn"
    try:
        if not request.dry_run:
            with claim(settings.work, record.content_id):
                catalog.change(record.content_id, adopt(record, ADOPTED, status))
    except Running as problem:
        reporter.emit(Note(level="warning", text=f"left for another time: {problem.what}"))
        return
    yield Repaired(**named, deed="adopted", what=f"it lay at the target, unknown to the catalog, and is {status} now")


def _put_right(
    content_id: str,
    target: Storage,
    catalog: Catalog,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
    request: RepairRequest,
) -> Iterator[Repaired]:
    """Put right what the target does not have as the catalog says."""
    found = catalog.standing(content_id)
    if found is None or not (lies_at(target, found[0]) or request.content_id):
        return  # another target is for another run
    (record, fingerprint), dry_run, reporter = found, request.dry_run, stages.reporter
    named: dict[str, str] = {"content_id": content_id, "version": record.version}
    with closing(storage_of(record)) as storage:
        if isinstance(storage, LocalStorage) and not storage.root.is_dir():
            raise PublishFailed("the target is not there", where=storage.location(), fix="mount it, or name another one with --to")
        yield from _objects(record, fingerprint, storage, catalog, settings, named, stages, cancel, dry_run=dry_run)
        played = played_by(storage, content_id)
        if played and played not in {known.version for known in catalog.versions(content_id)}:
            what = f"the address of the title plays version {played}, which the catalog does not know"
            fix = f"take it in with --adopt, then: vidpipe catalog rollback {content_id} {played}"
            yield Repaired(**named, deed="lost", what=f"{what}: {fix}")
        elif record.status == "live":
            try:
                wrong = not is_flipped(storage, record)
                if wrong and not dry_run:
                    show(storage, catalog, content_id, settings, reporter)
                    _finish(record, settings)
            except Unplayable as problem:
                if problem.changed:
                    yield Repaired(**named, deed="address", what="an address of the title did not play it")
                yield Repaired(**named, deed="lost", what=f"an address cannot play it: {problem.what}")
                return
            if wrong:
                yield Repaired(**named, deed="address", what="the address of the title did not play it")
        elif any(storage.head(path) is not None for path in layout.addresses(content_id)):
            if not dry_run:
                take_down(storage, catalog, content_id, settings, reporter)
            yield Repaired(**named, deed="address", what="it is withdrawn, and the address of the title was still there")


def _finish(live: Record, settings: Settings) -> None:
    """Remove the note of the run that has made a version and could not write its address: nothing of it is left to do."""
    with suppress(UsageError, OSError), claim(settings.work, live.content_id) as held:  # it is running, or the next run does it
        if held.unfinished and held.unfinished.version == live.version:
            held.finish()


def _objects(
    record: Record,
    fingerprint: str,
    storage: Storage,
    catalog: Catalog,
    settings: Settings,
    named: dict[str, str],
    stages: Stages,
    cancel: threading.Event,
    *,
    dry_run: bool,
) -> Iterator[Repaired]:
    lost = loss(storage, record)
    if lost is None and not had_inventory(record):
        return  # vidpipe 0.1.0 made none
    if lost is None:
        yield Repaired(**named, deed="lost", what="its inventory is lost: ingest the source again, and a new version takes its place")
        return
    paths = set(lost.paths)
    if layout.RECORD in paths:
        paths.remove(layout.RECORD)
        if not dry_run:
            seal_record(storage, prefix_of(record), as_published(record), reporter=stages.reporter, cancel=cancel)
        yield Repaired(**named, deed="record", what="its record.json was lost or damaged")
    paths |= {path for path, entry in lost.inventory.entries.items() if path not in paths and not _is_whole(storage, record, path, entry)}
    others = {known.version: entries for known, entries in _others(record, storage, catalog)} if paths else {}
    back = {path for path in sorted(paths) if _copied(record, storage, path, lost.inventory.entries[path], others, dry_run=dry_run)}
    if back:
        what = f"{len(back)} objects were lost or damaged, and are whole in another version: {_some(back)}"
        yield Repaired(**named, deed="copied", what=what)
    rest = Loss(lost.inventory, frozenset(paths - back))
    if not rest.paths:
        return
    what = f"{len(rest.paths)} objects were lost or damaged"
    why = _not_uploaded(record, fingerprint, rest, storage, settings, stages, cancel, dry_run=dry_run)
    if why is None:
        yield Repaired(**named, deed="uploaded", what=f"{what}, and are packaged anew from the work folder: {_some(rest.paths)}")
    else:
        fix = "delete what is damaged and ingest the source again, which puts them back"
        yield Repaired(**named, deed="lost", what=f"{what}: {_some(rest.paths)}; {why}: {fix}")


def _not_uploaded(
    record: Record,
    fingerprint: str,
    lost: Loss,
    storage: Storage,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
    *,
    dry_run: bool,
) -> str | None:
    """Put back what is lost from the work space, and read the version back. Return why that is not possible, None if it is done."""
    kept = recall(settings.work, fingerprint)
    if kept is None:
        return "this work folder does not know how the version was made"
    try:
        with nullcontext() if dry_run else claim(settings.work, record.content_id):
            put_back(record, lost, kept, storage, settings, stages, cancel, dry_run=dry_run)
    except NotKept as problem:
        return f"the work folder no longer has {problem}"
    except Differs as problem:
        return f"what the work folder has gives other bytes ({problem})"
    except (UsageError, SourceRefused, EncodeFailed, VerificationFailed) as problem:  # its key, or another ingest; its source
        return f"they cannot be made from the work folder ({problem.what})"
    return None


def _is_whole(storage: Storage, record: Record, path: str, entry: ObjectEntry) -> bool:
    """Whether an object has the hash that was published: computed on a folder, stated by S3."""
    stored = storage.head(f"{prefix_of(record)}/{path}")
    return stored is not None and stored.sha256 == entry.sha256


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


def _some(paths: AbstractSet[str]) -> str:
    shown = ", ".join(sorted(paths)[:MOST_NAMED])
    return f"{shown}, …" if len(paths) > MOST_NAMED else shown
