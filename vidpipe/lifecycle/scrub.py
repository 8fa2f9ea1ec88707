"""Look whether a published version is still what was published, at any time.

In:   a content id, for its live version; or the path, s3:// or https:// URL of a version, which needs no catalog.
Out:  Scrub.
Wrong: VerificationFailed with everything that is lost, or the first object that differs; UsageError for what is no published version;
       PublishFailed, CatalogFailed, Interrupted.

First a listing: what is missing, or has another size. Then size and hash of every object, playlists, init sections, and both ends of every
track, as a rollback proves a version (``proving.py``). ``full`` reads every byte, decrypts and measures every segment, and decodes the
ends, as an ingest does before it publishes. Last, the address of the title. A web server is not listed, and what it says of an object is
not relied on: there, every object is read for its hash.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Literal

from pydantic import ValidationError

from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import PublishFailed, UsageError, VerificationFailed
from vidpipe.lifecycle.proving import ProvenVersion, prove
from vidpipe.lifecycle.titles import prefix_of, standing_of, versions_of
from vidpipe.manifest.parse import MasterPlaylist, PlaylistError, parse
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.address import is_flipped
from vidpipe.pipeline.key_access import key_store
from vidpipe.pipeline.sealing import loss
from vidpipe.progress import Reporter, RunReporter, Silent, Stages
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Damaged, Readable, get_if_there
from vidpipe.storage.compression import decompressed
from vidpipe.work.measurements import of_programs

MOST_SHOWN = 20
"""Lost objects that a message names."""


class ScrubRequest(Data):
    """What to look at. title: a content id, or the path, s3:// or https:// URL of a version, its master playlist or its title.

    full: read everything.
    """

    title: str
    full: bool = False


class Scrub(Data):
    """A version that is as it was published. status: as the catalog has it; None if it was not asked.

    address: whether the address of the title plays this version; None if that is not its business.
    """

    content_id: str
    version: str
    status: str | None
    target: str
    full: bool
    proof: ProvenVersion
    address: Literal[True] | None = None


def scrub(
    request: ScrubRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Scrub:
    """Prove that a version still is what was published."""
    cancel = cancel or threading.Event()
    record, from_catalog = _wanted(request.title, settings)
    stages = Stages(RunReporter(reporter or Silent(), record.content_id))
    keys = key_store(settings)
    ffmpeg = find(settings.ffmpeg, memory=of_programs(settings.work)) if request.full else None

    def proven(storage: Readable) -> ProvenVersion:
        return prove(record, storage, keys, reporter=stages.reporter, cancel=cancel, ffmpeg=ffmpeg, full=request.full)

    shown = from_catalog and record.status == "live"
    if _is_web(target_of(record)):
        with closing(_opened(target_of(record))) as server, stages("verify"):
            proof = proven(server)
    else:
        with closing(storage_of(record)) as storage, stages("verify"):
            lost = loss(storage, record)
            # The record of a version at a path was read from there; it may lie elsewhere than it says.
            if paths := set(lost.paths if lost else ()) - (set() if from_catalog else {layout.RECORD}):
                raise _lost(record, storage, sorted(paths))
            proof = proven(storage)
            if shown and not is_flipped(storage, record) and _is_live(record, settings):
                raise VerificationFailed(
                    f"the address of {record.content_id} does not play its live version {record.version}",
                    where=storage.location(layout.address(record.content_id)),
                    fix=f"run: vidpipe repair {record.content_id}",
                )
    return Scrub(
        content_id=record.content_id,
        version=record.version,
        status=record.status if from_catalog else None,
        target=target_of(record),
        full=request.full,
        proof=proof,
        address=True if shown else None,
    )


def _wanted(title: str, settings: Settings) -> tuple[Record, bool]:
    """Return the record of a version, and whether it comes from the catalog."""
    if "/" in title or title == ".":
        return record_at(title), False
    with open_catalog(settings.catalog_url) as catalog:
        records = versions_of(catalog, title)
    standing = standing_of(records)
    if standing is None:
        raise UsageError(f"{title} has no live version", fix=f"name one by its path: see vidpipe catalog versions {title}")
    return standing, True


def _is_live(record: Record, settings: Settings) -> bool:
    """Whether a version is live still: a long verification may be overtaken."""
    with open_catalog(settings.catalog_url) as catalog:
        found = catalog.live(record.content_id)
    return found is not None and found[0].version == record.version


def record_at(location: str, *, or_of_title: bool = True) -> Record:
    """Return the record of the version that lies at a path or URL; of a title, the one that its address plays.

    or_of_title: whether the address of a title will do; what that plays is a version, whatever a server says.
    """
    folder = location.rstrip("/").removesuffix(f"/{layout.MASTER}").removesuffix(f"/{layout.MPD}")
    with closing(_opened(folder)) as storage:
        try:
            if (data := get_if_there(storage, layout.RECORD)) is None:
                version = played_by(storage)
                if version and or_of_title:
                    return record_at(f"{folder}/{version}", or_of_title=False)
                if version is not None and _is_web(folder):  # it plays
                    what = f"the server does not show {layout.RECORD}, which says what was published"
                    fix = f"let it show {layout.RECORD} and {layout.INVENTORY}, or name the version by its path or s3:// URL"
                    raise PublishFailed(what, where=storage.location(layout.RECORD), fix=fix)
                fix = "name a content id, or the folder of a version, which has a record.json"
                raise UsageError("there is no published version here", where=location, fix=fix)
            record = Record.model_validate_json(data)
        except (Damaged, ValidationError) as problem:
            fix = "name the title by its content id: the catalog has its record, too"
            raise VerificationFailed("its record is damaged", where=storage.location(layout.RECORD), fix=fix) from problem
        if storage.location().endswith(f"/{prefix_of(record)}"):
            moved = {"hls": storage.location(layout.MASTER)}  # it may have been copied here by other means
            moved |= {"dash": storage.location(layout.MPD)} if record.playback.dash else {}
            return record.model_copy(update={"playback": record.playback.model_copy(update=moved)})
    raise UsageError(
        f"its record is that of {prefix_of(record)}", where=location, fix="a version lies in a folder CONTENT_ID/VERSION; put it there"
    )


def _is_web(target: str) -> bool:
    return target.partition("://")[0].lower() in ("http", "https")


def _opened(target: str) -> Readable:
    if not _is_web(target):
        return open_storage(target)
    from vidpipe.storage.web_server import WebServer  # an HTTP client is slow to import

    return WebServer(target)


def played_by(storage: Readable, content_id: str | None = None) -> str | None:
    """Return the version that the address of a title plays, None if it plays none. Raises PublishFailed.

    content_id: None if the storage is the folder of the title itself.
    """
    path = layout.address(content_id) if content_id else layout.MASTER
    try:
        data = get_if_there(storage, path)
        playlist = parse(decompressed(data)) if data is not None else None
    except (Damaged, PlaylistError, ValueError):
        return None
    uris = [variant.uri for variant in playlist.variants] if isinstance(playlist, MasterPlaylist) else []
    folders = {uri.rpartition("/")[0] for uri in uris}
    return folders.pop() if len(folders) == 1 else None


def _lost(record: Record, storage: Readable, paths: list[str]) -> VerificationFailed:
    what = f"{len(paths)} objects of version {record.version} of {record.content_id} are lost or have another size"
    shown = [*paths[:MOST_SHOWN], *([f"and {len(paths) - MOST_SHOWN} more"] if len(paths) > MOST_SHOWN else [])]
    fix = f"run: vidpipe repair {record.content_id}; what it cannot put back, the same ingest does"
    where = storage.location(prefix_of(record))
    id_ = VerificationFailed.id
    found = [Diagnostic(id=id_, severity="error", message=f"{path}: lost, or of another size", advice=fix) for path in paths]
    return VerificationFailed(what, where=where, details=shown, fix=fix, found=found)
