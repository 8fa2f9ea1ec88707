"""Teletext subtitles in a transport stream, written packet by packet (ETSI EN 300 706, EN 300 472): no program here makes them."""

from __future__ import annotations

from pathlib import Path

HAMMING = (0x15, 0x02, 0x49, 0x5E, 0x64, 0x73, 0x38, 0x2F, 0xD0, 0xC7, 0x8C, 0x9B, 0xA1, 0xB6, 0xFD, 0xEA)  # 8/4, of each nibble
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
PACKET, PMT, PID = 188, 0x1000, 0x1F0
AHEAD = 9000  # ticks between the clock and the page: demuxers do not believe a page that comes earlier than 140 ms before its time


def teletext(source: Path, target: Path, cues: list[tuple[float, float, list[str]]], start: int) -> Path:
    """Add page 888 to a transport stream of ffmpeg's making. cues: (start, end, lines), seconds from ``start`` (of the stream)."""
    pages = sorted([(begin, lines) for begin, _, lines in cues] + [(end, []) for _, end, _ in cues], key=lambda page: page[0])
    waiting = [(round((start + time) * 90_000), lines) for time, lines in pages]
    data, out, count = source.read_bytes(), bytearray(), 0
    for at in range(0, len(data), PACKET):
        packet = data[at : at + PACKET]
        clock = _clock(packet)
        while waiting and clock is not None and waiting[0][0] < clock + AHEAD:
            made = _packets(_pes(*waiting.pop(0)), count)
            out += made
            count += len(made) // PACKET
        out += _announced(packet) if ((packet[1] & 31) << 8 | packet[2]) == PMT else packet
    assert not waiting, "every page was sent"
    target.write_bytes(out)
    return target


def _clock(packet: bytes) -> int | None:
    """Return the program clock of a packet that has one, in ticks of 90 kHz."""
    if packet[3] & 0x20 and packet[4] and packet[5] & 0x10:
        return int.from_bytes(packet[6:10], "big") << 1 | packet[10] >> 7
    return None


def _announced(packet: bytes) -> bytes:
    """Add the stream to the program map, with a teletext descriptor: German, subtitles, page 888."""
    length = (packet[6] & 15) << 8 | packet[7]
    descriptor = b"\x56\x05deu" + bytes([2 << 3, 0x88])
    section = bytearray(packet[5 : 5 + 3 + length - 4])
    section += bytes([6, 0xE0 | PID >> 8, PID & 255, 0xF0, len(descriptor)]) + descriptor
    section[2] = len(section) + 4 - 3
    return packet[:5] + (bytes(section) + checked(section)).ljust(PACKET - 5, b"\xff")


def checked(section: bytes | bytearray) -> bytes:
    """Return the CRC-32/MPEG-2 of a section."""
    check = 0xFFFFFFFF
    for byte in section:
        check ^= byte << 24
        for _ in range(8):
            check = (check << 1 ^ (0x04C11DB7 if check & 0x80000000 else 0)) & 0xFFFFFFFF
    return check.to_bytes(4, "big")


def _packets(pes: bytes, count: int) -> bytes:
    parts = [pes[at : at + PACKET - 4] for at in range(0, len(pes), PACKET - 4)]
    return b"".join(
        bytes([0x47, (0 if number else 0x40) | PID >> 8, PID & 255, 0x10 | (count + number) & 15]) + part
        for number, part in enumerate(parts)
    )


def _pes(time: int, lines: list[str]) -> bytes:
    """Return a page as one PES packet that fills whole transport packets; no lines clear the screen."""
    rows = [_header(0x88), *(_row(20 + number, line) for number, line in enumerate(lines)), _header(0xFF)]  # another page ends this one
    units = b"\x10" + b"".join(
        bytes([0x03, 0x2C, 0xE7 + number, 0xE4]) + bytes(MIRRORED[byte] for byte in row) for number, row in enumerate(rows)
    )
    while (len(units) + 45) % (PACKET - 4):
        units += b"\xff\x2c" + b"\xff" * 44
    stamp = bytes([0x21 | time >> 29 & 14, time >> 22 & 255, time >> 14 & 254 | 1, time >> 7 & 255, time << 1 & 254 | 1])
    body = b"\x84\x80\x24" + stamp + b"\xff" * 31 + units
    return b"\0\0\1\xbd" + len(body).to_bytes(2, "big") + body


def _header(page: int) -> bytes:
    control = [0, 8, 0, 8, 1, 1]  # erase the page; subtitle; no header line, pages in one series
    nibbles = [0, 0, page & 15, page >> 4, *control]  # magazine 8 is sent as 0
    return bytes(HAMMING[nibble] for nibble in nibbles) + _odd(" " * 32)


def _row(number: int, text: str) -> bytes:
    boxed = f"\x0b\x0b{text}\x0a\x0a"
    return bytes([HAMMING[(number & 1) << 3], HAMMING[number >> 1]]) + _odd(boxed.ljust(40))


def _odd(text: str) -> bytes:
    """Add odd parity."""
    return bytes(code | (0 if code.bit_count() % 2 else 0x80) for code in text.encode("ascii"))
