"""Delete a title that is not live: all its versions, and their keys.

In:   a content id.
Out:  Deletion.
Wrong: UsageError if the title is live, is being ingested, or has an unfinished ingest; PublishFailed, CatalogFailed, Interrupted: the same
       command goes on.

The catalog comes first: one transaction says of every version that it is being deleted. From then on none can become live again.
"""

from __future__ import annotations

import threading

from vidpipe.catalog import open_catalog
from vidpipe.catalog.states import give_up_all, is_live
from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.lifecycle.removal import RemovedVersion, removable, remove
from vidpipe.lifecycle.titles import TitleRequest, versions_of
from vidpipe.pipeline.versions import is_known
from vidpipe.progress import Reporter, RunReporter, Silent, Stages
from vidpipe.settings import Settings
from vidpipe.work.jobs import claim, unfinished


class Deletion(Data):
    """What was deleted. dry_run: it would be."""

    content_id: str
    removed: tuple[RemovedVersion, ...]
    dry_run: bool = False


def delete(request: TitleRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None) -> Deletion:
    """Delete every version of a title that is not live."""
    content_id, cancel = request.content_id, cancel or threading.Event()
    stages = Stages(RunReporter(reporter or Silent(), content_id))
    with open_catalog(settings.catalog_url) as catalog:
        records = versions_of(catalog, content_id)
        for record in records:
            if record.status == "live":
                raise is_live(content_id, record.version)
        if request.dry_run:
            found = tuple(removable(records, records, unfinished(settings.work, content_id)))
            return Deletion(content_id=content_id, removed=found, dry_run=True)
        with claim(settings.work, content_id) as held:
            note = held.unfinished
            if note and not is_known(catalog, note):
                fix = "run that ingest again, or give it up: vidpipe work clean --unfinished"
                raise UsageError(f"an ingest of {content_id} is unfinished (version {note.version})", fix=fix)
            catalog.change(content_id, give_up_all)
            doomed = versions_of(catalog, content_id)
            if note and note.version in {record.version for record in doomed}:
                held.finish()  # it is of a version that was published: without its line, a new ingest would continue it
                note = None
            with stages("delete"):
                removed = tuple(remove(doomed, catalog, settings, note, stages.reporter, cancel))
    return Deletion(content_id=content_id, removed=removed)
