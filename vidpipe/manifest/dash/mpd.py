"""Write the DASH manifest of a version: a pure function of its inventory, over the init sections and segments that HLS has, too.

In:   an Inventory.
Out:  the whole text; the same as it reads from the folder above.
Wrong: ValueError for an inventory that cannot be listed; that is a bug of whoever built it.
"""

from __future__ import annotations

import math
from fractions import Fraction

from vidpipe.inventory.model import Inventory
from vidpipe.manifest.dash.adaptation_sets import adaptation_sets
from vidpipe.manifest.dash.buffering import min_buffer_time
from vidpipe.manifest.dash.content_protection import CENC
from vidpipe.manifest.dash.markup import document, element
from vidpipe.manifest.grammar import uri
from vidpipe.protect.schemes import scheme_of

NAMESPACE = "urn:mpeg:dash:schema:mpd:2011"
PROFILES = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019"
"""Segments by template (ISO/IEC 23009-1 8.4), and CMAF tracks in them (8.12)."""
_PERIOD = "\n  <Period "


def write_mpd(inventory: Inventory) -> str:
    """Return the text of the manifest."""
    if not all(scheme_of(track.scheme).in_dash for track in inventory.tracks):
        raise ValueError("DASH cannot carry segments that are encrypted whole")
    duration = duration_text(inventory.duration)
    longest = max(segment.duration for track in inventory.media for segment in track.segments)
    root = element(
        "MPD",
        element("Period", *adaptation_sets(inventory), id="0", start="PT0S", duration=duration),
        **{
            "xmlns": NAMESPACE,
            "xmlns:cenc": CENC if any(scheme_of(track.scheme).mp4_scheme for track in inventory.media) else None,
            "profiles": PROFILES,
            "type": "static",
            "mediaPresentationDuration": duration,
            "minBufferTime": duration_text(min_buffer_time(inventory.media)),
            "maxSegmentDuration": duration_text(longest),
        },
    )
    return document(root)


def from_above(text: str, folder: str) -> str:
    """Return a manifest of ours for one folder above. folder: its name there, such as the version."""
    return text.replace(_PERIOD, f"\n  <BaseURL>{uri(folder)}/</BaseURL>{_PERIOD}", 1)


def duration_text(seconds: Fraction) -> str:
    """Return seconds as xs:duration, with up to six decimals, as exact as that can be: rounded up, or a last frame would be cut off."""
    whole, rest = divmod(math.ceil(seconds * 1_000_000), 1_000_000)
    decimals = f"{rest:06d}".rstrip("0")
    return f"PT{whole}{'.' if decimals else ''}{decimals}S"
