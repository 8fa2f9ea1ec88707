"""What all operations on a published title have in common: the request for one, its versions, where they lie.

In:   a content id; the catalog.
Out:  TitleRequest, ``versions_of``, ``storage_of``.
Wrong: UsageError for a title that is not in the catalog, with the nearest id; CatalogFailed.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.content_id import CONTENT_ID
from vidpipe.data import Data
from vidpipe.errors import CatalogFailed, UsageError
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage

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


def standing_of(records: tuple[Record, ...]) -> Record | None:
    """Return the version that is live or withdrawn, if there is one."""
    return next((record for record in records if record.status in ("live", "withdrawn")), None)


def prefix_of(record: Record) -> str:
    """Return the path of a version below its target."""
    return layout.version_prefix(record.content_id, record.version)


def target_of(record: Record) -> str:
    """Return the target of a version: a folder or s3://BUCKET/PREFIX, wherever new ones go."""
    tail = f"/{prefix_of(record)}/{layout.MASTER}"
    if not record.playback.hls.endswith(tail):
        raise CatalogFailed(
            f"the record of {record.content_id} {record.version} does not say where the version lies",
            where=record.playback.hls,
            fix="restore the catalog from a backup",
        )
    return record.playback.hls.removesuffix(tail) or "/"


def storage_of(record: Record) -> Storage:
    """Open the target of a version."""
    return open_storage(target_of(record))


def keys_given(settings: Settings) -> bytes | None:
    """Return the master key that was given, if any."""
    return settings.master_key.get_secret_value() if settings.master_key else None
