"""Say what protects the samples of a track: ContentProtection with the id of its key, and the systems that can open it.

In:   a track of an inventory, and what DRM systems want to be said of its key.
Out:  its descriptors, none if it is clear; the id of its key, by which tracks are put together.
Wrong: ValueError for a key id that is no UUID (128 bits as hex), a bug of whoever made it; and for a signal that is no XML: what a key
       server sends is checked before anything is encoded.

The descriptor of a DRM system holds what its key server gave for it (SPEKE's ContentProtectionData), or else its pssh. Where the key
changes with time, default_KID is that of tenc in the init section (ISO/IEC 23001-7 11.2), the first; each later segment names its own key,
and holds what DRM systems want to be said of it (DASH-IF IOP part 6, 9.3).

ClearKey (W3C Encrypted Media Extensions, 9.1) is what every browser has: the player is given the key by the page that it is on, or asks
a server that the page names. No address stands here: the addresses of key services in playlists answer with bare keys, as HLS wants it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from uuid import UUID
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

from vidpipe.inventory.model import PublishedTrack
from vidpipe.manifest.dash.markup import element
from vidpipe.protect.drm_systems import boxes_of, common_box
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.schemes import scheme_of

MP4_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"
CENC = "urn:mpeg:cenc:2013"
"""XML namespace of default_KID (ISO/IEC 23001-7 11.2)."""


def content_protection(track: PublishedTrack, signals: Iterable[DrmSignal] = ()) -> list[Element]:
    """Return the ContentProtection elements of a track: ClearKey where no DRM system has a say."""
    scheme, key_id = scheme_of(track.scheme).mp4_scheme, default_key_id(track)
    if scheme is None or key_id is None:
        return []
    systems = [
        element("ContentProtection", *said, schemeIdUri=f"urn:uuid:{signal.system_id}")
        for signal in signals
        if signal.key_id == key_id and (said := said_of(signal))
    ]
    box = rotated_keys(track)
    clear_key = element("ContentProtection", *([_pssh(box)] if box else ()), schemeIdUri=CLEAR_KEY, value="ClearKey1.0")
    return [
        element("ContentProtection", schemeIdUri=MP4_PROTECTION, value=scheme, **{"cenc:default_KID": str(UUID(hex=key_id))}),
        *(systems or [clear_key]),
    ]


def rotated_keys(track: PublishedTrack) -> bytes | None:
    """Return the box that lists all keys of a track for ClearKey, in their order; None if it has but one.

    Where a manifest says what a system wants, players look into no segment for it: without this list, they would ask a license server for
    the first key alone (Shaka Player 5.2, dash.js 5.2).
    """
    key_ids = [key_id for key_id in dict.fromkeys(segment.key_id for segment in track.segments) if key_id]
    return common_box(key_ids) if len(key_ids) > 1 else None


def said_of(signal: DrmSignal) -> Sequence[Element]:
    """Return what stands in the descriptor of a DRM system; nothing for one that is not for DASH, such as FairPlay. Raises ValueError."""
    if signal.content_protection is None:
        return [_pssh(box) for box in boxes_of(signal)]
    try:
        text = base64.b64decode(signal.content_protection, validate=True).decode()
        return [_rewritten(child) for child in fromstring(f"<x>{text}</x>", forbid_dtd=True)]
    except (binascii.Error, UnicodeDecodeError, ParseError) as problem:
        raise ValueError(f"a DRM system wants something to be said in DASH that is no XML: {problem}") from problem


def _pssh(box: bytes) -> Element:
    return element("cenc:pssh", text=base64.b64encode(box).decode())


def _rewritten(said: Element) -> Element:
    """Return an element with its namespace as an attribute, which stays as it is wherever it is put."""
    namespace, _, name = said.tag.rpartition("}")
    attributes = {key.rpartition("}")[2]: value for key, value in said.attrib.items()}
    text = (said.text or "").strip() or None
    return element(name, *map(_rewritten, said), text=text, xmlns=namespace.lstrip("{") or None, **attributes)


def default_key_id(track: PublishedTrack) -> str | None:
    """Return the id of the key that the init section of a track names, that of its first segment; None if it is clear."""
    return track.segments[0].key_id
