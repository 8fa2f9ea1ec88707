"""Make a version at its destination, from the plan to the proof: encode, package, protect, upload, inventory, playlists, read-back.

In:   what was decided, a destination, the live version that it may share objects with.
Out:  MadeVersion: its record and inventory, not yet written; nobody knows of it before ``ingest`` has put them there.
Wrong: whatever a stage raises; Interrupted on cancel.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from vidpipe import layout
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, SourceFile
from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.quality_gate import QualityGate, chains
from vidpipe.encode.scheduler import encode, needs
from vidpipe.encode.worker_pool import WorkerPool
from vidpipe.errors import Interrupted, VerificationFailed
from vidpipe.inventory.build import MadeTracks, build, measured
from vidpipe.inventory.fingerprints import Fingerprints, fingerprints_of
from vidpipe.inventory.model import Inventory
from vidpipe.manifest.manifests import manifests
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import AnyOf
from vidpipe.package import thumbnails
from vidpipe.pipeline.inheritance import Inheritance, take_over
from vidpipe.pipeline.sealing import inventory_at
from vidpipe.pipeline.segmenter import Segmenter, Tally
from vidpipe.pipeline.succession import Description
from vidpipe.plan import Plan
from vidpipe.progress import Note, Stages
from vidpipe.publish.copies import Shared
from vidpipe.publish.destination import Destination
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.upload import discard, publish_segments
from vidpipe.settings import Settings
from vidpipe.source.facts import Source
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality_report import QualityReport
from vidpipe.verify.proof import verify
from vidpipe.work.artifacts import Store


@dataclass(frozen=True, slots=True)
class Decided:
    """What a version is to be. facts: what quality control, under this policy, knows before the encode.

    bring: gives the source, as a file that is here.
    """

    plan: Plan
    about: Description
    policy: QualityPolicy
    facts: QualityReport
    bring: Callable[[], Source]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all stages of one run have in common. pool: of the encodes, if it is shared with other runs.

    reuse_only: nothing is encoded, and ``make`` raises NotKept where a piece is not in the work space.
    threads: of each chunk's encoders, where they have to give the bytes that they once gave; None leaves it to the settings.
    i_frames: list I-frames, too, where that is possible.
    """

    settings: Settings
    ffmpeg: FFmpeg
    stages: Stages
    cancel: threading.Event
    pool: WorkerPool | None = None
    reuse_only: bool = False
    threads: tuple[int, ...] | None = None
    i_frames: bool = True


@dataclass(frozen=True)
class EncodedVersion:
    """What an encode has given, its segments published. findings: None if nothing was judged."""

    tracks: MadeTracks = field(default_factory=MadeTracks)
    tally: Tally = field(default_factory=Tally)
    findings: tuple[Diagnostic, ...] | None = None


@dataclass(frozen=True)
class MadeVersion:
    """A version that lies at its destination, proven, but for its inventory and record. copied: objects that were not sent."""

    record: Record
    inventory: Inventory
    encoded: EncodedVersion
    copied: int


def make_sharing(decided: Decided, target: Destination, live: Record | None, run: RunContext) -> MadeVersion:
    """Make a version and copy what is the same in the live one. If the copies turn out to be wrong, everything is made and sent."""
    known = inventory_at(target.storage, live) if live else None
    if live is None or known is None:
        return make(decided, target, run)
    shared = Shared(target.storage, layout.version_prefix(live.content_id, live.version), known.entries)
    try:
        return make(decided, replace(target, shared=shared), run, known if isinstance(known, Inventory) else None)
    except VerificationFailed as problem:
        if not shared.copied:
            raise
        what = f"what was copied from version {live.version} cannot be proven ({problem}); all of it is made again"
        run.stages.reporter.emit(Note(level="warning", text=what))
        discard(target.storage, target.prefix)
        return make(decided, target, run)


def make(decided: Decided, target: Destination, run: RunContext, live: Inventory | None = None) -> MadeVersion:
    """Everything between the plan and the catalog: encode … verify. live: a version to take over from."""
    made, about, settings, stages, cancel = decided.plan, decided.about, run.settings, run.stages, run.cancel
    reporter = stages.reporter
    media = fingerprints_of(made, decided.policy, ffmpeg=run.ffmpeg.version)
    kept = Inheritance(made)
    if live is not None:
        with stages("copy"):
            kept = take_over(made, media, live, target, reporter=reporter, cancel=cancel, workers=settings.upload_workers)
    new, files = (EncodedVersion(), {}) if kept.is_all else _encoded(decided, kept.rest, target, media, run)
    objects = list(kept.objects)
    with stages("manifest"):
        sizes = {path: len(data) for path, data in files.items()} | {item.path: item.size for item in objects}
        pictures = kept.pictures.sheets if kept.pictures else tuple(path for path in files if path not in _NO_SHEETS)
        inventory = build(
            target.content_id,
            target.version,
            made,
            {**kept.tracks, **new.tracks.tracks},
            [*kept.left_out, *new.tracks.left_out],
            chunks=kept.chunks or new.tracks.chunks,
            pictures=media.pictures,
            sheets={path: sizes[path] for path in pictures},
            keys=target.protection.keys,
            session_keys=settings.session_keys,
            i_frames=run.i_frames,
        )
        texts = manifests(inventory, settings.key_url)
    with stages("publish"):
        for track in new.tracks.media:
            files |= {path: target.header(new.tracks.inits[track.id], first) for first, path in track.inits.items()}
        files |= {path: texts.pop(path).encode() for path in list(texts)}
        last = [path for path in (layout.MASTER, layout.MPD) if path in files]  # after everything that they name
        rest = [path for path in files if path not in last]
        # pop: nobody needs its bytes again, and those of a long title are megabytes
        objects += in_parallel(
            rest, lambda path: target.put(path, files.pop(path), reporter), cancel=cancel, workers=settings.upload_workers
        )
        objects += [target.put(path, files.pop(path), reporter) for path in last]
    inventory = inventory.with_objects(objects)
    copied = target.shared.copied if target.shared else set()
    with stages("verify"):
        verify(
            inventory,
            target.storage,
            key_url=settings.key_url,
            key_for=target.key_for,
            ffmpeg=run.ffmpeg,
            reporter=reporter,
            cancel=cancel,
            cues=new.tracks.cues,
            copied=copied,
        )
    source = SourceFile(name=made.source.name, sha256=made.source.sha256, size=made.source.size, languages=made.languages)
    where = target.location
    record = record_of(inventory, source, title=about.title, metadata=about.metadata, location=where, public_url=settings.public_url)
    return MadeVersion(record, inventory, new, len(copied))


_NO_SHEETS = (layout.POSTER, layout.THUMBNAILS)
"""Pictures that are no sprite sheets."""


def _encoded(
    decided: Decided, wanted: Plan, target: Destination, media: Fingerprints, run: RunContext
) -> tuple[EncodedVersion, dict[str, bytes]]:
    """Encode, package, protect and upload; return the pictures too, path -> bytes. wanted: what of the plan has to be made."""
    settings, ffmpeg, stages, cancel = run.settings, run.ffmpeg, run.stages, run.cancel
    # So far, what was remembered of a remote source was enough.
    made = wanted.model_copy(update={"asset": wanted.asset.with_main(decided.bring())})
    gate = QualityGate(made, decided.policy, decided.facts, limits=settings.limits, cancel=cancel)
    segmenter = Segmenter(made, gate, target.protect, stages)
    store = Store(settings.work)
    failed = threading.Event()  # an upload failed: stop encoding at once, the next segment may be minutes away

    # Packaging, protection and upload of finished chunks run inside the encode.
    with stages("encode"), _workers(run, made, store) as (executor, workers):
        encoded = encode(
            made,
            store,
            ffmpeg=ffmpeg,
            workers=workers,
            threads=run.threads or settings.threads,
            executor=executor,
            pool=run.pool,
            quality=chains(decided.policy),
            limits=settings.limits,
            reporter=stages.reporter,
            cancel=AnyOf((cancel, failed)),
            reuse_only=run.reuse_only,
        )
        segments = list(
            publish_segments(
                target.storage,
                target.prefix,
                segmenter.segments(encoded),
                paths=segmenter.path,
                reporter=stages.reporter,
                cancel=cancel,
                workers=settings.upload_workers,
                on_failure=failed.set,
                shared=target.shared,
                kept=target.kept,
            )
        )
    pictures: dict[str, bytes] = {}
    if segmenter.chunks:
        with stages("thumbnails"):
            pictures = thumbnails.make(made, segmenter.chunks, ffmpeg, cancel).files()
    version = EncodedVersion(
        tracks=measured(
            made,
            segmenter.packaged,
            segments,
            media,
            target.protection.scheme.name,
            {each.chunk.index: each.threads for each in segmenter.chunks},
        ),
        tally=segmenter.tally,
        findings=gate.report().findings,
    )
    return version, {f"{layout.THUMBNAILS_FOLDER}/{name}": data for name, data in pictures.items()}


@contextmanager
def _workers(run: RunContext, made: Plan, store: Store) -> Iterator[tuple[Executor | None, int | None]]:
    """Give who encodes: the cores of this machine (None), or a Dask cluster and its number of parallel tasks."""
    settings = run.settings
    if settings.cluster is None or run.reuse_only:
        yield None, settings.workers
        return
    from vidpipe.encode.cluster.connect import connect  # distributed is an extra, and slow to import

    encoders, filters, _ = needs(made)
    with connect(
        settings.cluster,
        ffmpeg=run.ffmpeg,
        setting=settings.ffmpeg,
        encoders=encoders,
        filters=filters,
        source=made.source,
        store=store,
        work=settings.cluster_work,
        reporter=run.stages.reporter,
        cancel=run.cancel,
        alone=run.pool is None,
    ) as cluster:
        yield cluster.executor, settings.workers or cluster.slots


def stop_if(cancel: threading.Event) -> None:
    """Raise Interrupted if the run is to stop."""
    if cancel.is_set():
        raise Interrupted("stopped on request", fix="run the same command again to continue")
