"""Say what protects the samples of a track: ContentProtection with the id of its key, and the systems that can open it.

In:   a track of an inventory.
Out:  its descriptors, none if it is clear; the id of its key, by which tracks are put together.
Wrong: ValueError for a key id that is no UUID (128 bits as hex); that is a bug of whoever made it.

ClearKey (W3C Encrypted Media Extensions, 9.1) is what every browser has: the player is given the key by the page that it is on, or asks
a server that the page names. No address stands here: the addresses of key services in playlists answer with bare keys, as HLS wants it.
"""

from __future__ import annotations

from uuid import UUID
from xml.etree.ElementTree import Element

from vidpipe.inventory.model import PublishedTrack
from vidpipe.manifest.dash.markup import element
from vidpipe.protect.schemes import scheme_of

MP4_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
CENC = "urn:mpeg:cenc:2013"
"""XML namespace of default_KID (ISO/IEC 23001-7 11.2)."""


def content_protection(track: PublishedTrack) -> list[Element]:
    """Return the ContentProtection elements of a track."""
    scheme, key_id = scheme_of(track.scheme).mp4_scheme, default_key_id(track)
    if scheme is None or key_id is None:
        return []
    return [
        element("ContentProtection", schemeIdUri=MP4_PROTECTION, value=scheme, **{"cenc:default_KID": str(UUID(hex=key_id))}),
        element("ContentProtection", schemeIdUri=CLEAR_KEY, value="ClearKey1.0"),
    ]


def default_key_id(track: PublishedTrack) -> str | None:
    """Return the id of the key that the init section of a track names, that of its first segment; None if it is clear."""
    return track.segments[0].key_id
