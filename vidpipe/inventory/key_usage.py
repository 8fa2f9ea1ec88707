"""Which key of a version protects what, as its inventory says it.

In:   an Inventory.
Out:  KeyUses, one for each of its keys, in their order; which of its keys a new version has for the same.
Wrong: nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from vidpipe.inventory.model import Inventory, UsedKey
from vidpipe.protect.key_uses import KeyUse


def used_keys(inventory: Inventory) -> tuple[UsedKey, ...]:
    """Return what each key is for. A version from before there were several has one, for everything."""
    return inventory.key_uses or tuple(UsedKey(key_id=key_id) for key_id in inventory.keys)


def uses_in(inventory: Inventory) -> tuple[KeyUse, ...]:
    """Return the uses of the keys of a version, in the order of its keys."""
    return tuple(KeyUse(_tracks(inventory, used), used.first, used.track_type) for used in used_keys(inventory))


def kept_keys(inventory: Inventory, uses: Sequence[KeyUse]) -> tuple[str | None, ...]:
    """Return for each use of a new version the key that this one has for the same class of tracks from the same segment on."""
    known = {(used.track_type, used.first): used.key_id for used in used_keys(inventory)}
    return tuple(known.get((use.track_type, use.first)) for use in uses)


def _tracks(inventory: Inventory, used: UsedKey) -> frozenset[str] | None:
    if used.track_type == "ALL":
        return None
    return frozenset(track.id for track in inventory.tracks if any(segment.key_id == used.key_id for segment in track.segments))
