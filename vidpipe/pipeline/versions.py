"""Which version an ingest makes: nothing if it is live already, the one that an earlier run left unfinished, or a new one.

In:   what decides the published bytes; the note of an unfinished run; the catalog, which alone says what is live.
Out:  the fingerprint; the JobNote to work on, and its keys.
Wrong: PublishFailed if a target cannot be reached, CatalogFailed, UsageError.

A version that has a line in the catalog is never touched here: a machine may die between the catalog and the note.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.defaults import MASTER_KEY_VARIABLE
from vidpipe.encode.output import pixel_format
from vidpipe.encode.picture import by_other_filters
from vidpipe.errors import CatalogFailed, KeyServiceFailed, PublishFailed, UsageError, VidpipeError
from vidpipe.layout import HLS_ONLY
from vidpipe.manifest.drm import check_signals
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.pipeline.key_access import asks_server, key_source, key_store
from vidpipe.pipeline.succession import Description
from vidpipe.plan import Plan
from vidpipe.progress import Note, Reporter
from vidpipe.protect.drm_systems import without_signals
from vidpipe.protect.key_source import DrmSignal, KeySet, LocalKeys, existing
from vidpipe.protect.key_store import KeyStore, new_key_id
from vidpipe.protect.key_uses import ONE_KEY, KeyUse
from vidpipe.publish.upload import discard
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage
from vidpipe.work.jobs import Claim, JobNote, claim, noted

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

FORMAT = 6
"""Raised whenever the same plan gives other published bytes than before, so that nothing outdated counts as unchanged.
Where these are segments, init sections or pictures, raise ``inventory.fingerprints.MEDIA_FORMAT`` too, so that none is taken over.
Where only some titles are others, say in their fingerprints what is new (``_new_of``): all others stay unchanged.
Playlists of I-frames are in none of them: a title without plays as it did, and its video would have to be made again for them."""

A_FEW_KEYS = 32
"""So many are compared with the master key before a run; they lie in no order. ``vidpipe doctor`` looks at all."""

_UNSEEN: dict[str, Any] = {"location": True, "mtime_ns": True, "video": {"lead_in": True}}
"""Facts of a source that leave no trace in what viewers see."""

WORDS = {"left_out": True, "warnings": True, "notes": True}
"""Parts of a plan that only say what follows from the others: another wording makes no other title."""


def fingerprint_of(made: Plan, about: Description, settings: Settings, ffmpeg: FFmpeg) -> str:
    """Return a hash of everything that decides what is published: the same fingerprint needs no second ingest."""
    decided = {
        "format": FORMAT,
        # How the work is cut into chunks leaves no trace either.
        "plan": made.model_dump(
            mode="json",
            exclude={"asset": {"inputs": {"__all__": _UNSEEN}}, "chunks": True, "grid": {"chunk_frames"}, **WORDS, **_as_before(made)},
        ),
        "target": settings.target,
        "encrypt": settings.encrypt,
        "key_url": settings.key_url,
        "gzip": settings.gzip_playlists and settings.target.lower().startswith("s3:"),
        "ffmpeg": ffmpeg.version,
        # Without these as it was before there were any.
        **({"public_url": settings.public_url} if settings.public_url else {}),
        **({"key_classes": settings.key_classes} if settings.key_classes != ONE_KEY else {}),
        **({"key_rotation": settings.key_rotation} if settings.key_rotation else {}),
        **({"session_keys": True} if settings.session_keys else {}),
        **_new_of(made, settings),
    }
    return redescribed(_hash(decided), about)


def _as_before(made: Plan) -> dict[str, Any]:
    """Return what a plan does not say that is as it was before there was DASH."""
    return {"formats": True} if made.formats == HLS_ONLY else {}


def _new_of(made: Plan, settings: Settings) -> dict[str, Any]:
    """Return what a plan gives since 0.2 and did not give before.

    Colours and sizes by other filters, SCORE in a playlist of several codecs, a blank line after the last cue of each segment of subtitles,
    a master playlist that names the keys of the first period alone.
    """
    video, thumbnails = made.source.video, made.thumbnails
    drawn = by_other_filters(video, (thumbnails.width, thumbnails.height), made.picture)
    for rung in made.video:
        drawn |= by_other_filters(video, (rung.width, rung.height), rung.picture, pixel_format(rung))
    scored = len({rung.make.codec for rung in made.video}) > 1
    text = {"last_cue": "blank line"} if made.subtitles else {}
    keys = {"session_keys": "first period"} if settings.session_keys and settings.key_rotation else {}
    return drawn | ({"score": True} if scored else {}) | text | keys


def redescribed(fingerprint: str, about: Description) -> str:
    """Return the fingerprint of the same title under another description: it has two parts, what viewers play and what people read."""
    return f"{fingerprint.partition('-')[0]}-{_hash(about.model_dump())}"


def _hash(decided: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def begin(
    held: Claim,
    catalog: Catalog,
    settings: Settings,
    keys: KeyStore,
    content_id: str,
    fingerprint: str,
    reporter: Reporter,
    *,
    uses: Sequence[KeyUse],
    keep: Sequence[str | None] = (),
    drm: Sequence[DrmSignal] = (),
    fresh: bool,
    copy_of: str | None = None,
) -> tuple[JobNote, KeySet]:
    """Continue the version that an earlier run left unfinished if it is the same one; otherwise begin a new one. Return its keys, too.

    uses: of the keys of the version.
    keep: for each of them the id of the key that the live version of the same source has for the same; None, or nothing at all, without.
    drm: what DRM systems want to be said of the keys of the live version.
    fresh: make new keys.  copy_of: as in JobNote.
    """
    if uses:
        _warn_of_another_master_key(keys, reporter)
    left = held.unfinished
    if left and _is_elsewhere(catalog, left):
        text = f"the unfinished version {left.version} for the catalog {left.catalog} is forgotten; what it uploaded to {left.target} stays"
        reporter.emit(Note(level="warning", text=text))
    if left and is_known(catalog, left):
        left = None
    if left and left.fingerprint == fingerprint and not fresh and _opens(left, keys):
        return _with_keys(left, uses, keys, drm, settings, reporter)
    if left:
        try:
            _discard(left)
        except VidpipeError as error:
            if isinstance(error, PublishFailed) and left.target == settings.target:
                raise  # the new version goes there, too; once the note is gone, nobody would know whose these objects are
            text = f"what an unfinished ingest uploaded to {left.target} (version {left.version}) could not be removed: {error.what}"
            reporter.emit(Note(level="warning", text=text))
        _forget_keys(catalog, left, keys)
    wanted = keep if len(keep) == len(uses) and not fresh else [None] * len(uses)
    kept = [key_id if key_id and _can_use((key_id,), keys) else None for key_id in wanted]
    job = JobNote(
        content_id=content_id,
        fingerprint=fingerprint,
        version=layout.new_version(datetime.now(UTC)),
        target=settings.target,
        key_ids=tuple(key_id or new_key_id() for key_id in kept),
        keys_kept=tuple(filter(None, kept)),
        catalog=catalog.where,
        copy_of=copy_of,
    )
    held.save(job)
    try:
        return _with_keys(job, uses, keys, drm, settings, reporter)
    except UsageError:  # nothing was begun but, perhaps, some of its keys
        with suppress(CatalogFailed, UsageError):  # the note stays, so that they can be forgotten later
            _forget_keys(catalog, job, keys)
            held.finish()
        raise


def _warn_of_another_master_key(keys: KeyStore, reporter: Reporter) -> None:
    foreign = keys.foreign(most=A_FEW_KEYS)
    if foreign:
        text = (
            f"keys in {keys.folder} were wrapped with another master key, such as that of {foreign[0].content_id}: those titles play only "
            f"with that one. Keep it, or stop now and set {MASTER_KEY_VARIABLE} to it"
        )
        reporter.emit(Note(level="warning", text=text))


def _opens(job: JobNote, keys: KeyStore) -> bool:
    """Whether the keys of an unfinished version can be used. Those not made yet can; those that another version has must be there."""
    return _can_use(tuple(key_id for key_id in job.key_ids if key_id in job.keys_kept or keys.holds(key_id)), keys)


def _can_use(key_ids: tuple[str, ...], keys: KeyStore) -> bool:
    """Whether keys are there; not if one was altered, or wrapped with another master key."""
    try:
        return all(keys.holds(key_id) and keys.get(key_id) for key_id in key_ids)
    except UsageError:
        return False


def _forget_keys(catalog: Catalog, job: JobNote, keys: KeyStore) -> None:
    """Remove the keys of a version that is given up, unless another version is encrypted under them. Raises CatalogFailed in doubt."""
    if set(job.key_ids) <= set(job.keys_kept):
        return
    used = set(job.keys_kept) | {key_id for known in catalog.versions(job.content_id) for key_id in known.encryption.key_ids}
    for key_id in job.key_ids:
        if key_id not in used:
            keys.remove(key_id)


def _with_keys(
    job: JobNote, uses: Sequence[KeyUse], keys: KeyStore, drm: Sequence[DrmSignal], settings: Settings, reporter: Reporter
) -> tuple[JobNote, KeySet]:
    """Make the keys that a note names, unless a run that was killed has made them. The note comes first, so that no key is forgotten.

    drm: as in ``begin``. Where nobody says anything else, it is still true of the keys that are kept.
    """
    if job.copy_of and {*job.key_ids} <= {*job.keys_kept}:  # whatever a key server has said of them is in the inventory that is copied
        return job, existing(LocalKeys(keys), uses, job.key_ids)
    key_set = key_source(settings, keys, settings.encrypt, copied=job.copy_of is not None).keys(job.content_id, uses, job.key_ids)
    try:
        check_signals(key_set.signals)
    except ValueError as problem:
        fix = "look into the key server: PSSH has whole boxes, ContentProtectionData XML, HLSSignalingData whole tags, each as base64"
        raise KeyServiceFailed(f"the title cannot say what the key server wants: {problem}", fix=fix) from problem
    if not key_set.signals:
        key_set = replace(key_set, signals=tuple(signal for signal in drm if signal.key_id in job.keys_kept))
    if uses and asks_server(settings) and (without := without_signals(settings.encrypt, key_set.signals)):
        text = f"the key server says nothing for {' and '.join(without)}: players that know nothing else cannot play the title"
        reporter.emit(Note(level="warning", text=text))
    return job, key_set


def is_known(catalog: Catalog, job: JobNote) -> bool:
    """Return whether a version has a line in the catalog: then its objects are not ours to remove. In doubt it has."""
    try:
        return _is_recorded(catalog, job)
    except CatalogFailed:
        return True


def _is_recorded(catalog: Catalog, job: JobNote) -> bool:
    """The same; in doubt CatalogFailed is raised. Of a version that was made for another catalog, that one alone knows."""
    return _is_elsewhere(catalog, job) or any(known.version == job.version for known in catalog.versions(job.content_id))


def _is_elsewhere(catalog: Catalog, job: JobNote) -> bool:
    return job.catalog not in (None, catalog.where)


def _discard(job: JobNote) -> None:
    """Remove the objects of a version that will not be finished and is not in the catalog."""
    with closing(open_storage(job.target)) as storage:
        discard(storage, layout.version_prefix(job.content_id, job.version))


def abandon(held: Claim, catalog: Catalog, storage: Storage, job: JobNote, keys: KeyStore) -> None:
    """Remove what was uploaded of a version that will not be finished, and its key. Finished chunks stay in the work space."""
    try:
        discard(storage, layout.version_prefix(job.content_id, job.version))
        _forget_keys(catalog, job, keys)
    except (PublishFailed, CatalogFailed):
        return  # one of them is gone: the note stays, and the next run continues or discards this version
    held.finish()


def clear_note(held: Claim, live: Record, fingerprint: str, catalog: Catalog, keys: KeyStore) -> None:
    """Be done with the note of a version that nobody will ever continue. fingerprint: of the live version.

    That is one that is in the catalog, as the run was killed between the catalog and the note; and one that another machine has overtaken:
    it would be what is live already, or a copy of what is live no longer. What that one has uploaded goes, too.
    """
    left = held.unfinished
    if left is None or _is_elsewhere(catalog, left):
        return
    if _is_recorded(catalog, left):
        held.finish()
    elif left.fingerprint == fingerprint or left.copy_of not in (None, live.version):
        with closing(open_storage(left.target)) as storage:
            abandon(held, catalog, storage, left, keys)


def give_up(settings: Settings) -> tuple[str, ...]:
    """Remove what unfinished ingests have uploaded, their keys, and their notes. Return their content ids.

    Those that are running, and those that were made for another catalog, are left alone: only that catalog knows whether they are live.
    Raises PublishFailed, after all others are done, if a target cannot be reached; its note stays.  CatalogFailed, UsageError.
    """
    given_up: list[str] = []
    failed: list[PublishFailed] = []
    keys = key_store(settings)
    with closing(open_catalog(settings.catalog_url)) as catalog:
        for content_id in noted(settings.work):
            with ExitStack() as cleanup:
                try:
                    held = cleanup.enter_context(claim(settings.work, content_id))
                except UsageError:  # it is running
                    continue
                job = held.unfinished
                if job and _is_elsewhere(catalog, job):
                    continue
                if job and not _is_recorded(catalog, job):
                    try:
                        _discard(job)
                    except UsageError:  # no such target can exist, so nothing lies there
                        pass
                    except PublishFailed as error:
                        failed.append(error)
                        continue
                    _forget_keys(catalog, job, keys)
                    given_up.append(content_id)
                held.finish()
    if failed:
        raise failed[0]
    return tuple(given_up)
