"""Byte surgery on small media: what no muxer of today writes, and recorders of all times have written."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

VIDEO_PID, AUDIO_PID = 256, 257
"""PIDs that ffmpeg gives the first two streams of a transport stream."""


def moved_ts(
    data: bytes, seconds: float, *, pids: Collection[int] = (VIDEO_PID, AUDIO_PID), begin: int = 0, end: int | None = None
) -> bytes:
    """Add seconds to the times (PTS, DTS) of the PES packets that begin between two bytes of a transport stream. Times wrap as they do."""
    out, ticks = bytearray(data), round(seconds * 90_000)
    for at in range(0, len(out) - 187, 188):
        pid, payload = (out[at + 1] & 0x1F) << 8 | out[at + 2], at + 4
        if out[at + 3] & 0x20:
            payload += 1 + out[payload]
        if not begin <= at < (end or len(out)) or pid not in pids or not out[at + 1] & 0x40 or out[payload : payload + 3] != b"\0\0\1":
            continue
        for place in [payload + 9, payload + 14][: {2: 1, 3: 2}.get(out[payload + 7] >> 6, 0)]:
            one, two, three, four, five = out[place : place + 5]
            time = ((one >> 1 & 7) << 30 | two << 22 | three >> 1 << 15 | four << 7 | five >> 1) + ticks
            time %= 1 << 33
            out[place : place + 5] = bytes(
                [one & 0xF0 | time >> 29 & 0x0E | 1, time >> 22 & 0xFF, time >> 14 & 0xFE | 1, time >> 7 & 0xFF, time << 1 & 0xFE | 1]
            )
    return bytes(out)


def middle(data: bytes) -> int:
    """Return the packet in the middle of a transport stream."""
    return len(data) // 2 // 188 * 188


def uncovered_ivf(data: bytes, earlier: int) -> bytes:
    """Give each frame of VP9's superframes a packet of its own; the hidden ones some milliseconds ``earlier``. The ticks become such."""
    head = bytearray(data[:32])
    rate, scale = struct.unpack_from("<II", head, 16)
    struct.pack_into("<II", head, 16, 1000, 1)
    out = bytes(head)
    for time, packet in _ivf_packets(data):
        parts = _superframe(packet)
        for number, part in enumerate(parts, 1):
            own = time * 1000 * scale // rate - (earlier if number < len(parts) else 0)
            out += struct.pack("<IQ", len(part), own) + part
    return out


def _ivf_packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 32
    while at < len(data):
        size, time = struct.unpack_from("<IQ", data, at)
        yield time, data[at + 12 : at + 12 + size]
        at += 12 + size


def _superframe(packet: bytes) -> list[bytes]:
    """VP9 Bitstream & Decoding Process Specification, annex B."""
    last = packet[-1]
    length, count = (last >> 3 & 3) + 1, (last & 7) + 1
    index = len(packet) - 2 - length * count
    if last & 0xE0 != 0xC0 or packet[index] != last:
        return [packet]
    parts, at = [], 0
    for number in range(count):
        size = int.from_bytes(packet[index + 1 + number * length :][:length], "little")
        parts.append(packet[at : at + size])
        at += size
    return parts


def resized(data: bytes, kind: bytes, more: int) -> bytes:
    """Let the last box of a kind claim some bytes more than it has."""
    place = data.rindex(kind) - 4
    return data[:place] + (int.from_bytes(data[place : place + 4], "big") + more).to_bytes(4, "big") + data[place + 4 :]
