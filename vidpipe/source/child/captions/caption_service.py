"""Read the languages of closed captions that a transport stream declares: the caption service descriptor of its program map.

In:   an open file, and the PID of the video.
Out:  channel or service -> language (BCP 47).
Wrong: nothing; what is damaged or absent declares nothing.

ATSC A/65, 6.9.2: descriptor 0x86 of the program or of the video. libav passes it over. An entry is about a field of line 21 (whose first
channel is meant: CC1, CC3), or about a service of CEA-708; services 1 and 2 have the words, and so the language, of CC1 and CC3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from vidpipe.language_tags import language_tag
from vidpipe.source.captions import SAME_WORDS

LOOKED_AT = 4 << 20
"""Bytes from the start on: a program map comes at least every 0.4 s (A/53 part 3), so in 80 Mb/s too."""
PACKET, SYNC = 188, 0x47
CAPTION_SERVICE = 0x86


def declared_languages(file: BinaryIO, video: int) -> dict[str, str]:
    """Return the languages that the first program map with this video declares."""
    file.seek(0)
    maps: set[int] = set()
    for pid, section in _sections(file.read(LOOKED_AT), maps):
        if pid == 0 and section[:1] == b"\0":
            programs = [section[at : at + 4] for at in range(8, len(section) - 7, 4)]
            maps.update((program[2] & 0x1F) << 8 | program[3] for program in programs if program[:2] != b"\0\0")
        elif section[:1] == b"\2" and (descriptors := _descriptors(section, video)) is not None:
            return _languages(descriptors)
    return {}


def _sections(data: bytes, maps: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (PID, section) of the program association table and of the PIDs in ``maps``, which grows meanwhile."""
    parts: dict[int, bytearray] = {}
    for at in _packets(data):
        packet = data[at : at + PACKET]
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        if packet[0] != SYNC or (pid and pid not in maps) or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] if packet[3] & 0x20 else 4 :]
        if packet[1] & 0x40 and payload:
            parts[pid] = bytearray(payload[1 + payload[0] :])
        elif pid in parts:
            parts[pid] += payload
        part = parts.get(pid, b"")
        if len(part) > 3 and len(part) >= (size := 3 + ((part[1] & 0x0F) << 8 | part[2])):
            yield pid, bytes(parts.pop(pid)[:size])


def _packets(data: bytes) -> range:
    """Return where the packets begin: four sync bytes in a row show their size (M2TS has 4 bytes before each, others 16 behind)."""
    for size in (PACKET, 192, 204):
        for at in range(size):
            if data[at : at + 3 * size + 1 : size] == bytes([SYNC] * 4):
                return range(at, len(data) - PACKET + 1, size)
    return range(0)


def _descriptors(section: bytes, video: int) -> bytes | None:
    """Return the descriptors of a program and of its video; None if the video is another program's (ISO/IEC 13818-1, 2.4.4.8)."""
    body = section[:-4]
    if len(body) < 12:
        return None
    at = 12 + ((body[10] & 0x0F) << 8 | body[11])
    descriptors = body[12:at]
    while at + 5 <= len(body):
        pid, size = (body[at + 1] & 0x1F) << 8 | body[at + 2], (body[at + 3] & 0x0F) << 8 | body[at + 4]
        at += 5 + size
        if pid == video:
            return descriptors + body[at - size : at]
    return None


def _languages(descriptors: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at + 2 <= len(descriptors):
        tag, size = descriptors[at], descriptors[at + 1]
        body = descriptors[at + 2 : at + 2 + size]
        at += 2 + size
        for entry in range(1, len(body) - 5, 6) if tag == CAPTION_SERVICE else ():
            language, kind = language_tag(body[entry : entry + 3].decode("latin-1")), body[entry + 3]
            if language:
                found[f"SERVICE{kind & 0x3F}" if kind & 0x80 else "CC3" if kind & 1 else "CC1"] = language
    return {SAME_WORDS[name]: language for name, language in found.items() if name in SAME_WORDS} | found
