"""Take a title down: no version of it is live any more. Its objects and keys stay, so that it can come back.

In:   a content id.
Out:  Withdrawal.
Wrong: UsageError if nothing is live, CatalogFailed.

It works at any time, also while the title is being ingested: that ingest then does not make its version live.
"""

from __future__ import annotations

from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import withdraw as withdraw_rule
from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.lifecycle.titles import TitleRequest, standing_of, versions_of
from vidpipe.settings import Settings


class Withdrawal(Data):
    """What was taken down. record: of that version.  unchanged: it was withdrawn already.  dry_run: it would be."""

    record: Record
    unchanged: bool = False
    dry_run: bool = False


def withdraw(request: TitleRequest, settings: Settings) -> Withdrawal:
    """Withdraw the live version of a title."""
    with open_catalog(settings.catalog_url) as catalog:
        standing = standing_of(versions_of(catalog, request.content_id))
        if standing is None:
            fix = f"see vidpipe catalog versions {request.content_id}"
            raise UsageError(f"{request.content_id} has no live version", fix=fix)
        if standing.status == "withdrawn" or request.dry_run:
            return Withdrawal(record=standing, unchanged=standing.status == "withdrawn", dry_run=request.dry_run)
        version = catalog.change(request.content_id, withdraw_rule)
        found = {known.version: known for known in catalog.versions(request.content_id)}
        return Withdrawal(record=found.get(version, standing))
