"""Every object of a version as a CDN sees it, in the order in which players ask for them when they start.

In:   a record, the storage that its version lies at, the setting ``public_url``.
Out:  CdnReport: of each object path, URL, size, hash, how long it may be cached, priority.
Wrong: PublishFailed if the target cannot be asked.

Priorities:
1  what every start needs: the address, the master playlist or DASH manifest; playlist, init section and first segment of the first
   variant and its audio
2  the first seconds after that; the subtitles that are shown by default; the poster
3  what a player changes to: playlist, init section and first segment of all other renditions; the thumbnails track and its first sheet,
   playlists of I-frames
4  all other segments and sprite sheets
5  record and inventory, for which no player asks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import Field

from vidpipe import layout
from vidpipe.catalog.record import Record
from vidpipe.cdn.purge import flipped
from vidpipe.data import Data
from vidpipe.inventory.model import Inventory, MediaTrack, Objects, PublishedTrack, read_inventory
from vidpipe.manifest.groups import audio_groups, default_of
from vidpipe.manifest.master import ordered
from vidpipe.publish.addresses import public
from vidpipe.publish.delivery import ADDRESS_SECONDS, CACHE_SECONDS, CacheClass, cache_class
from vidpipe.publish.result import ObjectEntry
from vidpipe.storage.base import Damaged, Storage, get_if_there

FIRST_SEGMENTS = 3
"""Segments of what plays first that a player asks for before it shows a picture, or soon after."""
PREFETCHED, OTHERS, LAST = 3, 4, 5
"""The last priority that is worth fetching before anyone asks; that of what is asked for later; that of what nobody asks for."""
ServedAs = CacheClass | Literal["address"]


class CdnObject(Data):
    """An object of a title."""

    path: str = Field(description="At the target: {content_id}/{version}/….")
    url: str | None = Field(description="Behind the setting public_url; null without it.")
    size: int = Field(description="Bytes as they are stored.")
    sha256: str | None = Field(description="Of the stored bytes; null if nobody knows it (titles of 0.1.0).")
    cache: ServedAs = Field(description="How objects of its kind are cached; address: it changes with the live version.")
    ttl: int = Field(description="Seconds that it may be cached.")
    priority: int = Field(ge=1, le=5, description="1 is asked for first; 1 to 3 are worth fetching before anyone asks.")


class CdnReport(Data):
    """What a CDN serves of a title. Objects in the order in which players ask for them."""

    content_id: str
    version: str
    purge: tuple[str, ...] = Field(description="URLs (paths without the setting public_url) to forget when another version becomes live.")
    objects: tuple[CdnObject, ...]


def title_report(record: Record, storage: Storage, public_url: str | None = None) -> CdnReport:
    """Return the objects of a version, the address of the title first.  Raises PublishFailed."""
    prefix = layout.version_prefix(record.content_id, record.version)
    known = _known(storage, prefix)
    first = dict(_start(known)) if isinstance(known, Inventory) else {layout.MASTER: 1}
    listed = [*(path for path in first if path in known.entries), *(path for path in known.entries if path not in first)]

    def url(path: str) -> str | None:
        return public(public_url, path) if public_url else None

    found = [
        CdnObject(
            path=f"{prefix}/{path}",
            url=url(f"{prefix}/{path}"),
            size=known.entries[path].size,
            sha256=known.entries[path].sha256 or None,
            cache=cache_class(path),
            ttl=CACHE_SECONDS[cache_class(path)],
            priority=first.get(path, OTHERS),
        )
        for path in listed
    ]
    for path in (layout.INVENTORY, layout.RECORD):
        found += _asked(storage, f"{prefix}/{path}", url, cache_class(path), CACHE_SECONDS[cache_class(path)], LAST)
    played = [layout.address(record.content_id), *((layout.dash_address(record.content_id),) if record.playback.dash else ())]
    found = [*(item for path in played for item in _asked(storage, path, url, "address", ADDRESS_SECONDS, 1)), *found]
    return CdnReport(
        content_id=record.content_id,
        version=record.version,
        purge=tuple(url(path) or path for path in flipped(record.content_id, dash=record.playback.dash is not None)),
        objects=tuple(sorted(found, key=lambda item: item.priority)),
    )


def _known(storage: Storage, prefix: str) -> Objects:
    """Return the inventory of a version; of one that has none (0.1.0) what a listing says."""
    try:
        data = get_if_there(storage, f"{prefix}/{layout.INVENTORY}")
        known = read_inventory(data) if data is not None else None
    except (Damaged, ValueError):
        known = None
    if known is None:
        own = (layout.RECORD, layout.INVENTORY)
        found = {stored.path.removeprefix(f"{prefix}/"): stored for stored in storage.list(prefix)}
        return Objects(objects={path: ObjectEntry(size=one.size, sha256="") for path, one in found.items() if path not in own})
    return known


def _asked(storage: Storage, path: str, url: Callable[[str], str | None], cache: ServedAs, ttl: int, priority: int) -> list[CdnObject]:
    """Return an object that no inventory lists, if it is there: a title that was published before there were addresses has none."""
    stored = storage.head(path)
    if stored is None:
        return []
    return [CdnObject(path=path, url=url(path), size=stored.size, sha256=stored.sha256, cache=cache, ttl=ttl, priority=priority)]


def prefetched(found: tuple[CdnObject, ...]) -> tuple[CdnObject, ...]:
    """Return those that are worth fetching before anyone asks, in the order of a start."""
    return tuple(item for item in found if item.priority <= PREFETCHED)


def _start(inventory: Inventory) -> Iterator[tuple[str, int]]:
    """Yield what players ask for when they start, in that order, with its priority."""
    first: list[PublishedTrack] = [ordered(inventory.video)[0]]
    first += [default_of(group) for group in audio_groups(inventory.audio)[:1]]
    shown = [track for track in inventory.subtitles if track.default]
    yield layout.MASTER, 1
    if "dash" in inventory.formats:
        yield layout.MPD, 1
    for track in first:
        yield track.playlist, 1
    for track in first:
        yield from ((path, 1) for path in _beginning(track, 0, 1))
    for track in shown:
        yield from ((path, 2) for path in (track.playlist, *_beginning(track, 0, 1)))
    for track in first:
        yield from ((path, 2) for path in _beginning(track, 1, FIRST_SEGMENTS))
    if inventory.pictures:
        yield inventory.pictures.poster, 2
    for track in inventory.tracks:
        if track not in first and track not in shown:
            yield from ((path, 3) for path in (track.playlist, *_beginning(track, 0, 1)))
    if inventory.pictures:
        yield from ((path, 3) for path in (inventory.pictures.track, *inventory.pictures.sheets[:1]))
    yield from ((track.i_frames.playlist, 3) for track in inventory.video if track.i_frames)


def _beginning(track: PublishedTrack, first: int, end: int) -> Iterator[str]:
    inits = track.inits if isinstance(track, MediaTrack) else {}
    for segment in track.segments[first:end]:
        yield from (inits[index] for index in [segment.index] if index in inits)
        yield segment.uri
