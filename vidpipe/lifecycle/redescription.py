"""Give a live title another name or other metadata: a new version with the same media, copied inside the target. The source is not needed.

In:   a content id, a title, metadata.
Out:  Redescription.
Wrong: UsageError if nothing is live or an ingest is unfinished; PublishFailed if objects of the live version are lost; VerificationFailed,
       CatalogFailed, Interrupted: the live version stays, and the same command continues.

The new version is made as an ingest makes one, with a note, proven where it lies, and sealed; then the catalog flips. Its objects have the
same bytes and keep their keys: of all that is published, only the record says what a title is called.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.errors import PublishFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import uses_in
from vidpipe.layout import MASTER, version_prefix
from vidpipe.lifecycle.proving import key_url_of
from vidpipe.lifecycle.republishing import Republished, republish, whole_inventory
from vidpipe.lifecycle.titles import TitleRequest, live_version, prefix_of, versions_of
from vidpipe.pipeline.address import put_right
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import stop_if
from vidpipe.pipeline.succession import Description, check_description, described
from vidpipe.pipeline.versions import clear_note, redescribed
from vidpipe.progress import Note, Reporter, RunReporter, Silent, Stages, Uploaded
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.key_store import KeyStore
from vidpipe.publish.addresses import public
from vidpipe.publish.copies import Shared
from vidpipe.publish.delivery import delivery
from vidpipe.publish.upload import discard
from vidpipe.settings import Settings
from vidpipe.storage.base import Damaged, Storage
from vidpipe.verify.proof import verify
from vidpipe.work.jobs import Claim, claim

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class RedescribeRequest(TitleRequest):
    """What to say of a title. Of None, and of keys that are not named, the live version's words are kept.

    title: an empty one stands for the name of the source.  metadata: a key with an empty text is removed.
    """

    title: str | None = None
    metadata: dict[str, str] = {}


class Redescription(Data):
    """What is said now. record: of the new version, None if there is none.  replaced: of the version that was live.

    copied: objects that were copied inside the target.  unchanged: the live version says so already.  dry_run: nothing was done.
    """

    title: str
    metadata: dict[str, str]
    replaced: Record
    record: Record | None = None
    copied: int = 0
    unchanged: bool = False
    dry_run: bool = False


def redescribe(
    request: RedescribeRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Redescription:
    """Publish the live version of a title anew, under another title or with other metadata."""
    check_description(request.title, request.metadata)
    if request.title is None and not request.metadata:
        raise UsageError("nothing is to be changed", fix="give --title, or --meta KEY=VALUE")
    content_id, cancel = request.content_id, cancel or threading.Event()
    stages = Stages(RunReporter(reporter or Silent(), content_id))
    with ExitStack() as cleanup:
        catalog = cleanup.enter_context(open_catalog(settings.catalog_url))
        versions_of(catalog, content_id)  # the title is there: nothing is claimed for one that is not
        held = None if request.dry_run else cleanup.enter_context(claim(settings.work, content_id))
        live, fingerprint = live_version(catalog, content_id)
        about = described(live, live.source, request.title, request.metadata)
        same = about == Description(title=live.title, metadata=live.metadata)
        said = Redescription(**dict(about), replaced=live, unchanged=same, dry_run=request.dry_run)
        if held is None:
            return said
        if same:
            clear_note(held, live, fingerprint, catalog, key_store(settings))
            with closing(storage_of(live)) as storage:
                put_right(storage, catalog, live, settings, stages.reporter)
            return said
        record, copied = _published(held, live, about, redescribed(fingerprint, about), catalog, settings, stages, cancel)
    return said.model_copy(update={"record": record, "copied": copied})


def _published(
    held: Claim,
    live: Record,
    about: Description,
    fingerprint: str,
    catalog: Catalog,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
) -> tuple[Record, int]:
    """Make the new version live; return its record, and how many objects were copied."""
    again, copied = "--title and --meta", [0]
    with closing(storage_of(live)) as storage:
        known = whole_inventory(storage, live, again)

        def bring(version: str, keys: KeyStore, _: KeySet) -> Inventory:
            new = known.model_copy(update={"version": version})
            copied[0] = _copy_proven(live, known, new, storage, keys, settings.upload_workers, stages, cancel)
            return new

        note, where = f"{fingerprint}@{live.version}", public_url_of(live)
        wanted = Republished(live, uses_in(known), storage, about, where, note=note, fingerprint=fingerprint, again=f" (with {again})")
        there = settings.model_copy(update={"target": target_of(live)})
        return republish(held, wanted, bring, catalog, there, stages, cancel), copied[0]


def public_url_of(live: Record) -> str | None:
    """Return the setting ``public_url`` with which the live version was published: like all that was not named, it is kept."""
    return live.playback.url.removesuffix(public("", f"{prefix_of(live)}/{MASTER}")) if live.playback.url else None


def _copy_proven(
    live: Record, known: Inventory, new: Inventory, storage: Storage, keys: KeyStore, workers: int, stages: Stages, cancel: threading.Event
) -> int:
    """Copy every object of the live version, and prove the copies. If they are wrong, all is read and sent. Return how many were copied."""
    prefix, key_url, reporter = version_prefix(new.content_id, new.version), key_url_of(known, storage), stages.reporter

    def prove(copied: Collection[str]) -> None:
        with stages("verify"):
            verify(
                new,
                storage,
                key_url=key_url,
                key_for=keys.get,
                ffmpeg=None,  # the bytes were decoded when they were made
                reporter=reporter,
                cancel=cancel,
                copied=copied,
            )

    shared = Shared(storage, prefix_of(live), known.entries)
    with stages("copy"):
        every = {path: path for path in known.entries}
        missing = shared.copy_all(prefix, every, reporter=reporter, cancel=cancel, workers=workers)
        send(missing, shared, prefix, reporter, cancel)
    try:
        prove(shared.copied)
    except VerificationFailed as problem:
        if not shared.copied:
            raise
        what = f"what was copied from version {live.version} cannot be proven ({problem}); all of it is sent again"
        reporter.emit(Note(level="warning", text=what))
        discard(storage, prefix)
        with stages("publish"):
            send(known.entries, shared, prefix, reporter, cancel)
        prove(())
        return 0
    return len(shared.copied)


def send(paths: Iterable[str], shared: Shared, prefix: str, reporter: Reporter, cancel: threading.Event) -> None:
    """Read objects of the live version and put them into the new one, because the target does not copy them as they are wanted."""
    for path in sorted(paths):
        stop_if(cancel)
        entry, headers = shared.entries[path], delivery(path)
        lost = PublishFailed(
            "an object of the live version is lost or damaged",
            where=shared.storage.location(f"{shared.prefix}/{path}"),
            fix="ingest the source again: what is lost is put back",
        )
        if shared.storage.head(f"{shared.prefix}/{path}") is None:
            raise lost
        try:
            data = shared.storage.get(f"{shared.prefix}/{path}", entry.sha256)
        except Damaged as problem:
            raise lost from problem
        shared.storage.put(
            f"{prefix}/{path}",
            data,
            content_type=headers.content_type,
            cache_control=headers.cache_control,
            sha256=entry.sha256,
            content_encoding=entry.content_encoding,
        )
        reporter.emit(Uploaded(path=path, bytes=entry.size))
