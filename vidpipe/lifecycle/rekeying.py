"""Publish a live title under new keys, without encoding: what is encrypted is decrypted, and encrypted anew. The source is not needed.

In:   a content id.
Out:  Rekeying.
Wrong: UsageError if nothing is live, it is not encrypted, a key is lost, an ingest is unfinished, or DRM systems play it and no key server
       is asked; KeyServiceFailed if that gives other answers than it should; VerificationFailed if an object is not the one that was
       published; PublishFailed, CatalogFailed, Interrupted: the live version stays, and the same command continues.

Scheme, classes of keys and periods stay as they are, each with a new key, from where the settings say that keys come from. What a key
server wants to be said of the new keys takes the place of what it has said of those before, in init sections and manifests. What is not
encrypted is copied inside the target. Everything that is new is read back and decrypted before the catalog flips. The version before keeps
its keys and stays playable for players that have begun it, until it is pruned.

A run that ended after the catalog had flipped, and before the address had, is finished by the next one, which makes no keys. If the address
plays the live version, by whomever it was put right, new keys are what is wanted: those that are live may be the ones that have leaked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import used_keys, uses_in
from vidpipe.inventory.measure import target_duration
from vidpipe.inventory.model import UsedKey
from vidpipe.layout import version_prefix
from vidpipe.lifecycle.proving import key_url_of
from vidpipe.lifecycle.redescription import public_url_of, send
from vidpipe.lifecycle.republishing import Republished, republish, whole_inventory
from vidpipe.lifecycle.resealing import Resealed, Resealer
from vidpipe.lifecycle.titles import TitleRequest, live_version, prefix_of, versions_of
from vidpipe.manifest.manifests import manifests
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.address import is_flipped, show
from vidpipe.pipeline.key_access import asks_server, key_store
from vidpipe.pipeline.succession import Description
from vidpipe.progress import Reporter, RunReporter, Silent, Stages
from vidpipe.protect.drm_systems import DRM_SYSTEMS, may_play
from vidpipe.protect.key_source import DrmSignal, KeySet
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import CLEAR, scheme_of
from vidpipe.publish.copies import Shared
from vidpipe.publish.upload import publish_object
from vidpipe.settings import Settings
from vidpipe.storage.base import Storage
from vidpipe.verify.proof import verify
from vidpipe.work.jobs import Claim, JobNote, claim, unfinished
from vidpipe.work.measurements import of_programs

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class RekeyRequest(TitleRequest):
    """Which title."""


class Rekeying(Data):
    """What was published. record: of the new version, None with dry_run.  replaced: of the version that was live.

    segments, bytes: that were, or would be, encrypted anew.
    finished: an earlier run was, or would be, brought to its end, which had made the live version in place of ``replaced``.
    """

    record: Record | None
    replaced: Record
    segments: int
    bytes: int
    finished: bool = False
    dry_run: bool = False


def rekey(request: RekeyRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None) -> Rekeying:
    """Publish the live version of a title under new keys."""
    content_id, cancel = request.content_id, cancel or threading.Event()
    stages = Stages(RunReporter(reporter or Silent(), content_id))
    with ExitStack() as cleanup:
        catalog = cleanup.enter_context(open_catalog(settings.catalog_url))
        versions_of(catalog, content_id)  # the title is there: nothing is claimed for one that is not
        held = None if request.dry_run else cleanup.enter_context(claim(settings.work, content_id))
        live, fingerprint = live_version(catalog, content_id)
        if live.encryption.method == CLEAR:
            fix = "run its ingest again with --encrypt; nothing is encoded that is in the work space"
            raise UsageError(f"{content_id} is not encrypted", fix=fix)
        storage = cleanup.enter_context(closing(storage_of(live)))
        if before := _replaced(unfinished(settings.work, content_id), live, fingerprint, catalog):
            flipped = is_flipped(storage, live)
            if held and not flipped:
                show(storage, catalog, content_id, settings, stages.reporter)
            if held:
                held.finish()
            if not flipped:
                made = live if held else None
                return Rekeying(record=made, replaced=before, segments=0, bytes=0, finished=True, dry_run=request.dry_run)
        known = whole_inventory(storage, live, "--new-key")
        _check_source(known, settings)
        keys = key_store(settings)
        for key_id in known.keys:  # a lost one is said before anybody is asked whether to go on
            keys.get(key_id)
        encrypted = [segment for segment in known.segments if segment.key_id]
        size = sum(segment.size for segment in encrypted)
        planned = Rekeying(record=None, replaced=live, segments=len(encrypted), bytes=size, dry_run=request.dry_run)
        if held is None:
            return planned
        record = _published(held, live, fingerprint, known, storage, catalog, settings, stages, cancel)
    return planned.model_copy(update={"record": record})


def _note(fingerprint: str, live: str) -> str:
    """Return the fingerprint of the note of a version under new keys. live: the version that it takes the place of."""
    return f"rekey:{fingerprint}@{live}"


def _replaced(left: JobNote | None, live: Record, fingerprint: str, catalog: Catalog) -> Record | None:
    """Return which version the live one has replaced if it is what a run has made that ended early, after the catalog flipped."""
    if left is None or left.copy_of is None or left.version != live.version or left.fingerprint != _note(fingerprint, left.copy_of):
        return None
    return next((record for record in catalog.versions(live.content_id) if record.version == left.copy_of), None)


def _check_source(known: Inventory, settings: Settings) -> None:
    """Raise UsageError if players would lose the DRM systems that they need."""
    if (needed := _needed(known)) and not asks_server(settings):
        raise UsageError(
            f"{known.content_id} is played by way of {_systems(needed)}, whose keys come from a key server, and key_source names none",
            where="key_source",
            fix="set key_source to the key server; for a title without DRM, run its ingest again with --new-key",
        )


def _check_answer(known: Inventory, key_set: KeySet) -> None:
    """Raise KeyServiceFailed if nothing is said any more of a DRM system by way of which the title is played."""
    said = {signal.system_id for signal in key_set.signals}
    if lost := [signal for signal in _needed(known) if signal.system_id not in said]:
        raise KeyServiceFailed(
            f"the key server says nothing for {_systems(lost)} any more, by way of which {known.content_id} is played",
            fix="look into the log of the key server; for a title without it, run its ingest again with --new-key",
        )


def _needed(known: Inventory) -> list[DrmSignal]:
    """Return what is said of systems that can play the title: an older vidpipe also kept what a server gave unasked of others."""
    return [signal for signal in known.drm if may_play(signal.system_id, known.scheme)]


def _systems(signals: Iterable[DrmSignal]) -> str:
    return " and ".join(dict.fromkeys(DRM_SYSTEMS.get(signal.system_id, signal.system_id) for signal in signals))


def _published(
    held: Claim,
    live: Record,
    fingerprint: str,
    known: Inventory,
    storage: Storage,
    catalog: Catalog,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
) -> Record:
    def bring(version: str, keys: KeyStore, key_set: KeySet) -> Inventory:
        _check_answer(known, key_set)
        prefix, key_url = version_prefix(live.content_id, version), key_url_of(known, storage)
        protection = Protection(scheme_of(known.scheme), key_set)
        resealer = Resealer(known, storage, prefix_of(live), keys.get, protection)
        with stages("publish"):
            sealed = resealer.run(prefix, workers=settings.upload_workers, reporter=stages.reporter, cancel=cancel)
        new = _renamed(known, version, sealed, key_set)
        texts = manifests(new, key_url)
        with stages("copy"):
            shared = Shared(storage, prefix_of(live), known.entries)
            same = {path: path for path in resealer.same if path not in texts}
            missing = shared.copy_all(prefix, same, reporter=stages.reporter, cancel=cancel, workers=settings.upload_workers)
            send(missing, shared, prefix, stages.reporter, cancel)
        with stages("publish"):
            put = [  # those that name all others are the last
                publish_object(storage, prefix, path, text.encode(), reporter=stages.reporter, gzip=_is_gzip(known, path))
                for path, text in texts.items()
            ]
        new = new.with_objects(put)
        with stages("verify"):
            verify(
                new,
                storage,
                key_url=key_url,
                key_for=keys.get,
                ffmpeg=find(settings.ffmpeg, memory=of_programs(settings.work)),
                reporter=stages.reporter,
                cancel=cancel,
                copied=shared.copied,
            )
        return new

    wanted = Republished(
        live,
        uses_in(known),
        storage,
        Description(title=live.title, metadata=live.metadata),
        public_url_of(live),
        note=_note(fingerprint, live.version),
        fingerprint=fingerprint,
        again=" with --new-key instead",
        new_keys=True,
    )
    there = settings.model_copy(update={"target": target_of(live)})
    return republish(held, wanted, bring, catalog, there, stages, cancel)


def _renamed(known: Inventory, version: str, sealed: Resealed, key_set: KeySet) -> Inventory:
    """Return the inventory of the new version; its manifests are still those of the one before."""
    uses = tuple(
        UsedKey(key_id=key.key_id, track_type=used.track_type, first=used.first)
        for used, key in zip(used_keys(known), key_set.keys, strict=True)
    )
    longest = target_duration([track.segments for track in known.media])
    kinds = {kind: tuple(sealed.track(track, longest) for track in getattr(known, kind)) for kind in ("video", "audio", "subtitles")}
    changes = {"version": version, "keys": key_set.ids, "key_uses": uses, "drm": key_set.signals, **kinds}
    return known.model_copy(update=changes).with_objects(sealed.inits)


def _is_gzip(known: Inventory, path: str) -> bool:
    return path in known.objects and known.objects[path].content_encoding == "gzip"
