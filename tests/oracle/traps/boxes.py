"""Change MP4 files box by box (ISO/IEC 14496-12)."""

from __future__ import annotations

from collections.abc import Iterator


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin and end of each box."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4])
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        size = size or end - at
        yield data[at + 4 : at + 8], at, at + size
        at += size


def find(data: bytes, *path: bytes, start: int = 0, end: int | None = None) -> tuple[int, int]:
    """Return begin and end of the first box at a path."""
    for kind, a, b in boxes(data, start, end):
        if kind == path[0]:
            if len(path) == 1:
                return a, b
            try:
                return find(data, *path[1:], start=a + 8, end=b)
            except KeyError:
                continue
    raise KeyError(path)


def drop_fragments(data: bytes, count: int) -> bytes:
    """Take the first fragments out, as a player does that joins in the middle; indexes go too."""
    kept, seen = [], 0
    for kind, a, b in boxes(data):
        seen += kind == b"moof"
        if kind in (b"moof", b"mdat") and seen <= count:
            continue
        if kind not in (b"mfra", b"sidx"):
            kept.append(data[a:b])
    return b"".join(kept)


def insert(data: bytes, path: tuple[bytes, ...], extra: bytes, *, header: int) -> bytes:
    """Append ``extra`` to the sample entry below ``path`` (moov has to come last). header: bytes of the entry before its boxes."""
    chain = [find(data, *path[: n + 1]) for n in range(len(path))]
    entry = chain[-1][0] + 16  # stsd: size, type, version, count; then the entry
    end = entry + int.from_bytes(data[entry : entry + 4])
    changed = bytearray(data)
    for begin in [a for a, _ in chain] + [entry]:
        changed[begin : begin + 4] = (int.from_bytes(changed[begin : begin + 4]) + len(extra)).to_bytes(4)
    if end - entry < header:
        raise ValueError("no sample entry")
    return bytes(changed[:end]) + extra + bytes(changed[end:])
