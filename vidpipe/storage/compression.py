"""Compress playlists for targets that send what they store, and read them again.

In:   bytes.
Out:  ``compressed``: gzip, the same for the same bytes; ``decompressed``: the text, from either form.
Wrong: ValueError for gzip that is broken, cut off, or unpacks to more than a playlist can have.
"""

from __future__ import annotations

import gzip
import zlib

LARGEST = 64 << 20
"""Bytes of an unpacked playlist; a gzip of a few kilobytes can claim to hold gigabytes."""

_GZIP = b"\x1f\x8b"  # RFC 1952; neither playlists nor WebVTT can begin so


def compressed(data: bytes) -> bytes:
    """Return ``data`` as gzip, without a time of its own, so that a run that is repeated stores the same bytes."""
    return gzip.compress(data, mtime=0)


def decompressed(data: bytes) -> bytes:
    """Return the bytes of a playlist that may be stored as gzip."""
    if not data.startswith(_GZIP):
        return data
    unpacker = zlib.decompressobj(wbits=31)  # 31: with the header and the checksum of gzip
    try:
        text = unpacker.decompress(data, LARGEST + 1)
    except zlib.error as error:
        raise ValueError(f"its gzip is broken: {error}") from error
    if len(text) > LARGEST:
        raise ValueError("it is too large for a playlist")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("its gzip is cut off or followed by other data")
    return text
