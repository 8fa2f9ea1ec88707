"""Move a title to another target, without encoding: its live version is copied there, proven, and becomes the live one.

In:   a content id, another target.
Out:  Transfer.
Wrong: UsageError if nothing is live, or it lies there already; PublishFailed if an object is lost; VerificationFailed, CatalogFailed,
       Interrupted: the live version stays, and the same command continues, after a stop or what could not be proven from the beginning.

The new version has the same bytes and keys, so that players need nothing new but the address. Every object is compared with the inventory
on its way, and everything is read back, decrypted and measured at its new place before the catalog flips. What was stored compressed at S3
is unpacked for a folder, which sends no headers. What lies at the old target stays, and with it the old address: superseded versions are
for ``prune``.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import lies_at, storage_of
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.errors import VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import uses_in
from vidpipe.layout import version_prefix
from vidpipe.lifecycle.proving import key_url_of
from vidpipe.lifecycle.republishing import Republished, republish, whole_inventory
from vidpipe.lifecycle.titles import TitleRequest, live_version, prefix_of
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.address import put_right
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.succession import Description
from vidpipe.pipeline.versions import clear_note
from vidpipe.progress import Reporter, RunReporter, Silent, Stages, Uploaded
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.key_store import KeyStore
from vidpipe.publish.delivery import delivery
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.result import ObjectEntry, PublishedObject
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Damaged, Storage
from vidpipe.storage.compression import decompressed
from vidpipe.verify.proof import verify
from vidpipe.work.jobs import Claim, claim
from vidpipe.work.measurements import of_programs

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class TransferRequest(TitleRequest):
    """What to move, to the target of the settings."""


class Transfer(Data):
    """What was moved. record: of the version at the new target, None with dry_run, the same as ``replaced`` if it lay there already.

    replaced: of the one at the old target.

    objects, bytes: that were read and written; of all, with dry_run.
    """

    record: Record | None
    replaced: Record
    objects: int
    bytes: int
    dry_run: bool = False


def transfer(
    request: TransferRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Transfer:
    """Move the live version of a title to the target of the settings."""
    content_id, cancel = request.content_id, cancel or threading.Event()
    stages = Stages(RunReporter(reporter or Silent(), content_id))
    with (
        open_catalog(settings.catalog_url) as catalog,
        closing(open_storage(settings.target)) as there,
        claim(settings.work, content_id) as held,
    ):
        live, fingerprint = live_version(catalog, content_id)
        if lies_at(there, live):  # perhaps because it was moved before, and its address was not written any more
            if not request.dry_run:
                clear_note(held, live, fingerprint, catalog, key_store(settings))
                put_right(there, catalog, live, settings, stages.reporter)
            return Transfer(record=live, replaced=live, objects=0, bytes=0, dry_run=request.dry_run)
        with closing(storage_of(live)) as here:
            known = whole_inventory(here, live, "--to")
            sizes = [entry.size for entry in known.entries.values()]
            moved = Transfer(record=None, replaced=live, objects=len(sizes), bytes=sum(sizes), dry_run=request.dry_run)
            if request.dry_run:
                return moved
            there.check()
            record = _published(held, live, fingerprint, known, here, there, catalog, settings, stages, cancel)
    return moved.model_copy(update={"record": record})


def _published(
    held: Claim,
    live: Record,
    fingerprint: str,
    known: Inventory,
    here: Storage,
    there: Storage,
    catalog: Catalog,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
) -> Record:
    def bring(version: str, keys: KeyStore, _: KeySet) -> Inventory:
        with stages("copy"):
            new = _sent(live, known, version, here, there, settings.upload_workers, stages.reporter, cancel)
        with stages("verify"):
            verify(
                new,
                there,
                key_url=key_url_of(known, here),
                key_for=keys.get,
                ffmpeg=find(settings.ffmpeg, memory=of_programs(settings.work)),
                reporter=stages.reporter,
                cancel=cancel,
            )
        return new

    about = Description(title=live.title, metadata=live.metadata)
    note = f"{fingerprint}@{live.version}>{settings.target}"
    wanted = Republished(live, uses_in(known), there, about, settings.public_url, note=note, fingerprint=f"moved:{fingerprint}")
    return republish(held, wanted, bring, catalog, settings, stages, cancel)


def _sent(
    live: Record,
    known: Inventory,
    version: str,
    here: Storage,
    there: Storage,
    workers: int,
    reporter: Reporter,
    cancel: threading.Event,
) -> Inventory:
    """Read every object, compare it with the inventory, and write it at the new target. Return what lies there now."""
    prefix = version_prefix(live.content_id, version)

    def one(path: str) -> PublishedObject:
        entry = known.entries[path]
        try:
            data = here.get(f"{prefix_of(live)}/{path}", entry.sha256)
        except Damaged as problem:
            raise VerificationFailed(
                "the object is not the one that was published",
                where=here.location(f"{prefix_of(live)}/{path}"),
                fix=f"run: vidpipe repair {live.content_id}, or ingest the source again; then move the title",
            ) from problem
        if entry.content_encoding and not there.keeps_headers:
            data = decompressed(data)
            entry = ObjectEntry(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        headers = delivery(path)
        stored = there.head(f"{prefix}/{path}")
        if stored and (stored.size, stored.sha256) == (entry.size, entry.sha256):  # of an earlier attempt
            return PublishedObject(path=path, **dict(entry))
        there.put(
            f"{prefix}/{path}",
            data,
            content_type=headers.content_type,
            cache_control=headers.cache_control,
            sha256=entry.sha256,
            content_encoding=entry.content_encoding,
        )
        reporter.emit(Uploaded(path=path, bytes=entry.size))
        return PublishedObject(path=path, **dict(entry))

    order = list(_order(known))
    done: list[PublishedObject] = []
    for some in order:  # what names others comes after them
        done += in_parallel(some, one, cancel=cancel, workers=workers)
    objects = [item for item in done if item.path in known.objects]
    return known.model_copy(update={"version": version}).with_objects(objects)


def _order(known: Inventory) -> Iterator[list[str]]:
    segments = [segment.uri for segment in known.segments]
    yield segments
    yield sorted(known.objects, key=lambda path: path.endswith((".m3u8", ".mpd")))


