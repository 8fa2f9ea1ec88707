"""Change an MPEG transport stream byte by byte: its clocks, its packets, its program table (ISO/IEC 13818-1)."""

from __future__ import annotations

from collections.abc import Callable

PACKET = 188
WRAP = 1 << 33
HERTZ = 90_000


def packets(data: bytes) -> list[bytearray]:
    """Cut a stream into packets."""
    return [bytearray(data[at : at + PACKET]) for at in range(0, len(data) - PACKET + 1, PACKET)]


def pid(packet: bytes) -> int:
    """Return the packet's PID."""
    return (packet[1] & 0x1F) << 8 | packet[2]


def shift(data: bytes, ticks: int, begin: float = 0.0) -> bytes:
    """Add ticks of 90 kHz to every clock (PCR, PTS, DTS) from the share ``begin`` of the stream on."""
    parts = packets(data)
    first = round(len(parts) * begin)
    for packet in parts[first:]:
        _shift(packet, ticks)
    return b"".join(parts)


def without(data: bytes, unwanted: int) -> bytes:
    """Take out every packet of a PID."""
    return b"".join(packet for packet in packets(data) if pid(packet) != unwanted)


def _shift(packet: bytearray, ticks: int) -> None:
    payload = 4
    if packet[3] & 0x20:
        length = packet[4]
        payload = 5 + length
        if length and packet[5] & 0x10:
            base = int.from_bytes(packet[6:10]) << 1 | packet[10] >> 7
            base = (base + ticks) % WRAP
            packet[6:10] = (base >> 1).to_bytes(4)
            packet[10] = packet[10] & 0x7F | (base & 1) << 7
    if not packet[3] & 0x10 or not packet[1] & 0x40 or packet[payload : payload + 3] != b"\0\0\1":
        return
    if packet[payload + 3] in (0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xFF, 0xF2, 0xF8):
        return  # no PES header with times
    flags = packet[payload + 7] >> 6
    if flags & 2:
        _time(packet, payload + 9, ticks)
    if flags == 3:
        _time(packet, payload + 14, ticks)


def _time(packet: bytearray, at: int, ticks: int) -> None:
    b = packet[at : at + 5]
    time = ((b[0] >> 1 & 7) << 30 | b[1] << 22 | b[2] >> 1 << 15 | b[3] << 7 | b[4] >> 1) + ticks
    time %= WRAP
    packet[at : at + 5] = bytes(
        [b[0] & 0xF0 | time >> 30 << 1 | 1, time >> 22 & 255, time >> 15 << 1 & 254 | 1, time >> 7 & 255, time << 1 & 254 | 1]
    )


def scramble(packet: bytearray) -> None:
    """Make private data of a packet's payload, which no decoder knows."""
    at = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if packet[1] & 0x40:
        packet[at + 3] = 0xBD
        at += 9 + packet[at + 8]
    packet[at:] = bytes(byte ^ 0x5A for byte in packet[at:])


def restamp_program(data: bytes, table: int, change: Callable[[bytearray], None]) -> bytes:
    """Change the section of a program map (``table``: its PID) and mend its checksum."""
    parts = packets(data)
    for packet in parts:
        if pid(packet) == table and packet[1] & 0x40:
            start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
            start += 1 + packet[start]
            length = (packet[start + 1] & 0x0F) << 8 | packet[start + 2]
            section = packet[start : start + 3 + length - 4]
            change(section)
            packet[start : start + 3 + length] = bytes(section) + checksum(bytes(section)).to_bytes(4)
    return b"".join(parts)


def checksum(data: bytes) -> int:
    """CRC-32 of MPEG-2."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc
