"""Playlists: written with m3u8 (the only importer of it), measured, and read back by an own strict reader."""
