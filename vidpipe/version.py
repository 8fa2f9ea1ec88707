"""Which version an ingest makes: nothing if it is live already, the one that an earlier run left unfinished, or a new one.

In:   what decides the published bytes; the note of an unfinished run; the catalog, which alone says what is live.
Out:  the fingerprint; the Job to work on.
Wrong: PublishFailed if a target cannot be reached, CatalogFailed, UsageError.

A version that has a line in the catalog is never touched here: a machine may die between the catalog and the note.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.errors import CatalogFailed, PublishFailed, UsageError
from vidpipe.job import Claim, Job, claim
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan
from vidpipe.progress import Note, Reporter
from vidpipe.protect.keys import KeyStore
from vidpipe.publish import discard
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

FORMAT = 3
"""Raised whenever the same plan gives other published bytes than before, so that nothing outdated counts as unchanged."""


def fingerprint_of(made: Plan, title: str | None, metadata: dict[str, str], settings: Settings, ffmpeg: FFmpeg) -> str:
    """Return a hash of everything that decides what is published: the same fingerprint needs no second ingest."""
    decided = {
        "format": FORMAT,
        # Where the source lies and how the work is cut into chunks leave no trace in what viewers see.
        "plan": made.model_dump(
            mode="json", exclude={"source": {"location", "mtime_ns"}, "chunks": True, "notes": True, "grid": {"chunk_frames"}}
        ),
        "title": title,
        "metadata": metadata,
        "target": settings.target,
        "encrypt": settings.encrypt,
        "key_url": settings.key_url,
        "ffmpeg": ffmpeg.version,
    }
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def begin(
    held: Claim, catalog: Catalog, settings: Settings, keys: KeyStore, content_id: str, fingerprint: str, reporter: Reporter, *, fresh: bool
) -> Job:
    """Continue the version that an earlier run left unfinished if it is the same one; otherwise begin a new one."""
    left = held.unfinished
    if left and is_known(catalog, left):
        left = None
    if left and left.fingerprint == fingerprint and not fresh:
        return left
    if left:
        try:
            _discard(left)
        except PublishFailed as error:
            text = f"what an unfinished ingest uploaded to {left.target} (version {left.version}) could not be removed: {error.what}"
            reporter.emit(Note(level="warning", text=text))
    job = Job(
        content_id=content_id,
        fingerprint=fingerprint,
        version=layout.new_version(datetime.now(UTC)),
        target=settings.target,
        key_id=keys.create(content_id).key_id if settings.encrypt == "aes-128" else None,
    )
    held.save(job)
    return job


def is_known(catalog: Catalog, job: Job) -> bool:
    """Tell whether a version has a line in the catalog: then its objects are not ours to remove. In doubt it has."""
    try:
        return any(known.version == job.version for known in catalog.versions(job.content_id))
    except CatalogFailed:
        return True


def _discard(job: Job) -> None:
    """Remove the objects of a version that will not be finished and is not in the catalog."""
    with closing(open_storage(job.target)) as storage:
        discard(storage, layout.version_prefix(job.content_id, job.version))


def abandon(held: Claim, storage: Storage, job: Job, keys: KeyStore) -> None:
    """Remove what was uploaded of a version that will not be finished, and its key. Finished chunks stay in the work space."""
    try:
        discard(storage, layout.version_prefix(job.content_id, job.version))
    except PublishFailed:
        return  # the target is gone: the note stays, and the next run continues or discards this version
    held.finish()
    if job.key_id:
        keys.remove(job.key_id)


def give_up(settings: Settings) -> tuple[str, ...]:
    """Remove what unfinished ingests have uploaded, and their notes. Return their content ids; running ones are left alone.

    Raises PublishFailed, after all others are done, if a target cannot be reached; its note stays.
    """
    given_up: list[str] = []
    failed: list[PublishFailed] = []
    folder = settings.work / "jobs"
    with closing(open_catalog(settings.catalog_url)) as catalog:
        for note in sorted(folder.glob("*.json")):
            with suppress(UsageError), claim(folder, note.stem) as held:
                if held.unfinished is None:
                    continue
                try:
                    if not is_known(catalog, held.unfinished):
                        _discard(held.unfinished)
                        given_up.append(note.stem)
                    held.finish()
                except PublishFailed as error:
                    failed.append(error)
    if failed:
        raise failed[0]
    return tuple(given_up)
