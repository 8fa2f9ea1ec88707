"""The main job, and the only place that knows the order of the stages.

    source -> validate -> plan -> encode (+ thumbnails, quality) -> package + protect -> publish
           -> inventory -> manifest -> verify -> catalog

Every stage is a function from the result of the one before to its own result, in the module of its name; stages never
call each other. Encoding, packaging, encryption and upload overlap: chunks of the timeline are encoded in parallel, and the
segments of a finished chunk are cut, encrypted and uploaded while later chunks are still being encoded. What nobody may see before
it is proven comes at the end: playlists, the read-back, the record, and last the line in the catalog that makes it live, and the address
of the title, which then plays it.

The work space (HOME/work) makes a run unkillable: chunks are content-addressed artifacts that survive any death, as does the copy of a
remote source, and a job note remembers which version was being made, so that the next run continues it. An unchanged ingest finds its
fingerprint in the catalog and does nothing; of a remote source it asks only whether it is the version whose facts are remembered. A new
version of a live title makes only what is not the same: the rest is copied inside the target, and the source is not even read.

In:   an IngestRequest (what to make) and Settings (where and how).
Out:  an IngestResult: the catalog record, where the master playlist is, seconds a stage.
Wrong: any VidpipeError; the exit code says which stage refused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from vidpipe import content_id as ids
from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import still
from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.quality_gate import accepted
from vidpipe.encode.worker_pool import WorkerPool
from vidpipe.errors import CatalogFailed, PublishFailed, UsageError, VerificationFailed, VidpipeError
from vidpipe.inventory import Inventory
from vidpipe.inventory.key_usage import kept_keys
from vidpipe.ladder import Ladder, load
from vidpipe.manifest.format_choice import formats_of
from vidpipe.media.ffmpeg import FFmpeg, find
from vidpipe.media.process import AnyOf
from vidpipe.pipeline import kept_plan
from vidpipe.pipeline.address import NotFlipped, put_right, show
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.making import Decided, MadeVersion, RunContext, make, make_sharing, stop_if
from vidpipe.pipeline.restore import Differs, as_made, check_put_back, named, restorable, restore_record, restoring
from vidpipe.pipeline.sealing import Loss, check_all_there, inventory_at, loss, seal
from vidpipe.pipeline.succession import check_description, check_source, described, given_languages
from vidpipe.pipeline.versions import abandon, begin, clear_note, fingerprint_of, is_known
from vidpipe.plan import Plan, plan
from vidpipe.plan.languages import with_languages
from vidpipe.progress import LAST_STAGE, Live, Note, Reporter, RunReporter, Silent, Stages
from vidpipe.protect.key_source import DrmSignal, LocalKeys
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse, planned_uses
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import check_codecs, scheme_of
from vidpipe.publish.destination import Destination
from vidpipe.settings import Settings
from vidpipe.source.access import STDIN, OpenedSource, opened
from vidpipe.source.facts import Source
from vidpipe.source.fetch import is_remote, public, split_url
from vidpipe.source.findings import fact_findings
from vidpipe.source.policy import QualityPolicy, load_policy
from vidpipe.source.quality_report import QualityReport
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage
from vidpipe.work.jobs import claim
from vidpipe.work.measurements import of_programs

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
    replace: the source may be another one than that of the live version, and the title may have been withdrawn.
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
    address: path or s3:// URL of the playlist that always plays the live version of this title.
    unchanged: this very title was live already and nothing was done.
    restored: it was live already, and so many of its objects, which the target had lost, were put back.
    chunks: of the encode.  chunks_reused: those reused in every rung.
    artifacts, artifacts_reused: encoded files, one for each rung of a chunk and each audio or subtitle track.
    copied: objects that were copied inside the target from the version that was live before, because they are the same.
    findings: what quality control says of the source (warnings only: an error would have refused it). What was copied was judged, under
    the same policy, when it was made, and is not measured again.
    warnings: what makes the title less than its viewers may expect. The tracks that it lacks stand in the record.
    """

    record: Record
    manifest: str
    timings: dict[str, float]
    run: str = ""
    address: str = ""
    unchanged: bool = False
    restored: int = 0
    copied: int = 0
    artifacts: int = 0
    artifacts_reused: int = 0
    chunks: int = 0
    chunks_reused: int = 0
    findings: tuple[Diagnostic, ...] = ()
    warnings: tuple[str, ...] = ()


def prepare(request: IngestRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None) -> Plan:
    """Measure the source and decide what would be made of it. Encodes nothing, writes nothing outside the work space.

    Raises SourceRefused, UsageError, Interrupted.
    """
    if request.content_id is not None:
        ids.checked(request.content_id)
    formats_of(settings.formats, settings.encrypt)
    stages = Stages(RunReporter(reporter or Silent(), request.content_id))
    with opened(request.source, settings.work, limits=settings.limits, cancel=cancel, stages=stages, looking=True) as opened_source:
        ladder = load(settings.ladder)
        source, _ = _measured(opened_source, load_policy(settings.policy), stages)
        return _planned(opened_source, source, ladder, given_languages(None, source, request.languages), settings, stages)


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
    content_id, cancel = content_id_of(request), cancel or threading.Event()
    run = RunReporter(reporter or Silent(), content_id)
    stages = Stages(run)
    live: list[IngestResult] = []
    try:
        _ingest(request, content_id, settings, stages, cancel, workers, live)
    except (VidpipeError, OSError) as problem:
        if not live or isinstance(problem, NotFlipped):
            raise
        run.emit(Note(level="warning", text=f"the title is live, but cleaning up failed: {problem}"))
    done = live[0]
    playback = done.record.playback
    run.emit(Live(version=done.record.version, manifest=done.manifest, url=playback.url, title_url=playback.title_url))
    return done.model_copy(update={"run": run.id, "timings": stages.all()})


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
    formats_of(settings.formats, settings.encrypt)  # that they fit together is known before anything is fetched
    with (
        claim(settings.work, content_id) as held,
        opened(request.source, settings.work, name=content_id, limits=settings.limits, cancel=cancel, stages=stages) as opened_source,
        _services(settings, cancel) as services,
    ):
        ladder = load(settings.ladder)
        policy = load_policy(settings.policy)
        source, facts = _measured(opened_source, policy, stages)
        ffmpeg, storage, catalog = services()
        standing = catalog.standing(content_id)
        was = standing[0] if standing else None
        check_source(was, source, replace=request.replace)
        made = _planned(opened_source, source, ladder, given_languages(was, source, request.languages), settings, stages)
        about = described(was, made.source, request.title, request.metadata)
        fingerprint = fingerprint_of(made, about, settings, ffmpeg)
        live = was if was and was.status == "live" else None
        same = live if standing and standing[1] == fingerprint and not request.new_key else None
        lost = loss(storage, same) if same else None
        keys = key_store(settings)
        if same and lost and not lost.paths:
            clear_note(held, same, fingerprint, catalog, keys)
            put_right(storage, catalog, same, settings, reporter, lost.inventory)
            result.append(_unchanged(same, storage, facts, made))
            return
        for text in (*made.warnings, *(f"left out: {track}" for track in made.left_out)):  # now, not after hours of encoding
            reporter.emit(Note(level="warning", text=text))
        storage.check()
        decided, run = Decided(made, about, policy, facts, opened_source.bring), RunContext(settings, ffmpeg, stages, cancel, pool)
        uses = planned_uses(made, settings.encrypt, settings.key_classes, settings.key_rotation)
        if same and (again := _restored(same, lost, decided, storage, keys, uses, run)):
            clear_note(held, same, fingerprint, catalog, keys)
            put_right(storage, catalog, same, settings, reporter, lost.inventory if lost else None)
            result.append(again)
            return
        keep, drm = _keys_to_keep(was, source, settings, storage, uses)
        job, key_set = begin(
            held, catalog, settings, keys, content_id, fingerprint, reporter, uses=uses, keep=keep, drm=drm, fresh=request.new_key
        )
        protection = Protection(scheme_of(settings.encrypt), key_set)
        target = Destination(storage, content_id, job.version, LocalKeys(keys), protection, settings.gzip_playlists)
        try:
            new = make_sharing(decided, target, was, run)
            seal(storage, target.prefix, new.record, new.inventory, work=settings.work, reporter=reporter, cancel=cancel)
            check_all_there(storage, target.prefix, new.inventory)
            with stages(LAST_STAGE):
                stop_if(cancel)  # asked when the stage has begun: no later signal stops it
                catalog.publish(new.record, fingerprint, rule=still(was))
                result.append(_result(new, decided, storage))
                kept_plan.keep(settings, fingerprint, source, made.languages, ladder, policy)
                show(storage, catalog, content_id, settings, reporter)
        except (PublishFailed, CatalogFailed):
            raise  # what lies at the target is good so far: the next run continues this version
        except BaseException:
            if not is_known(catalog, job):
                abandon(held, catalog, storage, job, keys)
            raise
        held.finish()


def _keys_to_keep(
    was: Record | None, source: Source, settings: Settings, storage: Storage, uses: Sequence[KeyUse]
) -> tuple[tuple[str | None, ...], tuple[DrmSignal, ...]]:
    """Return for each use the key that the version before has for the same, if it is of the same source under the same scheme.

    And what DRM systems want to be said of its keys.
    """
    if was is None or not uses or was.source.sha256 != source.sha256 or was.encryption.method != settings.encrypt:
        return (), ()
    found = inventory_at(storage, was)
    known = found if isinstance(found, Inventory) else None
    one = len(was.encryption.key_ids) == len(uses) == 1  # what its inventory would say, too, if it has one
    kept = was.encryption.key_ids if one else kept_keys(known, uses) if known else ()
    return kept, known.drm if known else ()


def _restored(
    live: Record, lost: Loss | None, decided: Decided, storage: Storage, keys: KeyStore, uses: Sequence[KeyUse], run: RunContext
) -> IngestResult | None:
    """Make a live version again and put back what the target has lost of it. None if a new version has to take its place."""
    reporter = run.stages.reporter
    try:
        lost = restorable(live, lost, reporter)
        then, run = as_made(decided.plan, run, lost)
        target = restoring(live, lost, storage, keys, uses, gzip=run.settings.gzip_playlists)
        made = make(replace(decided, plan=then), target, run)
        check_put_back(lost, made)
        restore_record(live, lost, storage, reporter=reporter, cancel=run.cancel)
    except (Differs, UsageError, VerificationFailed) as problem:  # its key is not in this key store; what a listing does not show is wrong
        what = f"{named(live)} cannot be restored byte for byte ({problem}); publishing a new version"
        reporter.emit(Note(level="warning", text=what))
        return None
    return _result(made, decided, storage).model_copy(update={"record": live, "restored": len(lost.paths)})


def _unchanged(live: Record, storage: Storage, facts: QualityReport, made: Plan) -> IngestResult:
    return IngestResult(
        record=live,
        manifest=live.playback.hls,
        address=storage.location(layout.address(live.content_id)),
        timings={},
        unchanged=True,
        findings=facts.findings,
        warnings=made.warnings,
    )


def _result(made: MadeVersion, decided: Decided, storage: Storage) -> IngestResult:
    tally, findings = made.encoded.tally, made.encoded.findings
    return IngestResult(
        record=made.record,
        manifest=made.record.playback.hls,
        address=storage.location(layout.address(made.record.content_id)),
        timings={},
        copied=made.copied,
        artifacts=tally.artifacts,
        artifacts_reused=tally.artifacts_reused,
        chunks=tally.chunks,
        chunks_reused=tally.chunks_reused,
        findings=findings if findings is not None else decided.facts.findings,
        warnings=decided.plan.warnings,
    )


@contextmanager
def _services(settings: Settings, cancel: threading.Event) -> Iterator[Callable[[], tuple[FFmpeg, Storage, Catalog]]]:
    """Find ffmpeg and open target and catalog while the source is measured: their libraries take half a second to import.

    Gives a function that waits until they are open, and raises what was wrong with one of them.
    """
    with ExitStack() as cleanup, ThreadPoolExecutor(1, thread_name_prefix="services") as pool:
        over = threading.Event()

        def find_all() -> tuple[FFmpeg, Storage, Catalog]:
            if settings.cluster:
                from vidpipe.encode.cluster.connect import preload

                preload()
            ffmpeg = find(settings.ffmpeg, memory=of_programs(settings.work), cancel=AnyOf((cancel, over)))
            storage = cleanup.enter_context(closing(open_storage(settings.target)))
            return ffmpeg, storage, cleanup.enter_context(closing(open_catalog(settings.catalog_url)))

        try:
            yield pool.submit(find_all).result
        finally:
            over.set()  # an ffmpeg that hangs must not delay a cancelled or failed run


def _measured(opened_source: OpenedSource, policy: QualityPolicy, stages: Stages) -> tuple[Source, QualityReport]:
    """Stage validate: what packets and headers show; the picture is judged during the encode."""
    with stages("validate"):
        source = opened_source.facts()
        return source, accepted(source, fact_findings(source, policy))


def _planned(
    opened_source: OpenedSource, source: Source, ladder: Ladder, languages: dict[int, str], settings: Settings, stages: Stages
) -> Plan:
    """Stage plan. languages: by stream, of tracks whose language a person gave."""
    with stages("plan"):
        check_codecs(settings.encrypt, (rung.codec for rung in ladder.rungs))
        made = plan(
            with_languages(source, languages),
            ladder,
            gop_seconds=settings.gop_seconds,
            segment_seconds=settings.segment_seconds,
            chunk_seconds=settings.chunk_seconds,
        )
    formats = formats_of(settings.formats, settings.encrypt)
    left_out = (f"no DASH manifest: {formats.left_out}",) if formats.left_out else ()
    notes = (*opened_source.remarks, *made.notes, *left_out)
    return made.model_copy(update={"languages": languages, "formats": formats.made, "notes": notes})


def content_id_of(request: IngestRequest) -> str:
    """Return the given id, or one made of the source's name."""
    if request.content_id is not None:
        return ids.checked(request.content_id)
    if request.source == STDIN:
        raise UsageError("standard input has no file name", where=STDIN, fix="name the title with --id")
    name = Path(unquote(split_url(request.source).path) if is_remote(request.source) else request.source).stem
    if not name:
        where = public(request.source) if is_remote(request.source) else request.source
        raise UsageError("no content id can be made from the name of this source", where=where, fix="give one with --id")
    return ids.from_name(name)
