"""Prove a version that was live before, where it lies now: nothing becomes visible that was not just seen to play.

In:   the record of the version, its storage, the key store.
Out:  ProvenVersion: what was proven, and how.
Wrong: VerificationFailed naming the object; UsageError for a key that is not in the key store; PublishFailed, Interrupted.

With an inventory, size and SHA-256 of every object are compared with it, playlists and init sections are read, the first and the last
segment of each track are read, decrypted and measured: what verifies a copy (``verify/proof.py``). On a folder the hash is computed from
the file; S3 states it. A version without one (vidpipe 0.1.0) has its playlists read and everything that they name looked up, and its keys
opened. Headers may be those of the vidpipe that made it.
"""

from __future__ import annotations

import threading
from typing import Literal

from vidpipe import layout
from vidpipe.catalog.record import Record, had_inventory
from vidpipe.data import Data
from vidpipe.errors import UsageError, VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.lifecycle.titles import prefix_of
from vidpipe.manifest.drm import IDENTITY
from vidpipe.manifest.key_uri import key_uri
from vidpipe.manifest.parse import MediaPlaylist, PlaylistError, parse
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.progress import Note, Reporter
from vidpipe.protect.key_store import KeyStore
from vidpipe.storage.base import Damaged, Readable, get_if_there
from vidpipe.storage.compression import decompressed
from vidpipe.verify.proof import verify

_FIX = "the version that is live stays; choose another version, or ingest the source again"


class ProvenVersion(Data):
    """What was proven. by: "inventory", hashes and ends of tracks; "playlists", that everything is there which they name.

    objects: that were looked at.  bytes: that were read; None if nobody counted.
    """

    by: Literal["inventory", "playlists"]
    objects: int
    bytes: int | None = None


def prove(
    record: Record,
    storage: Readable,
    keys: KeyStore,
    *,
    reporter: Reporter,
    cancel: threading.Event,
    ffmpeg: FFmpeg | None = None,
    full: bool = False,
) -> ProvenVersion:
    """Prove that a version plays where it lies. full: read everything, as an ingest does.  ffmpeg: decodes the ends then."""
    path = f"{prefix_of(record)}/{layout.INVENTORY}"
    known = None
    try:
        if (data := get_if_there(storage, path)) is not None:
            known = read_inventory(data)
    except (Damaged, ValueError) as error:
        raise VerificationFailed("the inventory of the version is damaged", where=storage.location(path), fix=_FIX) from error
    if known is None and had_inventory(record):
        fix = f"run: vidpipe repair {record.content_id}; if it cannot put it back, ingest the source again"
        raise VerificationFailed("the inventory of the version is lost", where=storage.location(path), fix=fix)
    if not isinstance(known, Inventory):
        return _prove_without(record, keys, reporter)
    found = verify(
        known,
        storage,
        key_url=key_url_of(known, storage),
        key_for=keys.get,
        ffmpeg=ffmpeg,
        reporter=reporter,
        cancel=cancel,
        copied=() if full else known.entries.keys(),
        headers=False,
    )
    return ProvenVersion(by="inventory", objects=len(known.entries), bytes=found.bytes)


def key_url_of(inventory: Inventory, storage: Readable) -> str | None:
    """Return the template of the key URIs of a version, which may be another one than that of today.  Raises PublishFailed."""
    prefix = layout.version_prefix(inventory.content_id, inventory.version)
    try:
        playlist = parse(decompressed(get_if_there(storage, f"{prefix}/{inventory.video[0].playlist}") or b""))
    except (Damaged, PlaylistError, ValueError):
        return None  # the proof says what is wrong with it
    keys = playlist.segments[0].keys if isinstance(playlist, MediaPlaylist) and playlist.segments else ()
    uri = next((key.uri for key in keys if key.keyformat == IDENTITY), None)  # those of DRM systems stand before it
    key_id = inventory.video[0].segments[0].key_id
    if not uri or key_id is None or uri == key_uri(None, inventory.content_id, key_id):
        return None
    template = uri.replace(key_id, "{key_id}")
    if template == uri:  # it names the title alone; an id may be a word that stands elsewhere, too, such as in the host
        template = "{content_id}".join(template.rsplit(inventory.content_id, 1))
    return template


def _prove_without(record: Record, keys: KeyStore, reporter: Reporter) -> ProvenVersion:
    for key_id in record.encryption.key_ids:
        keys.get(key_id)
    try:
        found = inspect(record.playback.hls)
    except UsageError as error:
        raise VerificationFailed(error.what, where=error.where or record.playback.hls, fix=_FIX) from error
    if found.problems:
        raise VerificationFailed(
            "something that the playlists name is missing or broken", where=record.playback.hls, details=found.problems, fix=_FIX
        )
    text = (
        f"version {record.version} has no inventory, as those of vidpipe 0.1.0: its playlists were read and everything that they name is "
        "there, but no hash was compared"
    )
    reporter.emit(Note(level="warning", text=text))
    segments = sum(playlist.segments for playlist in found.playlists)
    return ProvenVersion(by="playlists", objects=1 + len(found.playlists) + segments)
