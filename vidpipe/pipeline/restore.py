"""Put back what the target has lost of a live version: by an ingest of its source, or from the work space alone.

In:   the live record, and what is lost of it; what was decided when it was made, if that is remembered.
Out:  the Destination at which the version is made again, and its record; or the version, whole.
Wrong: Differs if the bytes cannot be had again, NotKept if a piece of the encode is gone, UsageError if its keys cannot; PublishFailed from
       the storage.

A version never changes: what is lost is put back with its own bytes or not at all. Its playlists name IVs that depend on the bytes.
What is not lost stays as it lies there, even if a later vidpipe writes it otherwise: it is read back as it was published.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.encode.quality_gate import chains
from vidpipe.encode.scheduler import encode
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import uses_in
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.kept_plan import KeptPlan
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import Decided, MadeVersion, RunContext, make
from vidpipe.pipeline.sealing import Loss, seal_record
from vidpipe.pipeline.succession import Description
from vidpipe.plan import Chunk, Plan
from vidpipe.progress import Note, Reporter, Stages
from vidpipe.protect.key_source import LocalKeys, existing
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.destination import Destination
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.settings import Settings
from vidpipe.source.findings import fact_findings
from vidpipe.source.quality_report import QualityReport
from vidpipe.storage.base import Storage
from vidpipe.work.artifacts import Store
from vidpipe.work.measurements import of_programs


class Differs(Exception):
    """What was made again has other bytes than what was published."""


class StillThere:
    """What the target still has of a live version: the ``Kept`` of its Destination.

    Raises Differs for what is lost and comes out otherwise, for a path that the version never had, and for any segment that comes out
    otherwise where the inventory does not name its IV (0.2.0.dev).
    """

    def __init__(self, lost: Loss) -> None:
        known = lost.inventory
        self._lost, self._entries = lost.paths, known.entries
        self._segments = {segment.uri: segment for segment in known.segments} if isinstance(known, Inventory) else {}

    def segment(self, made: PublishedSegment) -> PublishedSegment | None:
        """Return a segment as it was published; None if it is lost."""
        same = self._is_same(made.uri, made.sha256)
        if made.uri in self._lost:
            return None
        if not same and made.uri not in self._segments:
            raise Differs(made.uri)
        return made if same else self._segments[made.uri]

    def object(self, made: PublishedObject) -> PublishedObject | None:
        """Return an object as it was published; None if it is lost."""
        self._is_same(made.path, made.sha256)
        return None if made.path in self._lost else PublishedObject(path=made.path, **dict(self._entries[made.path]))

    def _is_same(self, path: str, sha256: str) -> bool:
        """Whether what was made again is what was published."""
        known = self._entries.get(path)
        same = known is not None and known.sha256 == sha256
        if not same and (known is None or path in self._lost):
            raise Differs(path)
        return same


def restorable(live: Record, lost: Loss | None, reporter: Reporter) -> Loss:
    """Report what is lost of a live version, and return it. Raises Differs if nobody knows what it had."""
    if lost is None:
        raise Differs(layout.INVENTORY)
    what = f"{len(lost.paths)} objects of {named(live)} are lost or damaged ({min(lost.paths)} …)"
    reporter.emit(Note(level="warning", text=what))
    return lost


def restoring(live: Record, lost: Loss, storage: Storage, keys: KeyStore, uses: Sequence[KeyUse], *, gzip: bool) -> Destination:
    """Return where a live version is made again: only what is lost is written there, and nothing that differs from what was published.

    uses: of its keys.  gzip: as in Destination.
    """
    source, key_ids = LocalKeys(keys), live.encryption.key_ids
    if len(key_ids) != len(uses):
        raise Differs(layout.MASTER)
    known = lost.inventory
    keys_of_it = replace(existing(source, uses, key_ids), signals=known.drm if isinstance(known, Inventory) else ())
    protection = Protection(scheme_of(live.encryption.method), keys_of_it)
    return Destination(storage, live.content_id, live.version, source, protection, gzip, kept=StillThere(lost))


def as_made(made: Plan, run: RunContext, lost: Loss) -> tuple[Plan, RunContext]:
    """Return a plan and a run by which a version comes out as it did: in the same chunks with the same threads, I-frames listed or not.

    made: the plan of today, which has the version's fingerprint and so differs from the plan of then at most in its chunks.
    A version that does not say how it was encoded is encoded as any other.
    """
    video, known = (lost.inventory.video, lost.inventory.chunks) if isinstance(lost.inventory, Inventory) else ((), ())
    run = replace(run, i_frames=any(track.i_frames for track in video))
    if sum(chunk.frames for chunk in known) != sum(chunk.frames for chunk in made.chunks):
        return made, run
    starts = itertools.accumulate((chunk.frames for chunk in known), initial=0)
    placed = enumerate(zip(starts, known, strict=False))
    chunks = tuple(Chunk(index=index, start=start, frames=chunk.frames) for index, (start, chunk) in placed)
    return made.model_copy(update={"chunks": chunks}), replace(run, threads=tuple(chunk.threads for chunk in known))


def restore_record(live: Record, lost: Loss, storage: Storage, *, reporter: Reporter, cancel: threading.Event) -> None:
    """Write the record of a live version again if it is lost."""
    if layout.RECORD in lost.paths:
        seal_record(storage, layout.version_prefix(live.content_id, live.version), live, reporter=reporter, cancel=cancel)


def put_back(
    live: Record,
    lost: Loss,
    kept: KeptPlan,
    storage: Storage,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
    *,
    dry_run: bool,
) -> None:
    """Put back what is lost of a live version from the work space: nothing is encoded, and its source is not needed.

    dry_run: only look whether keys and pieces are there.
    """
    known = lost.inventory
    if not isinstance(known, Inventory):
        raise Differs(layout.INVENTORY)
    ffmpeg = find(settings.ffmpeg, memory=of_programs(settings.work), cancel=cancel)
    then = settings.model_copy(update={"key_url": kept.key_url, "session_keys": known.session_keys})
    run = RunContext(then, ffmpeg, stages, cancel, reuse_only=True)
    made, run = as_made(kept.plan.model_copy(update={"formats": known.formats}), run, lost)
    source = kept.source
    about = Description(title=live.title, metadata=live.metadata)
    facts = QualityReport(findings=tuple(fact_findings(source, kept.policy)))
    decided = Decided(made, about, kept.policy, facts, lambda: made.source)
    target = restoring(live, lost, storage, key_store(settings), uses_in(known), gzip=kept.gzip_playlists)
    if dry_run:
        pieces = encode(
            made,
            Store(settings.work),
            ffmpeg=ffmpeg,
            threads=run.threads,
            quality=chains(kept.policy),
            cancel=cancel,
            reuse_only=True,
        )
        with closing(pieces):
            for _ in pieces:  # NotKept is raised where one is gone
                pass
        return
    check_put_back(lost, make(decided, target, run))


def check_put_back(lost: Loss, again: MadeVersion) -> None:
    """Raise Differs if something that is lost was not made again. What was is at the target: it was written, and read back."""
    if left := lost.paths - again.inventory.entries.keys() - {layout.RECORD}:
        raise Differs(min(left))


def named(live: Record) -> str:
    """Return how messages call a version."""
    return f"version {live.version} of {live.content_id}"
