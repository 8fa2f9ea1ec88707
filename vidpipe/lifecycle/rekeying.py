"""Publish a live title under new keys, without encoding: each segment is read, decrypted, and encrypted anew. The source is not needed.

In:   a content id.
Out:  Rekeying.
Wrong: UsageError if nothing is live, it is not encrypted, its scheme encrypts samples, a key is lost, or an ingest is unfinished;
       VerificationFailed if a segment is not the one that was published; PublishFailed, CatalogFailed, Interrupted: the live version stays,
       and the same command continues.

Classes of keys and periods stay as they are, each with a new key. What is not encrypted is copied inside the target; playlists name the new
keys. Everything is read back and decrypted before the catalog flips. The version before keeps its keys and stays playable for players that
have begun it, until it is pruned.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.errors import UsageError, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import used_keys, uses_in
from vidpipe.inventory.model import PublishedTrack, UsedKey
from vidpipe.layout import version_prefix
from vidpipe.lifecycle.proving import key_url_of
from vidpipe.lifecycle.redescription import public_url_of, send
from vidpipe.lifecycle.republishing import Republished, republish, whole_inventory
from vidpipe.lifecycle.titles import TitleRequest, live_version, prefix_of, versions_of
from vidpipe.manifest.hls import playlists
from vidpipe.media.ffmpeg import find
from vidpipe.package.result import Segment
from vidpipe.pipeline.succession import Description
from vidpipe.progress import Reporter, RunReporter, Silent, Stages
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.key_store import ContentKey, KeyStore
from vidpipe.protect.result import ProtectedSegment
from vidpipe.protect.schemes import CLEAR, WHOLE_SEGMENTS, scheme_of
from vidpipe.publish.copies import Shared
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.result import PublishedSegment
from vidpipe.publish.upload import publish_object, publish_segments
from vidpipe.settings import Settings
from vidpipe.storage.base import Damaged, Storage
from vidpipe.verify.proof import verify
from vidpipe.work.jobs import Claim, claim
from vidpipe.work.measurements import of_programs

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class RekeyRequest(TitleRequest):
    """Which title."""


class Rekeying(Data):
    """What was published. record: of the new version, None with dry_run.  replaced: of the version that was live.

    segments, bytes: that were, or would be, encrypted anew.
    """

    record: Record | None
    replaced: Record
    segments: int
    bytes: int
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
        _check_scheme(live)
        storage = cleanup.enter_context(closing(storage_of(live)))
        known = whole_inventory(storage, live, "--new-key")
        encrypted = [segment for segment in known.segments if segment.key_id]
        size = sum(segment.size for segment in encrypted)
        planned = Rekeying(record=None, replaced=live, segments=len(encrypted), bytes=size, dry_run=request.dry_run)
        if held is None:
            return planned
        record = _published(held, live, fingerprint, known, storage, catalog, settings, stages, cancel)
    return planned.model_copy(update={"record": record})


def _check_scheme(live: Record) -> None:
    scheme = live.encryption.method
    if scheme == CLEAR:
        fix = "run its ingest again with --encrypt; nothing is encoded that is in the work space"
        raise UsageError(f"{live.content_id} is not encrypted", fix=fix)
    if scheme not in WHOLE_SEGMENTS:
        fix = "run its ingest again with --new-key; nothing is encoded that is in the work space"
        what = f"{live.content_id} is encrypted with {scheme}, inside its samples, which this command does not take apart"
        raise UsageError(what, fix=fix)


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
        prefix, key_url = version_prefix(live.content_id, version), key_url_of(known, storage)
        with stages("publish"):
            sealed = _resealed(known, prefix_of(live), prefix, storage, keys, key_set, settings.upload_workers, stages.reporter, cancel)
        new = _renamed(known, version, sealed, key_set)
        with stages("copy"):
            shared = Shared(storage, prefix_of(live), known.entries)
            texts = playlists(new, key_url)
            same = {path: path for path in known.objects if path not in texts}
            missing = shared.copy_all(prefix, same, reporter=stages.reporter, cancel=cancel, workers=settings.upload_workers)
            send(missing, shared, prefix, stages.reporter, cancel)
        with stages("publish"):
            put = [  # the master playlist is the last
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
        note=f"rekey:{fingerprint}@{live.version}",
        fingerprint=fingerprint,
        again=" with --new-key instead",
        new_keys=True,
    )
    there = settings.model_copy(update={"target": target_of(live)})
    return republish(held, wanted, bring, catalog, there, stages, cancel)


def _resealed(
    known: Inventory,
    old: str,
    new: str,
    storage: Storage,
    keys: KeyStore,
    key_set: KeySet,
    workers: int,
    reporter: Reporter,
    cancel: threading.Event,
) -> dict[tuple[str, int], PublishedSegment]:
    """Read, decrypt, encrypt and send every segment. old, new: prefixes of the two versions.  Return them by track and index."""
    opened = {key_id: keys.get(key_id) for key_id in known.keys}

    def reseal(item: tuple[PublishedTrack, PublishedSegment]) -> ProtectedSegment:
        track, segment = item
        return _reseal(track, segment, opened, key_set, storage, old)

    places = {(track.id, segment.index): segment.uri for track in known.tracks for segment in track.segments}
    every = ((track, segment) for track in known.tracks for segment in track.segments)
    sent = publish_segments(
        storage,
        new,
        in_parallel(every, reseal, cancel=cancel, workers=workers),
        paths=lambda rendition, index: places[rendition, index],
        reporter=reporter,
        cancel=cancel,
        workers=workers,
    )
    return {(segment.rendition, segment.index): segment for segment in sent}


def _reseal(
    track: PublishedTrack, segment: PublishedSegment, opened: dict[str, ContentKey], key_set: KeySet, storage: Storage, prefix: str
) -> ProtectedSegment:
    path, scheme = f"{prefix}/{segment.uri}", scheme_of(track.scheme)
    try:
        data = storage.get(path, segment.sha256)
    except Damaged as problem:
        raise VerificationFailed(
            "the segment is not the one that was published",
            where=storage.location(path),
            fix="ingest the source again, with --new-key: what is lost is made again",
        ) from problem
    key = opened[segment.key_id].key if segment.key_id else None
    clear = scheme.open(data, key, bytes.fromhex(segment.iv) if segment.iv else None)
    whole = Segment(
        rendition=segment.rendition,
        index=segment.index,
        start=segment.start,
        duration=segment.duration,
        samples=segment.samples,
        data=clear,
    )
    return scheme.seal(whole, key_set.of(track.id, segment.index))


def _renamed(known: Inventory, version: str, sealed: dict[tuple[str, int], PublishedSegment], key_set: KeySet) -> Inventory:
    """Return the inventory of the new version; its playlists are still those of the one before."""
    uses = tuple(
        UsedKey(key_id=key.key_id, track_type=used.track_type, first=used.first)
        for used, key in zip(used_keys(known), key_set.keys, strict=True)
    )

    def with_segments(track: PublishedTrack) -> PublishedTrack:
        return track.model_copy(update={"segments": tuple(sealed[track.id, segment.index] for segment in track.segments)})

    kinds = {kind: tuple(with_segments(track) for track in getattr(known, kind)) for kind in ("video", "audio", "subtitles")}
    return known.model_copy(update={"version": version, "keys": key_set.ids, "key_uses": uses, "drm": key_set.signals, **kinds})


def _is_gzip(known: Inventory, path: str) -> bool:
    return path in known.objects and known.objects[path].content_encoding == "gzip"
