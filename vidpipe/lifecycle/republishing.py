"""Make a copy of the live version the live one: what ``set``, ``copy`` and ``rekey`` have in common. Nothing is encoded.

In:   the live version, what the new one is to be (Republished), and what brings its objects to their place and proves them there.
Out:  the record of the new version, which is live.
Wrong: UsageError if an ingest is unfinished; PublishFailed, CatalogFailed: the same command continues the version; whatever else the
       bringing raises, and Interrupted: nothing of the new version is left.

It is made as an ingest makes one: a note first, the record last, then the catalog flips, and the address.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, had_inventory
from vidpipe.catalog.states import still
from vidpipe.errors import CatalogFailed, PublishFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.layout import INVENTORY, version_prefix
from vidpipe.lifecycle.revival import live_event
from vidpipe.lifecycle.titles import prefix_of
from vidpipe.pipeline.address import show
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import stop_if
from vidpipe.pipeline.sealing import check_all_there, inventory_at, seal
from vidpipe.pipeline.succession import Description
from vidpipe.pipeline.versions import abandon, begin, is_known
from vidpipe.progress import LAST_STAGE, Stages
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.settings import Settings
from vidpipe.storage.base import Storage
from vidpipe.work.jobs import Claim

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

Bring = Callable[[str, KeyStore, KeySet], Inventory]
"""Brings the objects of a version, given by its id, to their place, proves them there, and returns what lies there. The keys are those of
the new version; the store has those of the live one, too."""


@dataclass(frozen=True, slots=True)
class Republished:
    """What the new version is to be. uses: of its keys.

    note: fingerprint of the job note, which no ingest has, so that none continues a copy.  fingerprint: by which the next ingest knows it.
    again: options with which an unfinished ingest is to be run again, for the message.  new_keys: it has others than the live version.
    """

    live: Record
    uses: tuple[KeyUse, ...]
    storage: Storage
    about: Description
    public_url: str | None
    note: str
    fingerprint: str
    again: str = ""
    new_keys: bool = False


def whole_inventory(storage: Storage, live: Record, again: str) -> Inventory:
    """Return the inventory of a version. again: options with which its source is to be ingested if it has none."""
    known = inventory_at(storage, live)
    if known is None and had_inventory(live):
        raise VerificationFailed(
            f"the inventory of version {live.version} of {live.content_id} is lost or damaged",
            where=storage.location(f"{prefix_of(live)}/{INVENTORY}"),
            fix="ingest its source again: a new version takes its place",
        )
    if not isinstance(known, Inventory):
        raise UsageError(
            f"version {live.version} of {live.content_id} has no inventory that can be read: vidpipe 0.1.0 made none",
            where=storage.location(prefix_of(live)),
            fix=f"ingest its source again, with {again}",
        )
    return known


def republish(
    held: Claim, wanted: Republished, bring: Bring, catalog: Catalog, settings: Settings, stages: Stages, cancel: threading.Event
) -> Record:
    """Make the new version live. settings: with the target that it goes to."""
    live, storage, content_id = wanted.live, wanted.storage, wanted.live.content_id
    left = held.unfinished
    if left and left.copy_of is None and not is_known(catalog, left):
        fix = f"run that ingest again{wanted.again}, or give it up: vidpipe work clean --unfinished"
        raise UsageError(f"an ingest of {content_id} is unfinished (version {left.version})", fix=fix)
    keys = key_store(settings)
    for key_id in live.encryption.key_ids:
        keys.get(key_id)
    protected = settings.model_copy(update={"encrypt": live.encryption.method})
    keep = () if wanted.new_keys else live.encryption.key_ids
    job, key_set = begin(
        held, catalog, protected, keys, content_id, wanted.note, stages.reporter,
        uses=wanted.uses, keep=keep, fresh=False, copy_of=live.version,
    )  # fmt: skip
    prefix = version_prefix(content_id, job.version)
    try:
        new = bring(job.version, keys, key_set)
        record = record_of(
            new,
            live.source,
            **dict(wanted.about),
            location=lambda path: storage.location(f"{prefix}/{path}"),
            public_url=wanted.public_url,
        )
        seal(storage, prefix, record, new, work=settings.work, reporter=stages.reporter, cancel=cancel)
        check_all_there(storage, prefix, new)
        with stages(LAST_STAGE):
            stop_if(cancel)  # asked when the stage has begun: no later signal stops it
            catalog.publish(record, wanted.fingerprint, rule=still(live))
            show(storage, catalog, content_id, settings, stages.reporter)
            with suppress(OSError):  # a note of a version that is in the catalog is never continued
                held.finish()
    except (PublishFailed, CatalogFailed):
        raise  # what lies at the target is good so far: the same command continues this version
    except BaseException:
        if not is_known(catalog, job):
            abandon(held, catalog, storage, job, keys)
        raise
    stages.reporter.emit(live_event(record))
    return record
