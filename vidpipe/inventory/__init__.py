"""What a version consists of, durable: the one description that playlists, verification, record, preview and inspection are made from."""

from vidpipe.inventory.model import Inventory, Objects, read_inventory

__all__ = ["Inventory", "Objects", "read_inventory"]
