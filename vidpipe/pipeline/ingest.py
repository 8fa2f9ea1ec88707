"""The main job, and the only place that knows the order of the stages.

    source -> validate -> plan -> encode (+ thumbnails, quality) -> package -> protect -> publish -> manifest -> verify -> catalog

Every stage is a function from the result of the one before to its own result, in the module of its name; stages never
call each other. Encoding, packaging, encryption and upload overlap: chunks of the timeline are encoded side by side, and the
segments of a finished chunk are cut, encrypted and uploaded while later chunks are still being encoded. What nobody may see before
it is proven comes at the end: playlists, the read-back, the record, and last the line in the catalog that makes it live.

The work space (HOME/work) makes a run unkillable: chunks are content-addressed artifacts that survive any death, as does the copy of a
remote source, and a job note remembers which version was being made, so that the next run continues it. An unchanged ingest finds its
fingerprint in the catalog and does nothing; of a remote source it asks only whether it is the version whose facts are remembered.

In:   an IngestRequest (what to make) and Settings (where and how).
Out:  an IngestResult: the catalog record, where the master playlist is, seconds a stage.
Wrong: any VidpipeError; the exit code says which stage refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from vidpipe import content_id as ids
from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.quality_gate import Judge, accepted, chains
from vidpipe.encode.result import EncodedChunk
from vidpipe.encode.scheduler import encode, needs
from vidpipe.encode.worker_pool import WorkerPool
from vidpipe.errors import CatalogFailed, Interrupted, PublishFailed, UsageError, VidpipeError
from vidpipe.inventory import Inventory, Loss, inventory_of, loss, seal
from vidpipe.ladder import Ladder, load
from vidpipe.manifest.key_uri import key_uri
from vidpipe.media.ffmpeg import FFmpeg, find
from vidpipe.media.process import AnyOf
from vidpipe.package import thumbnails
from vidpipe.pipeline.restore import restored
from vidpipe.pipeline.segmenter import Segmenter
from vidpipe.pipeline.succession import Description, check_description, check_source, described, given_languages
from vidpipe.pipeline.versions import abandon, begin, fingerprint_of, is_known
from vidpipe.plan import Plan, plan
from vidpipe.plan.languages import by_stream, with_languages
from vidpipe.progress import LAST_STAGE, Note, Reporter, RunReporter, Silent, Stages
from vidpipe.protect.key_source import LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.destination import Destination
from vidpipe.publish.upload import publish_segments
from vidpipe.settings import Settings
from vidpipe.source.access import STDIN, Origin, opened
from vidpipe.source.facts import QualityReport, Source
from vidpipe.source.fetch import is_remote, public, split_url
from vidpipe.source.findings import fact_findings
from vidpipe.source.policy import load_policy
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage
from vidpipe.title import expected, left_out, playlists, put_together, record, texts_of
from vidpipe.verify.proof import verify
from vidpipe.work.artifacts import Store
from vidpipe.work.jobs import claim

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class IngestRequest(Data):
    """What to make; how and where is said by the Settings.

    source: path or URL (https, s3), or "-" for standard input, which needs a content_id.
    content_id: None takes the name of the source.  metadata: free text by key, for the record; a key with an empty text is removed.
    title: None keeps that of the live version, and takes the name of the source if there is none, or if it is empty.
    languages: stream index -> BCP 47 tag, for tracks whose language the source does not say; None stands for the one such track. What was
    given for the live version of the same source is kept.
    new_key: publish a new version under a fresh key even if nothing else changed.
    replace: the source may be another one than that of the live version.
    """

    source: str
    content_id: str | None = None
    title: str | None = None
    metadata: dict[str, str] = {}
    languages: dict[int | None, str] = {}
    new_key: bool = False
    replace: bool = False


class IngestResult(Data):
    """What was made. manifest: path or URL of the master playlist.  timings: seconds a stage (stages overlap), and "total".

    run: id of the run, as its events name it.
    unchanged: this very title was live already and nothing was done.
    restored: it was live already, and so many of its objects, which the target had lost, were put back.
    chunks: of the encode.  chunks_reused: those reused in every rung.
    artifacts, artifacts_reused: encoded files, one for each rung of a chunk and each audio or subtitle track.
    findings: what quality control says of the source (warnings only: an error would have refused it).
    warnings: what makes the title less than its viewers may expect. The tracks that it lacks stand in the record.
    """

    record: Record
    manifest: str
    timings: dict[str, float]
    run: str = ""
    unchanged: bool = False
    restored: int = 0
    artifacts: int = 0
    artifacts_reused: int = 0
    chunks: int = 0
    chunks_reused: int = 0
    findings: tuple[Diagnostic, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Decided:
    """What a version is to be. facts: what quality control knows before the encode."""

    plan: Plan
    about: Description
    facts: QualityReport


@dataclass(frozen=True, slots=True)
class _Run:
    """What all stages of one run have in common. pool: of the encodes, if it is shared with other runs."""

    settings: Settings
    ffmpeg: FFmpeg
    stages: Stages
    cancel: threading.Event
    pool: WorkerPool | None


def prepare(request: IngestRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None) -> Plan:
    """Measure the source and decide what would be made of it. Encodes nothing, writes nothing outside the work space.

    Raises SourceRefused, UsageError, Interrupted.
    """
    stages = Stages(RunReporter(reporter or Silent(), request.content_id))
    with opened(request.source, settings.work, limits=settings.limits, cancel=cancel, stages=stages, looking=True) as origin:
        ladder = load(settings.ladder)
        source, _ = _measured(origin, settings, stages)
        return _planned(origin, source, ladder, by_stream(source, request.languages), settings, stages)


def ingest(
    request: IngestRequest,
    settings: Settings,
    reporter: Reporter | None = None,
    cancel: threading.Event | None = None,
    *,
    workers: WorkerPool | None = None,
) -> IngestResult:
    """Turn a source into a published, verified, catalogued title, or into the error that says why not.

    workers: shared by ingests that run at once in other threads, so that together they encode no more than it has room for. The setting
    ``workers`` limits what this one takes of it. (A cluster has workers of its own.)

    Setting ``cancel`` stops everything soon: Interrupted is raised and nothing was published. Once LAST_STAGE has begun, it stops nothing
    any more. What fails after that stage, be it that a lock or a copy cannot be removed, is a warning: the version is live.
    """
    content_id, cancel = _content_id(request), cancel or threading.Event()
    run = RunReporter(reporter or Silent(), content_id)
    stages = Stages(run)
    live: list[IngestResult] = []
    try:
        _ingest(request, content_id, settings, stages, cancel, workers, live)
    except (VidpipeError, OSError) as problem:
        if not live:
            raise
        run.emit(Note(level="warning", text=f"the title is live, but something could not be tidied up: {problem}"))
    return live[0].model_copy(update={"run": run.id, "timings": stages.all()})


def _ingest(
    request: IngestRequest,
    content_id: str,
    settings: Settings,
    stages: Stages,
    cancel: threading.Event,
    pool: WorkerPool | None,
    result: list[IngestResult],
) -> None:
    """Ingest, and put the result into the list as soon as the version is live."""
    reporter = stages.reporter
    check_description(request.title, request.metadata)
    with (
        claim(settings.work, content_id) as held,
        opened(request.source, settings.work, name=content_id, limits=settings.limits, cancel=cancel, stages=stages) as origin,
        _doors(settings, cancel) as doors,
    ):
        ladder = load(settings.ladder)
        source, facts = _measured(origin, settings, stages)
        given = by_stream(source, request.languages)
        ffmpeg, storage, catalog = doors()
        live = catalog.live(content_id)
        was = live[0] if live else None
        if held.unfinished and is_known(catalog, held.unfinished):
            held.finish()  # the machine died between the catalog and the note: that version is live, and not to be touched
        check_source(was, source, replace=request.replace)
        made = _planned(origin, source, ladder, given_languages(was, source, given), settings, stages)
        about = described(was, made.source, request.title, request.metadata)
        fingerprint = fingerprint_of(made, about, settings, ffmpeg)
        same = live[0] if live and live[1] == fingerprint and not request.new_key else None
        lost = loss(storage, same) if same else None
        if same and lost and not lost.paths:
            where, findings = same.playback.hls, facts.findings
            done = IngestResult(record=same, manifest=where, timings={}, unchanged=True, findings=findings, warnings=made.warnings)
            result.append(done)
            return
        for text in (*made.warnings, *(f"left out: {track}" for track in made.left_out)):  # now, not after hours of encoding
            reporter.emit(Note(level="warning", text=text))
        storage.check()
        # so far, what was remembered of a remote source was enough
        made = made.model_copy(update={"asset": made.asset.with_main(with_languages(origin.bring(), made.languages))})
        decided, run = _Decided(made, about, facts), _Run(settings, ffmpeg, stages, cancel, pool)
        keys = KeyStore(settings.keys, settings.master_key.get_secret_value() if settings.master_key else None)
        if same and (again := _restored(same, lost, decided, storage, keys, run)):
            result.append(again)
            return
        job, key_set = begin(held, catalog, settings, keys, content_id, fingerprint, reporter, fresh=request.new_key)
        protection = Protection(scheme_of(settings.encrypt), key_set)
        target = Destination(storage, content_id, job.version, LocalKeys(keys), protection, settings.gzip_playlists)
        try:
            new, inventory = _make(decided, target, run)
            seal(storage, target.prefix, new.record, inventory, reporter=reporter, cancel=cancel)
            with stages(LAST_STAGE):
                _stop_if(cancel)  # asked when the stage has begun: no later signal stops it
                catalog.publish(new.record, fingerprint)
                result.append(new)
        except (PublishFailed, CatalogFailed):
            raise  # what lies at the target is good so far: the next run continues this version
        except BaseException:
            if not is_known(catalog, job):
                abandon(held, storage, job, keys)
            raise
        held.finish()


def _restored(live: Record, lost: Loss | None, decided: _Decided, storage: Storage, keys: KeyStore, run: _Run) -> IngestResult | None:
    """Put back what the target has lost of a live version. None if a new version has to take its place."""

    def make(target: Destination) -> IngestResult:
        return _make(decided, target, run)[0]

    gzip, reporter = run.settings.gzip_playlists, run.stages.reporter
    made = restored(live, lost, storage, keys, make, gzip=gzip, reporter=reporter, cancel=run.cancel)
    if made is None or lost is None:
        return None
    return made.model_copy(update={"record": live, "manifest": live.playback.hls, "restored": len(lost.paths)})


@contextmanager
def _doors(settings: Settings, cancel: threading.Event) -> Iterator[Callable[[], tuple[FFmpeg, Storage, Catalog]]]:
    """Open the doors to ffmpeg, target and catalog while the source is measured: their libraries take half a second to import.

    Gives a function that waits until they are open, and raises what was wrong with one of them.
    """
    with ExitStack() as cleanup, ThreadPoolExecutor(1, thread_name_prefix="doors") as pool:
        over = threading.Event()

        def unlock() -> tuple[FFmpeg, Storage, Catalog]:
            ffmpeg = find(settings.ffmpeg, cancel=AnyOf((cancel, over)))
            storage = cleanup.enter_context(closing(open_storage(settings.target)))
            return ffmpeg, storage, cleanup.enter_context(closing(open_catalog(settings.catalog_url)))

        try:
            yield pool.submit(unlock).result
        finally:
            over.set()  # an ffmpeg that hangs must not hold up who has stopped or failed meanwhile


def _measured(origin: Origin, settings: Settings, stages: Stages) -> tuple[Source, QualityReport]:
    """Stage validate: what packets and headers tell; the picture is judged during the encode."""
    policy = load_policy(settings.policy)
    with stages("validate"):
        source = origin.facts()
        return source, accepted(source, fact_findings(source, policy))


def _planned(origin: Origin, source: Source, ladder: Ladder, languages: dict[int, str], settings: Settings, stages: Stages) -> Plan:
    """Stage plan. languages: by stream, of tracks whose language a person gave."""
    with stages("plan"):
        made = plan(
            with_languages(source, languages),
            ladder,
            gop_seconds=settings.gop_seconds,
            segment_seconds=settings.segment_seconds,
            chunk_seconds=settings.chunk_seconds,
        )
    return made.model_copy(update={"languages": languages, "notes": (*origin.remarks, *made.notes)})


def _make(decided: _Decided, target: Destination, run: _Run) -> tuple[IngestResult, Inventory]:
    """Everything between the plan and the catalog: encode … verify. The record is made, and not yet written."""
    made, about, settings, ffmpeg, stages, cancel = decided.plan, decided.about, run.settings, run.ffmpeg, run.stages, run.cancel
    reporter = stages.reporter
    policy = load_policy(settings.policy)
    judge = Judge(made, policy, decided.facts, limits=settings.limits, cancel=cancel)
    segmenter = Segmenter(made, judge, target.protect, stages)
    store = Store(settings.work)
    failed = threading.Event()  # an upload failed: stop encoding at once, the next segment may be minutes away

    # Packaging, protection and upload of finished chunks run inside the encode.
    with stages("encode"), _workers(run, made, store) as (executor, workers):
        encoded = encode(
            made,
            store,
            ffmpeg=ffmpeg,
            workers=workers,
            threads=settings.threads,
            executor=executor,
            pool=run.pool,
            quality=chains(policy),
            limits=settings.limits,
            reporter=reporter,
            cancel=AnyOf((cancel, failed)),
        )
        with closing(encoded):
            segments = list(
                publish_segments(
                    target.storage,
                    target.prefix,
                    segmenter.segments(encoded),
                    paths=segmenter.path,
                    reporter=reporter,
                    cancel=cancel,
                    workers=settings.upload_workers,
                    on_failure=failed.set,
                )
            )
    results = segmenter.results
    chunks = sorted((result for result in results if isinstance(result, EncodedChunk)), key=lambda result: result.chunk.index)
    with stages("thumbnails"):
        pictures = thumbnails.make(made, chunks, ffmpeg, cancel).files()
    with stages("manifest"):
        tracks, subtitles = put_together(made, results, segments, segmenter.sizes), texts_of(made, results, segments)
        uri = partial(key_uri, settings.key_url, target.content_id)
        scheme = target.protection.scheme
        texts = playlists(tracks, subtitles, scheme.hls_method, uri if target.key_ids else None)
    objects = []
    with stages("publish"):
        files = {f"{layout.THUMBNAILS_FOLDER}/{name}": data for name, data in pictures.items()}
        files |= {track.init_path: target.header(track.init) for track in tracks}
        files |= {path: text.encode() for path, text in texts.items()}  # the master playlist is the last
        for path, data in files.items():
            _stop_if(cancel)
            objects.append(target.put(path, data, reporter))
    with stages("verify"):
        found = expected(made, tracks, subtitles, objects, scheme.name, {key_id: uri(key_id) for key_id in target.key_ids})
        verify(target.storage, target.prefix, found, key_for=target.key_for, ffmpeg=ffmpeg, reporter=reporter, cancel=cancel)
    made_record = record(
        made,
        tracks,
        subtitles,
        left_out(made, results, subtitles),
        content_id=target.content_id,
        version=target.version,
        title=about.title,
        metadata=about.metadata,
        scheme=scheme.name,
        key_ids=target.key_ids,
        location=target.location,
    )
    artifacts = [artifact for chunk in chunks for artifact in chunk.video.values()]
    artifacts += [result.artifact for result in results if not isinstance(result, EncodedChunk) and result.artifact]
    result = IngestResult(
        record=made_record,
        manifest=made_record.playback.hls,
        timings={},
        artifacts=len(artifacts),
        artifacts_reused=sum(artifact.reused for artifact in artifacts),
        chunks=len(chunks),
        chunks_reused=sum(all(artifact.reused for artifact in chunk.video.values()) for chunk in chunks),
        findings=judge.report().findings,
        warnings=made.warnings,
    )
    return result, inventory_of([*segments, *objects])


@contextmanager
def _workers(run: _Run, made: Plan, store: Store) -> Iterator[tuple[Executor | None, int | None]]:
    """Give who encodes: the cores of this machine (None), or a Dask cluster and its number of parallel tasks."""
    settings = run.settings
    if settings.cluster is None:
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
    ) as cluster:
        yield cluster.executor, settings.workers or cluster.slots


def _stop_if(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise Interrupted("stopped on request", fix="run the same command again to continue")


def _content_id(request: IngestRequest) -> str:
    """Return the given id, or one made of the source's name."""
    if request.content_id is not None:
        return ids.checked(request.content_id)
    if request.source == STDIN:
        raise UsageError("what comes on standard input has no name", where=STDIN, fix="name the title with --id")
    name = Path(unquote(split_url(request.source).path) if is_remote(request.source) else request.source).stem
    if not name:
        where = public(request.source) if is_remote(request.source) else request.source
        raise UsageError("this source has no name that a content id can be made of", where=where, fix="give one with --id")
    return ids.from_name(name)
