"""Find what nothing references at a target, and remove it if asked to.

In:   the target of the settings, the catalog, the notes of unfinished ingests.
Out:  Garbage.
Wrong: PublishFailed if the target cannot be reached, CatalogFailed, Interrupted: the same command goes on.

Only what vidpipe made itself is looked at: folders CONTENT_ID/VERSION whose names are those of a title and a version. Of them garbage is
- a version that was never finished: it has no record, the catalog does not know it, no unfinished ingest of this home has it, and it was
  begun so long ago that none of another machine can still be at work;
- an upload in parts that was never finished (S3), as old as that.
A complete version that the catalog does not know is never removed, only named: it may belong to another catalog, or to one that was lost
(``repair`` adopts it). Versions in the catalog are for ``prune`` and ``delete``.
"""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from vidpipe import layout
from vidpipe.catalog import open_catalog
from vidpipe.content_id import CONTENT_ID
from vidpipe.data import Data
from vidpipe.defaults import GARBAGE_OLDER_THAN_DAYS
from vidpipe.lifecycle.repair import VERSION
from vidpipe.pipeline.making import stop_if
from vidpipe.progress import Deleted, Reporter, RunReporter, Silent, Stages
from vidpipe.publish.upload import discard
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage
from vidpipe.work.jobs import claim, unfinished


class GarbageRequest(Data):
    """What to look for. older_than: what was begun more recently is left alone.  delete: remove it; otherwise it is only listed."""

    older_than: timedelta = Field(default=timedelta(days=GARBAGE_OLDER_THAN_DAYS), ge=timedelta())
    delete: bool = False


class Unreferenced(Data):
    """Something that nothing references. path: at the target.  kind: "unknown" is a complete version, which is never removed."""

    kind: Literal["unfinished", "upload", "unknown"]
    path: str
    objects: int
    bytes: int
    removed: bool = False


class Garbage(Data):
    """What nothing references at a target."""

    target: str
    found: tuple[Unreferenced, ...]
    deleted: bool


def collect_garbage(
    request: GarbageRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Garbage:
    """List what nothing references, and remove it if asked to."""
    cancel, before = cancel or threading.Event(), datetime.now(UTC) - request.older_than
    stages = Stages(RunReporter(reporter or Silent()))
    found: list[Unreferenced] = []
    with open_catalog(settings.catalog_url) as catalog, closing(open_storage(settings.target)) as target, stages("delete"):
        sizes: dict[tuple[str, str], list[int]] = {}
        complete: set[tuple[str, str]] = set()
        for stored in target.list():
            stop_if(cancel)
            title, _, rest = stored.path.partition("/")
            version, slash, path = rest.partition("/")
            if slash and CONTENT_ID.fullmatch(title) and VERSION.fullmatch(version):
                sizes.setdefault((title, version), []).append(stored.size)
                if path == layout.RECORD:
                    complete.add((title, version))
        known: dict[str, frozenset[str]] = {}
        for (title, version), each in sorted(sizes.items()):
            stop_if(cancel)
            if title not in known:
                known[title] = frozenset(record.version for record in catalog.versions(title))
            if version in known[title]:
                continue
            prefix = layout.version_prefix(title, version)
            seen = Unreferenced(kind="unfinished", path=prefix, objects=len(each), bytes=sum(each))
            if (title, version) in complete:
                found.append(seen.model_copy(update={"kind": "unknown"}))
            elif _begun(version) < before and not _is_noted(settings, title, version):
                removed = request.delete and _removed(target, title, version, settings)
                if removed:
                    stages.reporter.emit(Deleted(version=version, objects=seen.objects, bytes=seen.bytes))
                found.append(seen.model_copy(update={"removed": removed}))
        for left in target.unfinished_uploads(before):
            title, _, rest = left.path.partition("/")
            if CONTENT_ID.fullmatch(title) and VERSION.fullmatch(rest.partition("/")[0]):
                if request.delete:
                    target.abort_upload(left)
                found.append(Unreferenced(kind="upload", path=left.path, objects=1, bytes=left.size, removed=request.delete))
    return Garbage(target=target.location(), found=tuple(found), deleted=request.delete)


def _begun(version: str) -> datetime:
    """Return when a version was begun: its id says so."""
    try:
        return datetime.strptime(version.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # the 99th of a month: no version of ours
        return datetime.max.replace(tzinfo=UTC)


def _is_noted(settings: Settings, content_id: str, version: str) -> bool:
    note = unfinished(settings.work, content_id)
    return note is not None and note.version == version


def _removed(target: Storage, content_id: str, version: str, settings: Settings) -> bool:
    """Remove an unfinished version while no ingest of its title can begin with this home; False if one runs, and may be at it."""
    with claim(settings.work, content_id) as held:
        if held.unfinished and held.unfinished.version == version:
            return False
        discard(target, layout.version_prefix(content_id, version))
    return True
