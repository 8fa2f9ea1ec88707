"""Write boxes of ISO base media files (ISO/IEC 14496-12), and put one in the place of another.

In:   types and bodies; a box and the path of one below it.  Out: bytes.
Wrong: BoxError if there is no such path.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from vidpipe.mp4.boxes import BoxError, children
from vidpipe.mp4.codecs import AUDIO_FIELDS, VISUAL_FIELDS

FIELDS = {"stsd": 8, "mp4a": AUDIO_FIELDS} | dict.fromkeys(("avc1", "hvc1", "av01"), VISUAL_FIELDS)
"""Bytes before the boxes that a box holds, where there are any."""


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of that type."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """Return a box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def edited(data: bytes, path: Sequence[str], make: Callable[[bytes], bytes], before: str | None = None) -> bytes:
    """Return a box in which the one at ``path`` below it is replaced by ``make(old)``; if there is none, ``make(b"")`` is put in.

    before: the box in front of which it is put in; None for the end.
    """
    root = next(children(data))
    begin = root.body + FIELDS.get(root.type, 0)
    boxes = list(children(data, begin, root.end))
    parts, names = [data[child.offset : child.end] for child in boxes], [child.type for child in boxes]
    kind, *deeper = path
    if deeper and kind not in names:
        raise BoxError(f"there is no box {kind}")
    at = names.index(kind) if kind in names else names.index(before) if before else len(names)
    old = parts.pop(at) if kind in names else b""
    parts.insert(at, edited(old, deeper, make, before) if deeper else make(old))
    return box(root.type.encode(), data[root.body : begin], *parts)
