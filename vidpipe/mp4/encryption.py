"""Write what fragmented MP4 says of encrypted samples: Common Encryption, ISO/IEC 23001-7. Encrypts nothing itself.

In:   how a track is encrypted (TrackEncryption), and its samples as a scheme has encrypted them (EncryptedSamples).
Out:  moov with an encrypted sample entry (sinf: frma, schm, schi with tenc) and pssh boxes; the boxes of a track fragment (saiz, saio,
      senc), and the description of a sample group that overrides tenc (seig).
Wrong: BoxError for a moov without a sample entry that can be encrypted, and for a sample without parts among others that have some.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from vidpipe.mp4.boxes import BoxError, children
from vidpipe.mp4.codecs import AUDIO_FIELDS, VISUAL_FIELDS
from vidpipe.mp4.subsamples import AUDIO
from vidpipe.mp4.writing import box, edited, full_box

_SCHEME_VERSION = 0x10000  # 1.0, 23001-7 4.1
SUBSAMPLES = 0x2
"""Flag of senc: it lists the parts of each sample."""
ENCRYPTED_AUDIO, ENCRYPTED_VIDEO = "enca", "encv"
ENCRYPTED_ENTRIES = (ENCRYPTED_AUDIO, ENCRYPTED_VIDEO)


@dataclass(frozen=True, slots=True)
class TrackEncryption:
    """How the samples of a track are encrypted. scheme: four characters, "cenc" or "cbcs".  key_id: 16 bytes, public.

    iv_size: bytes of each sample's own IV, 0 with a constant_iv for all.  pattern: blocks of 16 bytes that are encrypted, and that are
    skipped after them; None encrypts all.  systems: pssh boxes, whole.
    """

    scheme: str
    key_id: bytes
    iv_size: int
    constant_iv: bytes | None = None
    pattern: tuple[int, int] | None = None
    systems: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SampleEncryption:
    """What a player needs for one sample. iv: empty if it is constant.  subsamples: bytes in clear and encrypted bytes, in turn."""

    iv: bytes
    subsamples: tuple[tuple[int, int], ...] = ()

    @property
    def entry(self) -> bytes:
        """As it stands in senc."""
        listed = b"".join(struct.pack(">HI", *part) for part in self.subsamples)
        return self.iv + (struct.pack(">H", len(self.subsamples)) + listed if self.subsamples else b"")


@dataclass(frozen=True, slots=True)
class EncryptedSamples:
    """The samples of a cut after encryption. data: as long as before.  samples: one for each.

    override: how they are encrypted, where it is not as the init section of their track says: under a later key.
    """

    data: bytes = field(repr=False)
    samples: tuple[SampleEncryption, ...]
    override: TrackEncryption | None = None


def encrypted_moov(moov: bytes, encryption: TrackEncryption) -> bytes:
    """Return moov with its only sample entry declared encrypted, and the pssh boxes at its end."""
    made = edited(moov, ("trak", "mdia", "minf", "stbl", "stsd"), lambda stsd: _encrypted_stsd(stsd, encryption))
    root = next(children(made))
    return box(b"moov", made[root.body : root.end], *encryption.systems)


def fragment_boxes(samples: Sequence[SampleEncryption], before: int) -> bytes:
    """Return saiz, saio and senc for a track fragment; nothing if no sample needs anything.

    before: bytes from the start of moof to the first of these boxes.
    """
    entries = [sample.entry for sample in samples]
    if not any(entries):  # one IV for all, and no subsamples
        return b""
    sizes = {len(entry) for entry in entries}
    same = sizes.pop() if len(sizes) == 1 else 0
    saiz = full_box(b"saiz", 0, 0, struct.pack(">BI", same, len(entries)), b"" if same else bytes(len(entry) for entry in entries))
    saio_size = 20
    first = before + len(saiz) + saio_size + 16  # behind the header and the count of senc
    saio = full_box(b"saio", 0, 0, struct.pack(">II", 1, first))
    parted = {bool(sample.subsamples) for sample in samples}
    if len(parted) > 1:  # the flag is that of all samples, and without a count those behind would be misread
        raise BoxError("a sample is empty")
    flags = SUBSAMPLES if parted == {True} else 0
    return saiz + saio + full_box(b"senc", 0, flags, struct.pack(">I", len(entries)), *entries)


def parameters(encryption: TrackEncryption) -> bytes:
    """Return pattern, size of IVs, key id and constant IV as they stand in tenc, and in the same way in a sample group (seig)."""
    crypt, skip = encryption.pattern or (0, 0)
    constant = b"" if encryption.constant_iv is None else bytes([len(encryption.constant_iv)]) + encryption.constant_iv
    return bytes([0, crypt << 4 | skip, 1, encryption.iv_size]) + encryption.key_id + constant


def _encrypted_stsd(stsd: bytes, encryption: TrackEncryption) -> bytes:
    root = next(children(stsd))
    entries = list(children(stsd, root.body + 8, root.end))
    if len(entries) != 1:
        raise BoxError(f"{len(entries)} sample entries; one was expected")
    entry = entries[0]
    audio = entry.type in AUDIO
    if not audio and entry.size < 8 + VISUAL_FIELDS:
        raise BoxError(f"the sample entry {entry.type!r} cannot be encrypted")
    fields = entry.body + (AUDIO_FIELDS if audio else VISUAL_FIELDS)
    sinf = box(
        b"sinf",
        box(b"frma", entry.type.encode()),
        full_box(b"schm", 0, 0, encryption.scheme.encode(), struct.pack(">I", _SCHEME_VERSION)),
        box(b"schi", full_box(b"tenc", 1 if encryption.pattern else 0, 0, parameters(encryption))),
    )
    made = box((ENCRYPTED_AUDIO if audio else ENCRYPTED_VIDEO).encode(), stsd[entry.body : fields], stsd[fields : entry.end], sinf)
    return box(b"stsd", stsd[root.body : root.body + 8], made)
