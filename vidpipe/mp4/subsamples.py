"""Find which bytes of a sample Common Encryption protects: ISO/IEC 23001-7 9.5 and 10.4, ISO/IEC 23000-19 8.2, AV1-ISOBMFF 4.

In:   the sample entry of a track, and the samples of a segment in order.
Out:  for each sample its parts: bytes in clear, and protected bytes behind them, in turn; None for a track whose samples are protected
       whole.
Wrong: BoxError for a codec, or a stream, whose protected bytes are not known here; IndexError where a header is cut off.

    H.264, HEVC   each NAL unit of a coded picture, from behind its slice header on; lengths, headers and all other NAL units stay clear
    AV1           the data of each tile; OBU and frame headers and all other OBUs stay clear
    audio         whole samples

Slice headers stay clear under "cenc", too, where the standard leaves it open: secure decoders read them before they decrypt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from vidpipe.mp4.av1 import Av1Tiles
from vidpipe.mp4.boxes import BoxError, children
from vidpipe.mp4.codecs import VISUAL_FIELDS
from vidpipe.mp4.slices import NalUnits, avc_units, hevc_units

Part = tuple[int, int]
"""Bytes in clear, and protected bytes behind them."""
Finder = Callable[[bytes], list[Part]]
"""A sample -> its parts. Samples are given in order."""

CODECS = frozenset({"h264", "hevc", "av1", "aac"})
"""Whose samples are read here, as ladders name them."""
BLOCK = 16
AUDIO = frozenset({"mp4a", "ac-3", "ec-3"})
_MOST_CLEAR = 0xFFFF  # BytesOfClearData has two bytes
_MOST_PARTS = 40  # saiz gives each sample's entry one byte: an IV of 8, a count of 2, and 6 for each part


def finder_of(entry: bytes) -> Finder | None:
    """Return what finds the protected bytes in the samples of one segment; None if they are protected whole. entry: of stsd, clear."""
    box = next(children(entry))
    if box.type in AUDIO:
        return None
    boxes = {child.type: entry[child.body : child.end] for child in children(entry, box.body + VISUAL_FIELDS, box.end)}
    if box.type == "avc1" and (config := boxes.get("avcC")):
        return _nal_finder(avc_units(config), (config[4] & 3) + 1)
    if box.type == "hvc1" and (config := boxes.get("hvcC")):
        return _nal_finder(hevc_units(config), (config[21] & 3) + 1)
    if box.type == "av01" and (config := boxes.get("av1C")):
        tiles = Av1Tiles(config)
        return lambda sample: _parts(tiles.ranges(sample), len(sample))
    raise BoxError(f"samples of {box.type!r} cannot be encrypted")


def in_blocks(parts: Iterable[Part]) -> list[Part]:
    """Return the same parts with protected bytes in whole blocks, which end where they ended: "cenc" demands it."""
    found: list[Part] = []
    clear = 0
    for before, protected in parts:
        rest = protected % BLOCK
        clear += before + rest
        if protected > rest:
            found.append((clear, protected - rest))
            clear = 0
    return [*found, (clear, 0)] if clear else found


def listed(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return parts as senc can write them: a long clear part is several. Raises BoxError if there are too many."""
    found: list[Part] = []
    for clear, protected in parts:
        while clear > _MOST_CLEAR:
            found.append((_MOST_CLEAR, 0))
            clear -= _MOST_CLEAR
        found.append((clear, protected))
    if len(found) > _MOST_PARTS:
        raise BoxError(f"a frame has {len(found)} parts to encrypt; a segment can list {_MOST_PARTS}")
    return tuple(found)


def _nal_finder(units: NalUnits, length_size: int) -> Finder:
    def parts(sample: bytes) -> list[Part]:
        ranges, at, end = [], 0, len(sample)
        while at < end:
            begin = at + length_size
            at = begin + int.from_bytes(sample[at:begin], "big")
            if not begin < at <= end:
                raise BoxError("a NAL unit is empty, or reaches past the end of its sample")
            kind = units.kind(sample[begin])
            if kind in units.slices:
                ranges.append((begin + units.header(sample[begin:at], kind), at))
            elif kind in units.refused:
                raise BoxError(f"it has NAL units of type {kind}, which are not read")
        return _parts(ranges, end)

    return parts


def _parts(ranges: Iterable[tuple[int, int]], size: int) -> list[Part]:
    """Return the parts of a sample. ranges: begin and end of protected bytes."""
    found: list[Part] = []
    last = 0
    for begin, end in ranges:
        found.append((begin - last, end - begin))
        last = end
    return [*found, (size - last, 0)] if last < size or not found else found
