"""Put back what the target has lost of a live version.

In:   the live record, and what is lost of it.
Out:  the Destination at which the version is made again, and its record.
Wrong: Differs if the bytes cannot be had again, UsageError if its keys cannot; PublishFailed from the storage.

A version never changes: what is lost is put back with its own bytes or not at all. Its playlists name IVs that depend on the bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.inventory import Inventory
from vidpipe.pipeline.sealing import Loss, seal_record
from vidpipe.progress import Note, Reporter
from vidpipe.protect.key_source import LocalKeys, existing
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.destination import Destination
from vidpipe.publish.upload import Kept
from vidpipe.storage.base import Storage


class Differs(Exception):
    """What was made again has other bytes than what was published."""


def restorable(live: Record, lost: Loss | None, reporter: Reporter) -> Loss:
    """Report what is lost of a live version, and return it. Raises Differs if nobody knows what it had."""
    if lost is None:
        raise Differs(layout.INVENTORY)
    what = f"{len(lost.paths)} objects of {named(live)} are lost or damaged ({min(lost.paths)} …)"
    reporter.emit(Note(level="warning", text=what))
    return lost


def restoring(live: Record, lost: Loss, storage: Storage, keys: KeyStore, uses: Sequence[KeyUse], *, gzip: bool) -> Destination:
    """Return where a live version is made again: only what is lost is written there, and nothing that differs from what was published.

    uses: of its keys.  gzip: as in Destination.
    """
    source, key_ids = LocalKeys(keys), live.encryption.key_ids
    if len(key_ids) != len(uses):
        raise Differs(layout.MASTER)
    known = lost.inventory
    keys_of_it = replace(existing(source, uses, key_ids), signals=known.drm if isinstance(known, Inventory) else ())
    protection = Protection(scheme_of(live.encryption.method), keys_of_it)
    return Destination(storage, live.content_id, live.version, source, protection, gzip, kept=_kept(lost))


def restore_record(live: Record, lost: Loss, storage: Storage, *, reporter: Reporter, cancel: threading.Event) -> None:
    """Write the record of a live version again if it is lost."""
    if layout.RECORD in lost.paths:
        seal_record(storage, layout.version_prefix(live.content_id, live.version), live, reporter=reporter, cancel=cancel)


def named(live: Record) -> str:
    """Return how messages call a version."""
    return f"version {live.version} of {live.content_id}"


def _kept(lost: Loss) -> Kept:
    """Return what knows of an object that was made again whether it still lies at the target. It raises Differs if it is another one."""

    def is_kept(path: str, sha256: str) -> bool:
        known = lost.inventory.entries.get(path)
        if known is None or known.sha256 != sha256:
            raise Differs(path)
        return path not in lost.paths

    return is_kept
