"""Delete superseded versions that nobody will go back to.

In:   a content id or none for all titles; how many superseded versions of a title to keep, and for how long at least.
Out:  Pruning.
Wrong: UsageError; PublishFailed, CatalogFailed, Interrupted: the same command goes on.

Live and withdrawn versions are never pruned. Whatever a killed ``delete`` or ``prune`` has left is finished. A title that is being ingested
with this home is left for another time: that ingest may be copying from any version.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import Field

from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import give_up
from vidpipe.data import Data
from vidpipe.defaults import PRUNE_KEEP, PRUNE_OLDER_THAN_DAYS
from vidpipe.errors import PublishFailed
from vidpipe.lifecycle.removal import RemovedVersion, removable, remove
from vidpipe.lifecycle.titles import versions_of
from vidpipe.pipeline.making import stop_if
from vidpipe.progress import Note, Reporter, RunReporter, Silent, Stages
from vidpipe.settings import Settings
from vidpipe.work.jobs import JobNote, Running, claim, unfinished

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class PruneRequest(Data):
    """What to prune. content_id: None stands for all titles.

    keep: so many superseded versions of each title stay, the newest.  older_than: what was superseded more recently stays, too.
    dry_run: only say what would be deleted.
    """

    content_id: str | None = None
    keep: int = Field(default=PRUNE_KEEP, ge=0)
    older_than: timedelta = Field(default=timedelta(days=PRUNE_OLDER_THAN_DAYS), ge=timedelta())
    dry_run: bool = False


class Pruning(Data):
    """What was deleted. skipped: titles that are being ingested.  dry_run: nothing was deleted."""

    removed: tuple[RemovedVersion, ...]
    skipped: tuple[str, ...] = ()
    dry_run: bool = False


def prune(
    request: PruneRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Pruning:
    """Delete old superseded versions of a title, or of all."""
    cancel, now = cancel or threading.Event(), datetime.now(UTC)
    reporter = reporter or Silent()
    run = RunReporter(reporter, request.content_id)
    removed: list[RemovedVersion] = []
    skipped: list[str] = []
    failed: list[PublishFailed] = []
    with open_catalog(settings.catalog_url) as catalog, Stages(run)("delete"):
        if request.content_id is not None:
            versions_of(catalog, request.content_id)  # it is there
        for content_id in catalog.having("superseded", "deleting") if request.content_id is None else (request.content_id,):
            stop_if(cancel)
            note = unfinished(settings.work, content_id)
            if not (chosen := prunable(catalog.versions(content_id), request, now, note)):
                continue
            try:
                if request.dry_run:
                    removed += removable(chosen, catalog.versions(content_id), note)
                else:
                    about = RunReporter(reporter, content_id, part_of=run)
                    removed += _prune(content_id, request, now, catalog, settings, about, cancel)
            except Running as problem:
                if request.content_id is not None:
                    raise
                skipped.append(content_id)
                run.emit(Note(level="warning", text=f"left for another time: {problem.what}"))
            except PublishFailed as problem:
                failed.append(problem)
    if failed:
        raise failed[0]
    return Pruning(removed=tuple(removed), skipped=tuple(skipped), dry_run=request.dry_run)


def _prune(
    content_id: str,
    request: PruneRequest,
    now: datetime,
    catalog: Catalog,
    settings: Settings,
    reporter: Reporter,
    cancel: threading.Event,
) -> tuple[RemovedVersion, ...]:
    with claim(settings.work, content_id) as held:
        records = catalog.versions(content_id)  # no ingest with this home adds to them now
        chosen = {record.version: record for record in prunable(records, request, now, held.unfinished)}
        doomed = catalog.change(content_id, give_up(chosen))
        return tuple(remove([chosen[version] for version in doomed], catalog, settings, held.unfinished, reporter, cancel))


def prunable(records: Sequence[Record], request: PruneRequest, now: datetime, note: JobNote | None) -> tuple[Record, ...]:
    """Return the versions of a title that are to go. records: all of them, newest first.  note: of an unfinished ingest. Pure."""
    needed = {note.version, note.copy_of} if note else set()
    superseded = [record for record in records if record.status == "superseded"]
    old = [record for record in superseded[request.keep :] if now - _superseded(records, record) >= request.older_than]
    left = [record for record in records if record.status == "deleting"]
    return tuple(record for record in (*left, *old) if record.version not in needed)


def _superseded(records: Sequence[Record], record: Record) -> datetime:
    """Return when a version was superseded. A vidpipe that did not note it had no other way than to publish the next one."""
    return record.status_since or records[max(0, records.index(record) - 1)].created_at
