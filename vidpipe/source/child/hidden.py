"""Find packets whose picture is decoded and never shown: references that VP8, VP9 and AV1 keep for later. Pure.

In:   the name of a codec, and the bytes of a packet.
Out:  whether it shows nothing; False for other codecs, and for what is not understood.
Wrong: nothing.

Encoders hide them inside the packet of the next picture (a superframe, a temporal unit), but some muxers give each a packet and a time
of its own. Counted as pictures, they would raise the frame rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator


def can_hide(codec: str) -> bool:
    """Whether packets of a codec may show no picture."""
    return codec in _READERS


def is_hidden(codec: str, packet: bytes) -> bool:
    """Whether a packet of a codec (in FFmpeg's name for it) shows no picture."""
    reader = _READERS.get(codec)
    return reader is not None and len(packet) > 0 and reader(packet)


def _vp8(packet: bytes) -> bool:
    """RFC 6386, 9.1: bit 4 of the frame tag is show_frame."""
    return not packet[0] & 0x10


def _vp9(packet: bytes) -> bool:
    """VP9 Bitstream & Decoding Process Specification, annex B and 6.2: every frame of the superframe is hidden."""
    return all(_vp9_frame(packet[start]) for start in _vp9_frames(packet))


def _vp9_frames(packet: bytes) -> Iterator[int]:
    """Yield where the frames of a packet begin."""
    last = packet[-1]
    length, count = (last >> 3 & 3) + 1, (last & 7) + 1
    index = len(packet) - 2 - length * count
    if last & 0xE0 != 0xC0 or index < 0 or packet[index] != last:
        yield 0
        return
    start = 0
    for number in range(count):
        size = int.from_bytes(packet[index + 1 + number * length :][:length], "little")
        if size and start < index:
            yield start
        start += size


def _vp9_frame(first: int) -> bool:
    """frame_marker (2 bits), profile (2, and a reserved one in profile 3), show_existing_frame, frame_type, show_frame."""
    if first >> 6 != 2:
        return False
    bit = 2 if first & 0x30 == 0x30 else 3
    return not first >> bit & 1 and not first >> (bit - 2) & 1


def _av1(packet: bytes) -> bool:
    """AV1 Bitstream & Decoding Process Specification, 5.3 and 5.9.2: there are frame headers, and none of them shows a frame."""
    found = False
    offset = 0
    while offset < len(packet):
        head = packet[offset]
        kind, offset = head >> 3 & 15, offset + (2 if head & 4 else 1)
        size = len(packet) - offset
        if head & 2:
            size, offset = _leb128(packet, offset)
        if kind in (3, 6) and offset < len(packet):  # OBU_FRAME_HEADER, OBU_FRAME
            shown = packet[offset]  # show_existing_frame, frame_type (2 bits), show_frame
            if shown & 0x80 or shown & 0x10:
                return False
            found = True
        elif kind == 1 and offset < len(packet) and packet[offset] & 0x08:
            return False  # reduced_still_picture_header: no such flags
        offset += size
    return found


def _leb128(packet: bytes, offset: int) -> tuple[int, int]:
    """Return a number of variable length and where what follows begins."""
    value = 0
    for number in range(8):
        if offset >= len(packet):
            break
        byte, offset = packet[offset], offset + 1
        value |= (byte & 0x7F) << (7 * number)
        if not byte & 0x80:
            break
    return value, offset


_READERS: dict[str, Callable[[bytes], bool]] = {"vp8": _vp8, "vp9": _vp9, "av1": _av1}
