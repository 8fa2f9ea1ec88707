"""Where the version of a record lies.

In:   a record.
Out:  its storage; whether it lies at another one.
Wrong: UsageError for a target that cannot be opened.
"""

from __future__ import annotations

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage


def storage_of(record: Record) -> Storage:
    """Open the target that a version was published to, which need not be that of the settings."""
    return open_storage(record.playback.hls.removesuffix(f"/{_master(record)}"))


def lies_at(storage: Storage, record: Record) -> bool:
    """Whether a version was published to this target."""
    return record.playback.hls == storage.location(_master(record))


def _master(record: Record) -> str:
    return f"{layout.version_prefix(record.content_id, record.version)}/{layout.MASTER}"
