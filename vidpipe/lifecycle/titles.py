"""What all operations on a published title have in common: the request for one, and its versions.

In:   a content id; the catalog.
Out:  TitleRequest, ``versions_of``, ``live_version``.
Wrong: UsageError for a title that is not in the catalog, with the nearest id, or has no live version; CatalogFailed.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.content_id import CONTENT_ID
from vidpipe.data import Data
from vidpipe.errors import UsageError

if TYPE_CHECKING:
    from vidpipe.catalog.store import Catalog


class TitleRequest(Data):
    """An operation on a title. dry_run: only say what would be done."""

    content_id: str
    dry_run: bool = False


def versions_of(catalog: Catalog, content_id: str) -> tuple[Record, ...]:
    """Return all versions of a title, newest first; there is at least one."""
    found = catalog.versions(content_id) if CONTENT_ID.fullmatch(content_id) else ()
    if found:
        return found
    close = difflib.get_close_matches(content_id, catalog.having("live", "superseded", "withdrawn", "deleting"), 1)
    fix = f"did you mean {close[0]}?" if close else "see vidpipe catalog list, and check --home"
    raise UsageError(f"there is no title {content_id!r} in the catalog", fix=fix)


def live_version(catalog: Catalog, content_id: str) -> tuple[Record, str]:
    """Return the live version of a title and its fingerprint."""
    versions_of(catalog, content_id)  # the title is there
    found = catalog.live(content_id)
    if found is None:
        fix = f"make a version live first: see vidpipe catalog versions {content_id}"
        raise UsageError(f"{content_id} has no live version", fix=fix)
    return found


def standing_of(records: tuple[Record, ...]) -> Record | None:
    """Return the version that is live or withdrawn, if there is one."""
    return next((record for record in records if record.status in ("live", "withdrawn")), None)


def prefix_of(record: Record) -> str:
    """Return the path of a version below its target."""
    return layout.version_prefix(record.content_id, record.version)
