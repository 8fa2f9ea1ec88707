"""Make a title live again that was withdrawn.

In:   a content id.
Out:  Revival.
Wrong: UsageError if the title is not withdrawn; VerificationFailed if the version does not prove to play; PublishFailed, CatalogFailed,
       Interrupted.
"""

from __future__ import annotations

import threading

from vidpipe.catalog import open_catalog
from vidpipe.errors import UsageError
from vidpipe.lifecycle.revival import Revival, confirmed, revive
from vidpipe.lifecycle.titles import TitleRequest, standing_of, versions_of
from vidpipe.progress import Reporter
from vidpipe.settings import Settings


def restore(request: TitleRequest, settings: Settings, reporter: Reporter | None = None, cancel: threading.Event | None = None) -> Revival:
    """Make the withdrawn version of a title live again."""
    with open_catalog(settings.catalog_url) as catalog:
        standing = standing_of(versions_of(catalog, request.content_id))
        if standing is None:
            fix = f"choose a version: vidpipe catalog rollback {request.content_id} VERSION"
            raise UsageError(f"{request.content_id} has no version that was withdrawn", fix=fix)
        if standing.status == "live":
            return confirmed(catalog, standing, settings, reporter, dry_run=request.dry_run)
        if request.dry_run:
            return Revival(record=standing, replaced=None, dry_run=True)
        return revive(catalog, standing, standing, settings, reporter, cancel)
