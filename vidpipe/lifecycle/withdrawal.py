"""Take a title down: no version of it is live any more, and its address is gone. Objects and keys stay, so that it can come back.

In:   a content id.
Out:  Withdrawal.
Wrong: UsageError if nothing is live, CatalogFailed; NotFlipped if the target does not give up the address: the same command tries again.

It works at any time, also while the title is being ingested: that ingest then does not make its version live.
"""

from __future__ import annotations

from contextlib import closing

from vidpipe.catalog import open_catalog
from vidpipe.catalog.published_at import storage_of, target_of
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import withdraw as withdraw_rule
from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.lifecycle.titles import TitleRequest, standing_of, versions_of
from vidpipe.pipeline.address import flip, take_down
from vidpipe.progress import Reporter, RunReporter, Silent
from vidpipe.settings import Settings
from vidpipe.storage import open_storage


class Withdrawal(Data):
    """What was taken down. record: of that version.  unchanged: it was withdrawn already.  dry_run: it would be."""

    record: Record
    unchanged: bool = False
    dry_run: bool = False


def withdraw(request: TitleRequest, settings: Settings, reporter: Reporter | None = None) -> Withdrawal:
    """Withdraw the live version of a title."""
    with open_catalog(settings.catalog_url) as catalog:
        standing = standing_of(versions_of(catalog, request.content_id))
        if standing is None:
            fix = f"see vidpipe catalog versions {request.content_id}"
            raise UsageError(f"{request.content_id} has no live version", fix=fix)
        unchanged = standing.status == "withdrawn"
        if request.dry_run:
            return Withdrawal(record=standing, unchanged=unchanged, dry_run=True)
        version = catalog.change(request.content_id, withdraw_rule)
        record = next((known for known in catalog.versions(request.content_id) if known.version == version), standing)
        run = RunReporter(reporter or Silent(), request.content_id)
        with closing(storage_of(record)) as storage:  # also of one that was withdrawn before: the target may have failed then
            take_down(storage, catalog, request.content_id, settings, run)
        for target in {target_of(known) for known in catalog.versions(request.content_id)} - {target_of(record)}:
            with closing(open_storage(target)) as storage:  # it was moved from there, and plays there to this day
                flip(storage, catalog, request.content_id)
        return Withdrawal(record=record, unchanged=unchanged)
