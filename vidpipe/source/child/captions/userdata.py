"""Find the closed captions that lie in the packets of a video stream: in the user data beside the pictures. Decodes nothing.

In:   the codec of a stream, its extradata, and packets of it as libav gives them.
Out:  triples of cc_data (CTA-708, 4.3.5): one byte of flags and two of data, with the frames after the packet's picture at which they are
      meant (0 but for discs).
Wrong: nothing; what is damaged gives no triples.

Where captions lie: H.264, HEVC and VVC carry them in SEI messages, AV1 in metadata OBUs, both as ITU-T T.35 user data of ATSC ("GA94");
MPEG-2 has the same after a picture header, and two older kinds, SCTE 20 and that of DVDs. Not read: the VAUX of DV,
line 21 as a picture, and the MPEG-2 user data of single satellite operators.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Triple = tuple[bytes, int]
"""Flags and two bytes; frames after the picture."""

T35 = b"\xb5\x00\x31GA94\x03"
"""United States, ATSC, user identifier, and the type code of cc_data (ATSC A/53 part 4, 6.2.3; ANSI/SCTE 128-1)."""
MOST_BYTES = 2 + 3 * 31 + 48  # of one cc_data, with the bytes that keep it from looking like a start code

SEI_TYPES = {"h264": (0x1F, 0, {6}), "hevc": (0x7E, 1, {39, 40}), "vvc": (0xF8, 3, {23, 24})}
"""Codec -> mask and shift of a NAL unit's type, and the types that hold SEI messages. The type of VVC stands in the second byte."""

_USER_DATA = b"\0\0\1\xb2"
_EXTENSION = b"\0\0\1\xb5"
MOST_BLOCKS = 3 * 2 * 64  # bytes of the captions of one GOP of a disc: it has 18 frames at most
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def reader(codec: str, extradata: bytes) -> Callable[[bytes], Iterator[Triple]] | None:
    """Return what finds the triples in a packet; None for codecs that carry none."""
    if codec in SEI_TYPES:
        size = _length_size(codec, extradata)
        return (lambda packet: _prefixed(packet, codec, size)) if size else lambda packet: _searched(packet, escaped=True)
    if codec == "av1":
        return lambda packet: _searched(packet, escaped=False)
    return _Mpeg2() if codec == "mpeg2video" else None


def _length_size(codec: str, extradata: bytes) -> int:
    """Return the bytes of the length before each NAL unit; 0 if start codes part them (ISO/IEC 14496-15)."""
    offset = {"h264": 4, "hevc": 21}.get(codec)
    return (extradata[offset] & 3) + 1 if offset and len(extradata) > offset and extradata[0] == 1 else 0


def _prefixed(packet: bytes, codec: str, size: int) -> Iterator[Triple]:
    """Walk along the NAL units, so that of a large picture only a few bytes are touched."""
    mask, shift, wanted = SEI_TYPES[codec]
    at, end = 0, len(packet)
    while at + size < end:
        length = int.from_bytes(packet[at : at + size], "big")
        at += size
        if (packet[at] & mask) >> shift in wanted:
            yield from _searched(packet[at : at + length], escaped=True)
        at += length


def _searched(data: bytes, *, escaped: bool) -> Iterator[Triple]:
    """Find the marker anywhere: the second field of a picture may have its own, far behind."""
    at = data.find(T35)
    while at >= 0:
        at += len(T35)
        part = data[at : at + MOST_BYTES]
        yield from _cc_data(part.replace(b"\0\0\3", b"\0\0") if escaped else part)
        at = data.find(T35, at)


def _cc_data(part: bytes) -> Iterator[Triple]:
    if len(part) > 2 and part[0] & 0x40:  # process_cc_data_flag
        count = part[0] & 0x1F
        for at in range(2, min(2 + 3 * count, len(part) - 2), 3):
            yield part[at : at + 3], 0


class _Mpeg2:
    """Finds the user data of MPEG-2 pictures."""

    def __init__(self) -> None:
        self._progressive = False

    def __call__(self, packet: bytes) -> Iterator[Triple]:
        """Yield the triples of a packet."""
        top_first = self._top_first(packet)
        at = packet.find(_USER_DATA)
        while at >= 0:
            at += 4
            part = packet[at : at + MOST_BYTES]
            if part.startswith(b"GA94\3"):
                yield from _cc_data(part[5:])
            elif part.startswith(b"CC\1\xf8"):
                yield from _disc(packet[at + 5 : at + 5 + MOST_BLOCKS])
            elif part[:1] == b"\3" and part[1:2] in (b"\1", b"\x81"):
                yield from _scte20(part[2:], top_first)
            at = packet.find(_USER_DATA, at)

    def _top_first(self, packet: bytes) -> bool:
        """Return whether the top field, which is field 1 of line 21, is shown first (ISO/IEC 13818-2, 6.2.2.3 and 6.2.3.1)."""
        at, first = packet.find(_EXTENSION), True
        while at >= 0 and at + 7 < len(packet):
            kind = packet[at + 4] >> 4
            if kind == 1:  # of the sequence
                self._progressive = bool(packet[at + 5] & 8)
            elif kind == 8:  # of the picture
                first = bool(packet[at + 7] & 0x80)
                break
            at = packet.find(_EXTENSION, at + 4)
        return first or self._progressive


def _disc(blocks: bytes) -> Iterator[Triple]:
    """DVD-Video: the captions of a whole GOP, for each of its frames one block a field. The count before them is often wrong."""
    fields = [0, 0]
    for at in range(0, len(blocks) - 2, 3):
        if blocks[at] & 0xFE != 0xFE:
            return
        second = blocks[at] == 0xFE
        yield bytes([0xFC | second]) + blocks[at + 1 : at + 3], fields[second]
        fields[second] += 1


def _scte20(part: bytes, top_first: bool) -> Iterator[Triple]:
    """ANSI/SCTE 20: five bits of count, then 26 bits each: priority 2, field 2, line 5, two mirrored bytes, marker 1."""
    bits, left = int.from_bytes(part, "big"), 8 * len(part) - 5
    for _ in range(part[0] >> 3 if part else 0):
        left -= 26
        if left < 0:
            return
        block = bits >> left
        field = block >> 22 & 3  # 1: the field that is shown first, 2: the other
        if field in (1, 2):
            yield bytes([0xFC | ((field == 1) != top_first), _MIRRORED[block >> 9 & 255], _MIRRORED[block >> 1 & 255]]), 0
