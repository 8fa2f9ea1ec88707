"""Go back to a version that was live before.

In:   a content id, and a version or none for the one before.
Out:  Revival.
Wrong: UsageError if there is no such version; VerificationFailed if it does not prove to play: the live version stays; PublishFailed,
       CatalogFailed, Interrupted.
"""

from __future__ import annotations

import threading

from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.errors import UsageError
from vidpipe.lifecycle.revival import Revival, confirmed, revive
from vidpipe.lifecycle.titles import TitleRequest, standing_of, versions_of
from vidpipe.progress import Reporter
from vidpipe.settings import Settings


class RollbackRequest(TitleRequest):
    """Go back. version: to which; None is the newest superseded one that is older than the live one."""

    version: str | None = None


def rollback(
    request: RollbackRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None
) -> Revival:
    """Make an earlier version of a title live again, and supersede the one that is live."""
    with open_catalog(settings.catalog_url) as catalog:
        records = versions_of(catalog, request.content_id)
        standing = standing_of(records)
        wanted = _before(records, standing, request.content_id) if request.version is None else _named(records, request)
        if wanted.status == "live":
            return confirmed(catalog, wanted, settings, reporter, dry_run=request.dry_run)
        if request.dry_run:
            return Revival(record=wanted, replaced=None if standing == wanted else standing, dry_run=True)
        return revive(catalog, wanted, standing, settings, reporter, cancel)


def _before(records: tuple[Record, ...], standing: Record | None, content_id: str) -> Record:
    see = f"see vidpipe catalog versions {content_id}"
    if standing is None:
        raise UsageError(f"{content_id} has no live version to go back from", fix=f"name the version to make live; {see}")
    if standing.status == "withdrawn":
        fix = f"make it live again: vidpipe catalog restore {content_id}; or name the version to go back to"
        raise UsageError(f"{content_id} is withdrawn (version {standing.version})", fix=fix)
    older = records[records.index(standing) + 1 :]
    found = next((record for record in older if record.status == "superseded"), None)
    if found is None:
        raise UsageError(f"there is no older version of {content_id} than the live one ({standing.version})", fix=see)
    return found


def _named(records: tuple[Record, ...], request: RollbackRequest) -> Record:
    found = next((record for record in records if record.version == request.version), None)
    see = f"see vidpipe catalog versions {request.content_id}"
    if found is None:
        raise UsageError(f"{request.content_id} has no version {request.version!r}", fix=see)
    if found.status == "deleting":
        raise UsageError(f"version {found.version} of {request.content_id} is being deleted", fix=f"choose another; {see}")
    return found
