"""Write all manifests of a version, in every format that it has: a pure function of its inventory.

In:   an Inventory, and the template of the URIs by which players of HLS ask for keys.
Out:  path -> text, those of HLS first, the master playlist and the DASH manifest last.
Wrong: ValueError for an inventory that cannot be listed; that is a bug of whoever built it.

What writes DASH is loaded for a title that has it: a fiftieth of the start of an ingest.
"""

from __future__ import annotations

from vidpipe import layout
from vidpipe.inventory.model import Inventory
from vidpipe.manifest.hls import playlists
from vidpipe.manifest.master import write_master
from vidpipe.manifest.relocated import relocated


def manifests(inventory: Inventory, key_url: str | None = None) -> dict[str, str]:
    """Return the manifests of a version. key_url: see ``key_uri``."""
    texts = playlists(inventory, key_url)
    if "dash" in inventory.formats:
        from vidpipe.manifest.dash.mpd import write_mpd

        texts[layout.MPD] = write_mpd(inventory)
    return texts


def entry_manifest(inventory: Inventory, name: str) -> str:
    """Return the manifest by which a player enters a version, as far as it is the same whatever its keys: layout.MASTER or layout.MPD."""
    if name == layout.MASTER:
        return write_master(inventory.video, inventory.audio, inventory.subtitles)
    from vidpipe.manifest.dash.mpd import write_mpd

    return write_mpd(inventory)


def from_folder_above(name: str, text: str, folder: str) -> str:
    """Return such a manifest as it has to read one folder above. folder: its name there, such as the version."""
    if name == layout.MASTER:
        return relocated(text, folder)
    from vidpipe.manifest.dash.mpd import from_above

    return from_above(text, folder)
