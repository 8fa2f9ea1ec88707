"""How long a file says that it is: the outermost sizes of MP4, AVI and Matroska. A file that was cut is shorter than that.

In:   an open file and the name of its demuxer.
Out:  the number of bytes that the container claims, or None where it claims nothing (live recordings, other containers).
Wrong: nothing; what is not understood claims nothing.

The packet scan sees a cut of seconds; this sees a cut of one byte. Only sizes are read, nothing in between.
"""

from __future__ import annotations

import re
from typing import BinaryIO

MOST_BOXES = 1_000_000  # a fragmented hour in 1 s fragments has 7,200
TAIL = 1 << 20  # bytes after the last packet that are looked at
_BEGINNINGS = {
    "flv": re.compile(rb"FLV\x01"),
    "asf": re.compile(re.escape(bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C"))),  # the header object
}
_PAT_HEAD = re.compile(rb"(?s)\x47\x40\x00[\x10-\x1f]\x00\x00[\xb0-\xbf].{6}")
"""The beginning of a packet of a transport stream (0x47) with the program association table (ISO/IEC 13818-1, 2.4.4.3)."""
_PES = re.compile(rb"(?s)\x47[\x40-\x5f].(?:[\x10-\x1f]|[\x30-\x3f].{1,160}?)\x00\x00\x01[\xe0-\xef]")
"""A packet in which a PES packet of video begins, after an adaptation field perhaps (2.4.3)."""
_MEDIA_BOXES = frozenset({b"mdat", b"moov", b"moof"})  # others at the end may be bytes of no meaning that somebody appended


def claimed_size(file: BinaryIO, demuxer: str) -> int | None:
    """Return the bytes that the container claims."""
    reader = {"mov": _boxes, "avi": _riff, "matroska": _ebml}.get(demuxer)
    return reader(file) if reader else None


def goes_on(file: BinaryIO, demuxer: str, end: int) -> bool:
    """Whether pictures follow in the file that the demuxer passes over. end: where the last packet begins that was read.

    Files that were joined byte by byte: of these containers only the first recording is read.
    """
    if demuxer == "mov":
        return _movies(file) > 1
    first, rest = _read(file, 0, min(end, TAIL)), _read(file, end + 1, TAIL)
    if demuxer == "mpegts":  # a program whose map moved to another PID is not followed; pictures of the last one may still come
        return bool(_PES.search(rest)) and not _maps(rest) <= _maps(first)
    marks = _BEGINNINGS.get(demuxer)
    return marks is not None and marks.search(rest) is not None


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _maps(data: bytes) -> set[int]:
    """Return the PIDs of the program maps that the association tables name."""
    found = set()
    for offset in (match.start() for match in _PAT_HEAD.finditer(data)):
        packet = data[offset : offset + 188]
        for at in range(13, min(8 + packet[7], len(packet)) - 7, 4):
            if packet[at : at + 2] != b"\0\0":  # 0: of the network information
                found.add((packet[at + 2] & 0x1F) << 8 | packet[at + 3])
    return found


def _movies(file: BinaryIO) -> int:
    """Return the number of movies (moov) in a row of boxes."""
    end, offset, found = file.seek(0, 2), 0, 0
    for _ in range(MOST_BOXES):
        file.seek(offset)
        head = file.read(16)
        if len(head) < 16:
            break
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8:
            break
        found += head[4:8] == b"moov"
        offset += size
        if offset >= end:
            break
    return found


def _boxes(file: BinaryIO) -> int | None:
    """ISO/IEC 14496-12, 4.2: size (4), type (4), then size (8) if the first is 1; 0 means up to the end."""
    end, offset = file.seek(0, 2), 0
    for _ in range(MOST_BOXES):
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8:
            return end
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if size < 8:
            return None
        offset += size
        if offset > end:
            return offset if kind in _MEDIA_BOXES else None
    return None


def _riff(file: BinaryIO) -> int | None:
    """RIFF chunks: "RIFF", size (4, little endian); OpenDML files are a row of them."""
    offset = 0
    for _ in range(MOST_BOXES):
        file.seek(offset)
        head = file.read(8)
        if head[:4] != b"RIFF" or len(head) < 8:
            break
        size = int.from_bytes(head[4:8], "little")
        if not 0 < size < 0xFFFFFFF0:
            return None  # written while it was recorded, and never set right
        offset += 8 + size + size % 2
    return offset or None


def _ebml(file: BinaryIO) -> int | None:
    """RFC 8794: an element is an id and a size of 1 to 8 bytes each; RFC 9559: the EBML header, then the Segment."""
    offset = 0
    for wanted in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        file.seek(offset)
        head = file.read(12)
        if head[:4] != wanted or len(head) < 5 or head[4] == 0:
            return None
        length = 9 - head[4].bit_length()
        size = int.from_bytes(head[4 : 4 + length], "big") - (1 << (7 * length))
        if size < 0 or size == (1 << (7 * length)) - 1:
            return None  # unknown size: a live recording
        offset += 4 + length + size
    return offset
