"""Write the record of a version from its inventory: what was published, as it was measured.

In:   the Inventory, the source, what people say of the title, where objects lie.
Out:  the catalog Record.
Wrong: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from vidpipe import layout
from vidpipe.catalog.record import (
    AudioRecord,
    Cache,
    Encryption,
    LeftOutRecord,
    Playback,
    Record,
    RenditionRecord,
    SourceFile,
    SubtitleRecord,
    Thumbnails,
)
from vidpipe.inventory.model import Inventory, MediaTrack
from vidpipe.publish.addresses import public, title_url
from vidpipe.publish.delivery import CACHE_SECONDS


def record_of(
    inventory: Inventory,
    source: SourceFile,
    *,
    title: str,
    metadata: Mapping[str, str],
    location: Callable[[str], str],
    public_url: str | None = None,
) -> Record:
    """Return the record. location: path below the version -> where it lies.  public_url: the setting."""
    pictures = inventory.pictures
    return Record(
        content_id=inventory.content_id,
        version=inventory.version,
        title=title,
        created_at=datetime.now(UTC),
        duration=float(inventory.duration),
        source=source,
        playback=_playback(inventory, location, public_url),
        renditions=tuple(_rendition(track, location) for track in inventory.media),
        audio=tuple(
            AudioRecord(
                id=track.id,
                name=track.label,
                language=track.language,
                channels=track.facts.channels or 0,
                default=track.default,
                role=track.role,
                cut=float(track.cut),
            )
            for track in inventory.audio
        ),
        subtitles=tuple(
            SubtitleRecord(
                id=track.id,
                name=track.name,
                language=track.language,
                default=track.default,
                forced=track.forced,
                hearing_impaired=track.hearing_impaired,
                url=location(track.playlist),
            )
            for track in inventory.subtitles
        ),
        left_out=tuple(LeftOutRecord(**track.model_dump(exclude={"media"})) for track in inventory.left_out),
        thumbnails=Thumbnails(
            poster=location(pictures.poster) if pictures else None, track=location(pictures.track) if pictures else None
        ),
        encryption=Encryption(method=inventory.scheme, key_ids=inventory.keys),
        cache=Cache(**CACHE_SECONDS),
        metadata=dict(metadata),
    )


def _playback(inventory: Inventory, location: Callable[[str], str], public_url: str | None) -> Playback:
    has_dash = "dash" in inventory.formats
    hls, dash = location(layout.MASTER), location(layout.MPD) if has_dash else None
    if public_url is None:
        return Playback(hls=hls, dash=dash)
    prefix, content_id = layout.version_prefix(inventory.content_id, inventory.version), inventory.content_id
    return Playback(
        hls=hls,
        url=public(public_url, f"{prefix}/{layout.MASTER}"),
        title_url=title_url(public_url, content_id),
        dash=dash,
        dash_url=public(public_url, f"{prefix}/{layout.MPD}") if has_dash else None,
        dash_title_url=public(public_url, layout.dash_address(content_id)) if has_dash else None,
    )


def _rendition(track: MediaTrack, location: Callable[[str], str]) -> RenditionRecord:
    facts = track.facts
    return RenditionRecord(
        id=track.id,
        type=facts.type,
        codecs=facts.codecs,
        width=facts.width,
        height=facts.height,
        frame_rate=float(facts.frame_rate) if facts.frame_rate else None,
        bandwidth=track.bitrate.peak,
        average_bandwidth=track.bitrate.average,
        url=location(track.playlist),
        segments=len(track.segments),
    )
