"""Find what nothing references at a target, and remove it if asked to.

In:   the target of the settings, the catalog, the notes of unfinished ingests.
Out:  Garbage.
Wrong: PublishFailed if the target cannot be reached, CatalogFailed, Interrupted: the same command goes on.

Only what vidpipe made itself is looked at: folders CONTENT_ID/VERSION whose names are those of a title and a version. Of them garbage is
- a version that was never finished: it has neither inventory nor record, the address of its title does not play it, the catalog does not
  know it, no unfinished ingest of this home has it, and nothing of it was written for so long that none of another machine can be at work.
  All of this is asked once more right before it is removed;
- an upload in parts that was never finished (S3), and a file that was never written to its end, as old as that.
A complete version that the catalog does not know is never removed, only named: it may belong to another catalog, or to one that was lost
(``repair`` adopts it). Versions in the catalog are for ``prune`` and ``delete``.
"""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from vidpipe import durable, layout
from vidpipe.catalog import open_catalog
from vidpipe.content_id import CONTENT_ID
from vidpipe.data import Data
from vidpipe.defaults import GARBAGE_OLDER_THAN_DAYS
from vidpipe.lifecycle.repair import VERSION
from vidpipe.lifecycle.scrub import played_by
from vidpipe.pipeline.making import stop_if
from vidpipe.progress import Deleted, Reporter, RunReporter, Silent, Stages
from vidpipe.publish.upload import discard
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage, Stored
from vidpipe.work.jobs import Running, claim, unfinished

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog

LEAST_AGE, MOST_AGE = timedelta(days=1), timedelta(days=36_500)
"""Something younger may be at work, however sure somebody is that it is not."""


class GarbageRequest(Data):
    """What to look for. older_than: what was written more recently is left alone.  delete: remove it; otherwise it is only listed."""

    older_than: timedelta = Field(default=timedelta(days=GARBAGE_OLDER_THAN_DAYS), ge=LEAST_AGE, le=MOST_AGE)
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
        seen: dict[tuple[str, str], _Seen] = {}
        for stored in target.list():
            stop_if(cancel)
            title, _, rest = stored.path.partition("/")
            version, slash, path = rest.partition("/")
            if slash and CONTENT_ID.fullmatch(title) and VERSION.fullmatch(version):
                seen.setdefault((title, version), _Seen()).add(stored, path)
        for (title, version), objects in sorted(seen.items()):
            stop_if(cancel)
            if any(record.version == version for record in catalog.versions(title)):
                continue
            what = Unreferenced(
                kind="unfinished", path=layout.version_prefix(title, version), objects=objects.number, bytes=objects.bytes
            )
            if _is_complete(objects, target, title, version):
                if not _is_noted(settings, title, version):
                    found.append(what.model_copy(update={"kind": "unknown"}))
            elif objects.newest < before and not _is_noted(settings, title, version):
                removed = request.delete and _removed(target, catalog, title, version, before, settings)
                if removed:
                    stages.reporter.emit(Deleted(version=version, objects=what.objects, bytes=what.bytes))
                found.append(what.model_copy(update={"removed": removed}))
        for left in target.unfinished_uploads(before):
            if _is_ours(left.path):
                if request.delete:
                    target.abort_upload(left)
                found.append(Unreferenced(kind="upload", path=left.path, objects=1, bytes=left.size, removed=request.delete))
    return Garbage(target=target.location(), found=tuple(found), deleted=request.delete)


def _is_ours(path: str) -> bool:
    """Whether vidpipe began an upload: to a version, or, as a file that has a name of its own until it is whole, to anywhere."""
    title, _, rest = path.partition("/")
    name = path.rpartition("/")[2]
    if name.startswith(durable.TEMPORARY) and name.endswith(".tmp"):
        return True
    return bool(CONTENT_ID.fullmatch(title) and VERSION.fullmatch(rest.partition("/")[0]))


class _Seen:
    """What a listing shows of a version. newest: when the last of it was written."""

    def __init__(self) -> None:
        self.number = self.bytes = 0
        self.newest = datetime.min.replace(tzinfo=UTC)
        self.is_sealed = False

    def add(self, stored: Stored, path: str) -> None:
        """Count an object. path: below the version."""
        self.number += 1
        self.bytes += stored.size
        self.newest = max(self.newest, stored.modified or datetime.max.replace(tzinfo=UTC))
        self.is_sealed |= path in (layout.RECORD, layout.INVENTORY)


def _is_complete(objects: _Seen, target: Storage, content_id: str, version: str) -> bool:
    return objects.is_sealed or played_by(target, content_id) == version


def _is_noted(settings: Settings, content_id: str, version: str) -> bool:
    note = unfinished(settings.work, content_id)
    return note is not None and note.version == version


def _removed(target: Storage, catalog: Catalog, content_id: str, version: str, before: datetime, settings: Settings) -> bool:
    """Remove an unfinished version, unless it has changed since it was listed, or an ingest of its title is running with this home."""
    prefix = layout.version_prefix(content_id, version)
    try:
        with claim(settings.work, content_id) as held:
            now = _Seen()
            for stored in target.list(prefix):
                now.add(stored, stored.path.removeprefix(f"{prefix}/"))
            known = any(record.version == version for record in catalog.versions(content_id))
            noted = held.unfinished is not None and held.unfinished.version == version
            if known or noted or now.newest >= before or _is_complete(now, target, content_id, version):
                return False
            discard(target, prefix)
    except Running:
        return False
    return True
