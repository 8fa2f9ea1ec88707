"""Where the version of a record lies.

In:   a record.
Out:  its target and its storage; whether it lies at another one.
Wrong: UsageError for a target that cannot be opened; CatalogFailed for a record that names none.
"""

from __future__ import annotations

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.errors import CatalogFailed
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage


def storage_of(record: Record) -> Storage:
    """Open the target that a version was published to, which need not be that of the settings."""
    return open_storage(target_of(record))


def target_of(record: Record) -> str:
    """Return the target that a version was published to: a folder or s3://BUCKET/PREFIX."""
    if not record.playback.hls.endswith(f"/{_master(record)}"):
        raise CatalogFailed(
            f"the record of {record.content_id} {record.version} does not say where the version lies",
            where=record.playback.hls,
            fix="restore the catalog from a backup",
        )
    return record.playback.hls.removesuffix(f"/{_master(record)}") or "/"


def lies_at(storage: Storage, record: Record) -> bool:
    """Whether a version was published to this target."""
    return record.playback.hls == storage.location(_master(record))


def _master(record: Record) -> str:
    return f"{layout.version_prefix(record.content_id, record.version)}/{layout.MASTER}"
