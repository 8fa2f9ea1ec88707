"""Write all HLS playlists of a version: a pure function of its inventory.

In:   an Inventory, and the template of the URIs by which players ask for keys.
Out:  path -> text of every playlist, the master playlist last.
Wrong: ValueError for an inventory that cannot be listed; that is a bug of whoever built it.
"""

from __future__ import annotations

from vidpipe import layout
from vidpipe.inventory.measure import target_duration
from vidpipe.inventory.model import Inventory, MediaTrack, PublishedTrack
from vidpipe.manifest.drm import master_tags, with_master_tags, with_media_tags
from vidpipe.manifest.key_uri import key_uri
from vidpipe.manifest.master import write_master
from vidpipe.manifest.media import write_media
from vidpipe.manifest.writer import KeyTag
from vidpipe.protect.schemes import scheme_of


def playlists(inventory: Inventory, key_url: str | None = None) -> dict[str, str]:
    """Return the playlists of a version. key_url: see ``key_uri``; None names keys relative to the playlists."""
    longest = target_duration([track.segments for track in inventory.media])

    def named(key_id: str) -> str:
        return key_uri(key_url, inventory.content_id, key_id)

    def written(track: PublishedTrack, *, i_frames: bool) -> str:
        return write_media(
            track.segments,
            inits=track.inits if isinstance(track, MediaTrack) else {},
            method=scheme_of(track.scheme).hls_method,
            ivs=scheme_of(track.scheme).ivs != "sample",
            key_uri=named if track.segments[0].key_id else None,
            target_duration=longest,
            i_frames=i_frames,
        )

    texts = {path: written(listing.track, i_frames=listing.i_frames) for path, listing in inventory.playlists.items()}
    texts = {path: with_media_tags(text, inventory, named) for path, text in texts.items()}
    session_keys = [KeyTag(method, key_uri(key_url, inventory.content_id, key_id)) for method, key_id in named_in_master(inventory)]
    licensed = frozenset(signal.key_id for signal in inventory.drm)
    master = write_master(inventory.video, inventory.audio, inventory.subtitles, session_keys, licensed)
    return {**texts, layout.MASTER: with_master_tags(master, tags_in_master(inventory))}


def tags_in_master(inventory: Inventory, *, all_periods: bool = False) -> list[str]:
    """Return the tags of DRM systems that the master playlist has, if it names keys at all. all_periods: as in ``named_in_master``."""
    return master_tags(inventory.drm, [key_id for _, key_id in named_in_master(inventory, all_periods=all_periods)])


def named_in_master(inventory: Inventory, *, all_periods: bool = False) -> list[tuple[str, str]]:
    """Return METHOD and key id of what the master playlist names: every key that a track begins with, once, in the order of the keys.

    These are loaded before any media playlist is (rfc8216bis 4.4.6.5), so those of later periods would only be asked for too early, all at
    once: what Apple says of them, too (https://github.com/cta-wave/dash-hls/issues/20).
    all_periods: every key that protects a segment instead, as titles have it that were published before this was so.
    """
    if not inventory.session_keys:
        return []
    methods = {
        segment.key_id: scheme_of(track.scheme).hls_method
        for track in inventory.tracks
        for segment in (track.segments if all_periods else track.segments[:1])
    }
    return [(method, key_id) for key_id in inventory.keys if (method := methods.get(key_id))]
