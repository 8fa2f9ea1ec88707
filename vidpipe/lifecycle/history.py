"""Show the versions of a title.

In:   a content id.
Out:  the records of all its versions, newest first, each with its status and since when it has it.
Wrong: UsageError for a title that is not in the catalog, CatalogFailed.
"""

from __future__ import annotations

from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.lifecycle.titles import versions_of
from vidpipe.settings import Settings


def history(content_id: str, settings: Settings) -> tuple[Record, ...]:
    """Return every version of a title, newest first."""
    with open_catalog(settings.catalog_url) as catalog:
        return versions_of(catalog, content_id)
