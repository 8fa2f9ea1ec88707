"""Write all manifests of a version, in every format that it has: a pure function of its inventory.

In:   an Inventory, and the template of the URIs by which players of HLS ask for keys.
Out:  path -> text, those of HLS first, the master playlist and the DASH manifest last.
Wrong: ValueError for an inventory that cannot be listed; that is a bug of whoever built it.
"""

from __future__ import annotations

from vidpipe import layout
from vidpipe.inventory.model import Inventory
from vidpipe.manifest.dash.mpd import write_mpd
from vidpipe.manifest.hls import playlists


def manifests(inventory: Inventory, key_url: str | None = None) -> dict[str, str]:
    """Return the manifests of a version. key_url: see ``key_uri``."""
    texts = playlists(inventory, key_url)
    if "dash" in inventory.formats:
        texts[layout.MPD] = write_mpd(inventory)
    return texts
