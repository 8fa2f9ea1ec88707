"""What headers declare and libav does not pass on: encryption, the kind of Dolby Vision, WebVTT in Matroska, how a picture is cropped.

In:   an open file of any kind.
Out:  Declared.
Wrong: nothing; what is not understood declares nothing. Only headers are read, and of a transport stream its first packets.

An encrypted file decodes to noise or to nothing, with errors that name everything but the cause. Of Dolby Vision, libav shows the base
layer: right where that is HDR10, HLG or SDR by itself, and purple and green where it is not. Decoders give a picture as the codec crops
it; ffmpeg's command crops it once more, as the container asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

LARGEST_HEADER = 1 << 22  # bytes of one header that are read
MOST_ELEMENTS = 100_000
TS_PACKET, TS_PACKETS = 188, 20_000

BASE_ALWAYS = frozenset({0, 2, 4, 6, 7, 9})
"""Profiles of Dolby Vision whose base layer is SDR or HDR10 by definition. 1, 3 and 5 have none; of the others the id says it."""


@dataclass(frozen=True)
class Dolby:
    """A Dolby Vision configuration record. compatibility: what the base layer is: 0 nothing, 1 and 6 HDR10, 2 SDR, 4 HLG."""

    profile: int
    compatibility: int

    @property
    def has_base(self) -> bool:
        """Whether a decoder that knows nothing of Dolby Vision shows the right picture."""
        return self.profile in BASE_ALWAYS or (self.profile not in (1, 3, 5) and self.compatibility != 0)

    def __str__(self) -> str:
        return f"profile {self.profile}" + (f".{self.compatibility}" if self.profile in (8, 10, 20) else "")


@dataclass(frozen=True)
class Crop:
    """Pixels that are cut off at each edge of a decoded picture."""

    left: int
    right: int
    top: int
    bottom: int

    def of(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of what is left of a picture; all of it if nothing would be."""
        across, down = width - self.left - self.right, height - self.top - self.bottom
        return (across, down) if across > 0 and down > 0 else (width, height)


@dataclass(frozen=True)
class Declared:
    """encrypted: how, as a name; None if it is not, or does not say so.

    webvtt: numbers of Matroska's WebVTT tracks, from 0 on.  crops: track number -> what the container crops.
    """

    encrypted: str | None = None
    dolby: Dolby | None = None
    webvtt: frozenset[int] = frozenset()
    crops: Mapping[int, Crop] = field(default_factory=dict)


def declared(file: BinaryIO) -> Declared:
    """Read what the file declares."""
    file.seek(0)
    start = file.read(TS_PACKET * 5 + 1)
    if start[4:8] in (b"ftyp", b"moov", b"wide", b"mdat", b"free", b"skip", b"pnot", b"styp"):
        return _movie(file)
    if start[:4] == b"\x1a\x45\xdf\xa3":
        return _matroska(file)
    if start[:16] == _ASF_HEADER:
        return _asf(file)
    for lead in (0, 4):  # M2TS: each packet after a time of four bytes
        if len(start) > TS_PACKET * 4 and all(start[lead + number * (TS_PACKET + lead)] == 0x47 for number in range(4)):
            return _transport_stream(file, lead)
    return Declared()


# MP4 and QuickTime: ISO/IEC 14496-12; ISO/IEC 23001-7 (encryption); "Dolby Vision Streams Within the ISO Base Media File Format"

_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_ENCRYPTED = {b"encv": "Common Encryption", b"enca": "Common Encryption", b"drmi": "FairPlay", b"drms": "FairPlay", b"p608": "FairPlay"}
_SCHEMES = {b"cenc": "cenc", b"cbcs": "cbcs", b"cens": "cens", b"cbc1": "cbc1"}


def _movie(file: BinaryIO) -> Declared:
    encrypted, dolby, crops = None, None, dict[int, Crop]()
    for track, entry in _sample_entries(file):
        kind = entry[4:8]
        if kind in _ENCRYPTED and encrypted is None:
            encrypted = _ENCRYPTED[kind]
            scheme = entry.find(b"schm")
            if scheme > 0 and entry[scheme + 8 : scheme + 12] in _SCHEMES:
                encrypted += f", scheme {_SCHEMES[entry[scheme + 8 : scheme + 12]]}"
        for name in (b"dvcC", b"dvvC", b"dvwC"):
            offset = entry.find(name)
            if offset > 0 and dolby is None:
                dolby = _dolby(entry[offset + 4 :])
        if crop := _clean_aperture(entry):
            crops.setdefault(track, crop)
    return Declared(encrypted, dolby, crops=crops)


_VISUAL = 86
"""Bytes of a VisualSampleEntry before its boxes."""


def _clean_aperture(entry: bytes) -> Crop | None:
    """Read the clap box (12.1.4) of a picture's sample entry: size of the part that is shown, and how far its centre is off."""
    offset = _VISUAL
    while offset + 8 <= len(entry) and (size := int.from_bytes(entry[offset : offset + 4], "big")) >= 8:
        if entry[offset + 4 : offset + 8] == b"clap" and size >= 40 <= len(entry) - offset:
            break
        offset += size
    else:
        return None
    tops = [int.from_bytes(entry[at : at + 4], "big", signed=True) for at in range(offset + 8, offset + 40, 8)]
    bottoms = [int.from_bytes(entry[at : at + 4], "big", signed=True) for at in range(offset + 12, offset + 40, 8)]
    if min(bottoms) <= 0:
        return None
    wide, high, right, down = map(Fraction, tops, bottoms)
    width, height = int.from_bytes(entry[32:34], "big"), int.from_bytes(entry[34:36], "big")
    edges: list[int] = []
    for whole, part, off in ((width, wide, right), (height, high, down)):
        first = int((whole - part) / 2 + off)  # rounded as libav does
        edges += [first, whole - 1 - int((whole + part) / 2 + off - 1)]
    if min(edges) < 0 or wide <= 0 or high <= 0:
        return None  # reaches beyond the picture: ffmpeg ignores it, too
    return Crop(*edges) if any(edges) else None


def _sample_entries(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the entries of every stsd box, with the number of its track."""
    end, track = file.seek(0, 2), -1
    open_: list[tuple[int, int]] = [(0, end)]
    for _ in range(MOST_ELEMENTS):
        while open_ and open_[-1][0] + 8 > open_[-1][1]:
            open_.pop()
        if not open_:
            return
        offset, limit = open_[-1]
        file.seek(offset)
        head = file.read(16)
        size, kind, body = int.from_bytes(head[:4], "big"), head[4:8], offset + 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), offset + 16
        size = size or limit - offset
        if size < 8 or offset + size > limit:
            size = limit - offset  # cut off: what is there may do
        open_[-1] = (offset + size, limit)
        track += kind == b"trak"
        if kind in _PARENTS:
            open_.append((body, offset + size))
        elif kind == b"stsd":
            file.seek(body + 8)
            table = file.read(min(offset + size - body - 8, LARGEST_HEADER))
            while len(table) >= 8 and (length := int.from_bytes(table[:4], "big")) >= 8:
                yield track, table[:length]
                table = table[length:]


def _dolby(record: bytes) -> Dolby | None:
    """Read a configuration record: version (2), then profile (7 bits), level (6), flags (3), compatibility (4)."""
    if len(record) < 5:
        return None
    return Dolby(profile=record[2] >> 1, compatibility=record[4] >> 4)


# Matroska: RFC 9559

_SEGMENT, _TRACKS, _ENTRY, _CODEC = 0x18538067, 0x1654AE6B, 0xAE, 0x86
_ENCODINGS, _ENCODING, _ENCRYPTION = 0x6D80, 0x6240, 0x5035
_MAPPING, _ID_TYPE, _ID_EXTRA = 0x41E4, 0x41E7, 0x41ED
_VIDEO, _CROPS = 0xE0, (0x54CC, 0x54DD, 0x54BB, 0x54AA)  # PixelCropLeft, Right, Top, Bottom


def _matroska(file: BinaryIO) -> Declared:
    tracks = _tracks(file)
    encrypted, dolby, webvtt, crops = None, None, set(), dict[int, Crop]()
    for number, entry in enumerate(body for kind, body in _elements(tracks) if kind == _ENTRY):
        for kind, body in _elements(entry):
            if kind == _CODEC and body.rstrip(b"\0") == b"S_TEXT/WEBVTT":  # libav only knows WebM's D_WEBVTT
                webvtt.add(number)
            if kind == _VIDEO:
                edges = [int.from_bytes(dict(_elements(body)).get(edge, b"")[:8], "big") for edge in _CROPS]
                crops |= {number: Crop(*edges)} if any(edges) else {}
            if kind == _ENCODINGS:
                codings = [inner for name, coding in _elements(body) if name == _ENCODING for inner, _ in _elements(coding)]
                encrypted = "Matroska ContentEncryption" if _ENCRYPTION in codings else encrypted
            elif kind == _MAPPING and dolby is None:
                mapping = dict(_elements(body))
                if mapping.get(_ID_TYPE, b"")[-4:] in (b"dvcC", b"dvvC", b"dvwC"):
                    dolby = _dolby(mapping.get(_ID_EXTRA, b""))
    return Declared(encrypted, dolby, frozenset(webvtt), crops)


def _tracks(file: BinaryIO) -> bytes:
    """Return the body of the Tracks element."""
    end, offset = file.seek(0, 2), 0
    for _ in range(MOST_ELEMENTS):
        if offset + 2 > end:
            break
        file.seek(offset)
        kind, size, length = _element(file.read(12))
        if kind == _TRACKS:
            file.seek(offset + length)
            return file.read(min(size if size is not None else 0, LARGEST_HEADER))
        if not length:
            break
        if kind == _SEGMENT:
            offset += length  # into it
        elif size is None:
            break  # a live cluster: nobody knows what comes after it
        else:
            offset += length + size
    return b""


def _element(head: bytes) -> tuple[int, int | None, int]:
    """Return id, size of the body (None: unknown) and length of both together; all 0 if it is none."""
    if not head or not head[0]:
        return 0, 0, 0
    first = 9 - head[0].bit_length()
    if first > 4 or len(head) <= first or not head[first]:
        return 0, 0, 0
    second = 9 - head[first].bit_length()
    size = int.from_bytes(head[first : first + second], "big") - (1 << (7 * second))
    return int.from_bytes(head[:first], "big"), None if size == (1 << (7 * second)) - 1 else size, first + second


def _elements(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        kind, size, length = _element(body[:12])
        if not length or size is None:
            return
        yield kind, body[length : length + size]
        body = body[length + size :]


# ASF: "Advanced Systems Format Specification", 3.1 and 3.14 to 3.16

_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_ENCRYPTION = {
    bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"): "Windows Media DRM",
    bytes.fromhex("14e68a292226174cb935dae07ee9289c"): "Windows Media DRM",
    bytes.fromhex("338505438169e6499b74ad12cb86d58c"): "PlayReady",
}


def _asf(file: BinaryIO) -> Declared:
    file.seek(0)
    header = file.read(30)
    header += file.read(max(0, min(int.from_bytes(header[16:24], "little") - 30, LARGEST_HEADER)))
    offset = 30
    while offset + 24 <= len(header) and (size := int.from_bytes(header[offset + 16 : offset + 24], "little")) >= 24:
        if header[offset : offset + 16] in _ASF_ENCRYPTION:
            return Declared(_ASF_ENCRYPTION[header[offset : offset + 16]])
        offset += size
    return Declared()


# MPEG transport streams: ISO/IEC 13818-1; "Dolby Vision Streams Within the MPEG-2 Transport Stream Format"

_DOLBY_DESCRIPTOR = 0xB0


def _transport_stream(file: BinaryIO, lead: int) -> Declared:
    """A PID of which most packets are scrambled is encrypted. It is no matter where each programme with a clear picture has none."""
    file.seek(0)
    data = file.read((TS_PACKET + lead) * TS_PACKETS)
    seen: dict[int, int] = {}
    scrambled: dict[int, int] = {}
    pictures: set[int] = set()
    programmes: dict[int, set[int]] = {}
    dolby = None
    for at in range(lead, len(data) - TS_PACKET + 1, TS_PACKET + lead):
        if data[at] != 0x47:
            break
        control, pid = data[at + 3], int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF
        if not control & 0x10 or pid == 0x1FFF:
            continue
        seen[pid] = seen.get(pid, 0) + 1
        scrambled[pid] = scrambled.get(pid, 0) + (control >= 0x80)
        if data[at + 1] & 0x40 and control < 0x80:
            payload = data[at + 4 + (1 + data[at + 4] if control & 0x20 else 0) : at + TS_PACKET]
            if payload[:3] == b"\0\0\1" and payload[3] >> 4 == 0xE:  # a PES packet of video
                pictures.add(pid)
            elif streams := dict(_programme_map(payload)):
                programmes[pid] = set(streams)
                dolby = dolby or next(filter(None, streams.values()), None)
    locked = {pid for pid, count in scrambled.items() if 2 * count > seen[pid]}
    shown = [streams for streams in programmes.values() if streams & pictures - locked]
    if locked and (not shown or any(streams & locked for streams in shown)):
        return Declared("conditional access, transport stream scrambling", dolby)
    return Declared(None, dolby)


def _programme_map(payload: bytes) -> Iterator[tuple[int, Dolby | None]]:
    """Yield the PID of each stream of a programme map (2.4.4.9), and the descriptor of Dolby Vision that it has; nothing of others."""
    if len(payload) < 14 or payload[1 + payload[0] : 2 + payload[0]] != b"\x02":
        return
    table = payload[1 + payload[0] :]
    offset, end = 12 + (int.from_bytes(table[10:12], "big") & 0xFFF), 3 + (int.from_bytes(table[1:3], "big") & 0xFFF) - 4
    while offset + 5 <= min(end, len(table)):
        pid, length = (int.from_bytes(table[offset + at : offset + at + 2], "big") for at in (1, 3))
        at, last, dolby = offset + 5, offset + 5 + (length & 0xFFF), None
        while at + 2 <= min(last, len(table)):
            if table[at] == _DOLBY_DESCRIPTOR and table[at + 1] >= 5 and dolby is None:
                dolby = _ts_dolby(table[at + 2 : at + 2 + table[at + 1]])
            at += 2 + table[at + 1]
        yield pid & 0x1FFF, dolby
        offset = last


def _ts_dolby(body: bytes) -> Dolby | None:
    """Read version (2), profile (7 bits), level (6), flags (3); without a base layer, the PID that has it (2); then the id."""
    offset = 4 if body[3] & 1 else 6
    return Dolby(profile=body[2] >> 1, compatibility=body[offset] >> 4) if len(body) > offset else None
