"""Read what fragmented MP4 says of encrypted samples, and take it out again: the way back of ``encryption``. Decrypts nothing itself.

In:   init sections and segments as ``encryption`` and ``fragment`` write them.
Out:  the clear init section and its TrackEncryption; of a segment the samples and what each of them needs, what it says otherwise than the
      init section, and the segment without all that.
Wrong: BoxError for bytes that say otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from vidpipe.mp4.boxes import Box, BoxError, children, find
from vidpipe.mp4.codecs import AUDIO_FIELDS, VISUAL_FIELDS
from vidpipe.mp4.encryption import ENCRYPTED_AUDIO, ENCRYPTED_ENTRIES, SUBSAMPLES, SampleEncryption, TrackEncryption, encrypted_moov
from vidpipe.mp4.fragment import OVERRIDE, OWN_DESCRIPTION
from vidpipe.mp4.writing import box, edited

_ENCRYPTION = ("saiz", "saio", "senc")
_GROUP = ("sgpd", "sbgp")
_LEAST = 20  # bytes of the parameters in tenc and seig: pattern, sizes, key id
_OFFSET, _FIRST_FLAGS, _DURATION, _SIZE, _FLAGS, _CTS = 0x1, 0x4, 0x100, 0x200, 0x400, 0x800  # of trun, 14496-12 8.8.8


@dataclass(frozen=True, slots=True)
class EncryptedFragment:
    """A segment with one moof. sizes: of its samples.  media: where the first of them lies in the segment.

    samples: what each needs; empty if one constant IV and whole samples are all that there is to know.
    """

    sizes: tuple[int, ...]
    media: int
    samples: tuple[SampleEncryption, ...]


def clear_init(init: bytes) -> tuple[bytes, TrackEncryption | None]:
    """Return an init section as it was before its track was declared encrypted, and what it declares; the same bytes if it does not."""
    if find(init, "moov") is None:
        raise BoxError("there is no box moov")
    stsd = find(init, "moov", "trak", "mdia", "minf", "stbl", "stsd")
    entry = next(children(init, stsd.body + 8, stsd.end), None) if stsd else None
    if entry is None:
        raise BoxError("there is no sample entry")
    if entry.type not in ENCRYPTED_ENTRIES:
        return init, None
    kept = [init[child.offset : child.end] for child in children(init) if child.type != "moov"]
    moov = next(init[child.offset : child.end] for child in children(init) if child.type == "moov")
    systems = tuple(moov[child.offset : child.end] for child in children(moov, 8) if child.type == "pssh")
    rest = [moov[child.offset : child.end] for child in children(moov, 8) if child.type != "pssh"]
    clear, declared = _clear_entry(init[entry.offset : entry.end])
    made = edited(box(b"moov", *rest), ("trak", "mdia", "minf", "stbl", "stsd"), lambda old: box(b"stsd", old[8:16], clear))
    return b"".join((*kept, made)), _track_encryption(declared, systems)


def redeclared(init: bytes, encryption: TrackEncryption | None) -> bytes:
    """Return an init section that says something else of the encryption of its track."""
    clear, _ = clear_init(init)
    if encryption is None:
        return clear
    moov = find(clear, "moov")
    if moov is None:
        raise BoxError("there is no box moov")
    return clear[: moov.offset] + encrypted_moov(clear[moov.offset : moov.end], encryption) + clear[moov.end :]


def read_fragment(segment: bytes, iv_size: int) -> EncryptedFragment:
    """Read a segment. iv_size: bytes of each sample's own IV, 0 with a constant one."""
    moof, traf = _moof(segment)
    trun = _needed(segment, traf, "trun")
    sizes, offset = _run(segment[trun.offset : trun.end])
    senc = find(segment, "senc", inside=traf)
    media = moof.offset + offset
    if media + sum(sizes) > len(segment):
        raise BoxError("its samples reach past its end")
    return EncryptedFragment(sizes, media, _entries(segment[senc.body : senc.end], iv_size, sizes) if senc else ())


def read_override(segment: bytes, scheme: str) -> TrackEncryption | None:
    """Return what a segment says of its samples in place of the init section; None if it says nothing. scheme: of the track."""
    moof, traf = _moof(segment)
    groups = {
        child.type: segment[child.body : child.end]
        for child in children(segment, traf.body, traf.end)
        if child.type in _GROUP and _is_override(segment, child)
    }
    systems = tuple(segment[child.offset : child.end] for child in children(segment, moof.body, moof.end) if child.type == "pssh")
    if not groups:
        if systems:
            raise BoxError("it has a pssh, and no key of its own")
        return None
    described, mapped = (groups.get(kind, b"") for kind in _GROUP)
    trun = _needed(segment, traf, "trun")
    (samples,) = struct.unpack_from(">I", segment, trun.body + 4)
    length = struct.unpack_from(">I", described, 8)[0] if len(described) > 16 else 0
    one = described[:4] == b"\1\0\0\0" and described[12:16] == b"\0\0\0\1" and length >= _LEAST and len(described) == 16 + length
    if not one or mapped[8:] != struct.pack(">III", 1, samples, OWN_DESCRIPTION):
        raise BoxError("its samples are not all in one group of its own key")
    return _parameters(described[16:], scheme, systems)


def clear_fragment(segment: bytes, media: bytes | bytearray) -> bytes:
    """Return a segment without the boxes of encryption. media: its decrypted samples, one after the other."""
    moof, traf = _moof(segment)
    inner, outer = list(children(segment, traf.body, traf.end)), list(children(segment, moof.body, moof.end))
    parts = [segment[child.offset : child.end] for child in inner if not _is_encryption(segment, child)]
    around = [segment[child.offset : child.end] for child in outer if child.type != "pssh"]
    removed = sum(child.size for child in (*inner, *outer)) - sum(map(len, (*parts, *around)))

    def moved(trun: bytes) -> bytes:
        (offset,) = struct.unpack_from(">i", trun, 16)  # behind header, version with flags, and the number of samples
        return trun[:16] + struct.pack(">i", offset - removed) + trun[20:]

    made = box(b"traf", *(moved(part) if part[4:8] == b"trun" else part for part in parts))
    header = box(b"moof", *(made if part[4:8] == b"traf" else part for part in around))
    return b"".join((segment[: moof.offset], header, struct.pack(">I4s", 8 + len(media), b"mdat"), media))


def _moof(segment: bytes) -> tuple[Box, Box]:
    moof = next((child for child in children(segment) if child.type == "moof"), None)
    traf = find(segment, "traf", inside=moof) if moof else None
    if moof is None or traf is None:
        raise BoxError("there is no track fragment")
    return moof, traf


def _is_encryption(segment: bytes, child: Box) -> bool:
    return child.type in _ENCRYPTION or (child.type in _GROUP and _is_override(segment, child))


def _is_override(segment: bytes, group: Box) -> bool:
    return segment[group.body + 4 : group.body + 8] == OVERRIDE


def _needed(data: bytes, inside: Box, kind: str) -> Box:
    found = find(data, kind, inside=inside)
    if found is None:
        raise BoxError(f"there is no box {kind}")
    return found


def _run(trun: bytes) -> tuple[tuple[int, ...], int]:
    """Return the sizes of the samples, and the offset of the first from the start of moof."""
    flags, count, offset = struct.unpack_from(">IIi", trun, 8)
    if not flags & _OFFSET or not flags & _SIZE:
        raise BoxError("its trun has no sizes")
    first = 24 if flags & _FIRST_FLAGS else 20
    width = 4 * sum(bool(flags & bit) for bit in (_DURATION, _SIZE, _FLAGS, _CTS))
    if first + width * count > len(trun):
        raise BoxError("its trun is cut off")
    rows = (first + width * number + (4 if flags & _DURATION else 0) for number in range(count))
    return tuple(int.from_bytes(trun[row : row + 4], "big") for row in rows), offset


def _entries(senc: bytes, iv_size: int, sizes: Sequence[int]) -> tuple[SampleEncryption, ...]:
    flags, count = struct.unpack_from(">II", senc)
    if count != len(sizes):
        raise BoxError(f"senc has {count} samples, not {len(sizes)}")
    found, at = [], 8
    try:
        for size in sizes:
            iv, at = senc[at : at + iv_size], at + iv_size
            parts: list[tuple[int, int]] = []
            if flags & SUBSAMPLES:
                (number,) = struct.unpack_from(">H", senc, at)
                parts = list(struct.iter_unpack(">HI", senc[at + 2 : at + 2 + 6 * number]))
                at += 2 + 6 * number
                if len(parts) != number or sum(map(sum, parts)) != size:
                    raise BoxError("the parts of a sample in senc are not as long as the sample")
            found.append(SampleEncryption(iv, tuple(parts)))
    except struct.error as error:
        raise BoxError("senc is cut off") from error
    if at != len(senc):
        raise BoxError("senc is longer or shorter than its samples")
    return tuple(found)


def _clear_entry(entry: bytes) -> tuple[bytes, bytes]:
    """Return a sample entry without its sinf, and the sinf."""
    fields = 8 + (AUDIO_FIELDS if entry[4:8] == ENCRYPTED_AUDIO.encode() else VISUAL_FIELDS)
    parts = [entry[child.offset : child.end] for child in children(entry, fields)]
    declared = next((part for part in parts if part[4:8] == b"sinf"), None)
    frma = find(declared, "sinf", "frma") if declared else None
    if declared is None or frma is None:
        raise BoxError("an encrypted sample entry does not say of what")
    return box(declared[frma.body : frma.end], entry[8:fields], *(part for part in parts if part[4:8] != b"sinf")), declared


def _track_encryption(sinf: bytes, systems: tuple[bytes, ...]) -> TrackEncryption:
    schm, tenc = find(sinf, "sinf", "schm"), find(sinf, "sinf", "schi", "tenc")
    if schm is None or tenc is None or tenc.size < 8 + 4 + _LEAST:
        raise BoxError("its sinf has no schm or no tenc")
    return _parameters(sinf[tenc.body + 4 : tenc.end], sinf[schm.body + 4 : schm.body + 8].decode("latin-1"), systems)


def _parameters(said: bytes, scheme: str, systems: tuple[bytes, ...]) -> TrackEncryption:
    """Read what stands in tenc behind its version, and in a sample group."""
    crypt, skip = said[1] >> 4, said[1] & 15
    size = said[3]
    if size == 0 and len(said) == _LEAST:
        raise BoxError("its samples have neither IVs of their own nor a constant one")
    return TrackEncryption(
        scheme=scheme,
        key_id=said[4:_LEAST],
        iv_size=size,
        constant_iv=said[_LEAST + 1 : _LEAST + 1 + said[_LEAST]] if size == 0 else None,
        pattern=(crypt, skip) if crypt else None,
        systems=systems,
    )
