"""Encrypt samples as "cenc": AES-128-CTR, ISO/IEC 23001-7 10.1. For players that do not know "cbcs"; Apple's do not know this one.

In:   the samples of Cuts, a ContentKey.
Out:  encrypted samples; segments opened again.
Wrong: see ``common_encryption``.

Of video, all whole blocks behind each slice header (of AV1: of each tile) are encrypted, so that they end where the picture ends; of audio,
every byte. Each sample has an IV of eight bytes, the upper half of its counter; the lower half counts its blocks, from 0.

Two plaintexts under one counter would betray both, and one key may protect many tracks, and a title that is published again with other
bytes. So a segment's first IV is derived from everything that tells it apart: the first eight bytes of HMAC-SHA256(key, rendition, index,
SHA-256 of the sizes and the bytes of its samples); the samples behind it count on from there. The same segment gets the same IVs, so a run
that resumes makes the same bytes; another one begins at a place that is as good as random. Of two segments of n samples the places overlap
with a probability of 2n/2^64: for a title of three hours in ten tracks (18,000 segments of 360 samples) that is one in 150 million, all
pairs counted. It is not left to chance: the verification compares all ranges of a version, and refuses one in which two overlap.

HLS calls it SAMPLE-AES-CTR (fragmented MP4). Its tag has no IV.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CTR

from vidpipe.errors import VerificationFailed
from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption
from vidpipe.mp4.subsamples import Part, in_blocks
from vidpipe.package.cut import Cut
from vidpipe.package.result import Segment, TrackFacts
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.result import ProtectedSegment, protected
from vidpipe.protect.schemes import Ivs, SchemeName
from vidpipe.protect.schemes.common_encryption import IV_SIZE, encrypted, needed, opened, system_boxes

_ALL = 1 << 8 * IV_SIZE


def first_iv(cut: Cut, key: ContentKey) -> int:
    """Return the IV of the first sample of a segment; the others count on."""
    content = hashlib.sha256(struct.pack(f">{len(cut.samples)}I", *(sample.size for sample in cut.samples)))
    content.update(cut.data)
    parts = (b"vidpipe cenc iv v1", cut.track.encode(), str(cut.index).encode(), content.digest())
    message = b"".join(len(part).to_bytes(4) + part for part in parts)
    return int.from_bytes(hmac.digest(key.key, message, hashlib.sha256)[:IV_SIZE])


def _ivs(first: int, count: int) -> list[bytes]:
    return [((first + number) % _ALL).to_bytes(IV_SIZE) for number in range(count)]


class _Counters:
    """Encrypts or decrypts samples in place, which is the same."""

    def __init__(self, key: bytes) -> None:
        self._stream = Cipher(AES128(key), CTR(bytes(16))).encryptor()

    def __call__(self, sample: memoryview, parts: Sequence[Part], iv: bytes) -> None:
        self._stream.reset_nonce(iv + bytes(16 - IV_SIZE))
        at = 0
        for clear, protected_bytes in parts or ((0, len(sample)),):
            begin, at = at + clear, at + clear + protected_bytes
            sample[begin:at] = self._stream.update(sample[begin:at])


class Cenc:
    """See Scheme."""

    name: SchemeName = "cenc"
    hls_method: str | None = "SAMPLE-AES-CTR"
    mp4_scheme: str | None = "cenc"
    in_dash = True
    text_scheme: SchemeName = "none"
    ivs: Ivs | None = "sample"

    def header(self, track: TrackFacts, key: ContentKey | None) -> TrackEncryption | None:
        """Declare the size of the IVs."""
        if key is None:
            return None
        return TrackEncryption(scheme="cenc", key_id=bytes.fromhex(key.key_id), iv_size=IV_SIZE, systems=system_boxes(key))

    def samples(self, cut: Cut, key: ContentKey | None, entry: bytes) -> EncryptedSamples:
        """Return the samples encrypted."""
        own = needed(cut, key)
        return encrypted(cut, entry, _Counters(own.key), _ivs(first_iv(cut, own), len(cut.samples)), in_blocks)

    def seal(self, segment: Segment, key: ContentKey | None, samples: EncryptedSamples | None = None) -> ProtectedSegment:
        """Return the segment as it was written; its IV is that of the first sample."""
        if key is None or samples is None:
            raise ValueError(f"segment {segment.index + 1} of {segment.rendition} was not encrypted")
        return protected(segment, segment.data, samples.samples[0].iv, key.key_id)

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        """Return the clear segment."""
        if key is None or iv is None or len(iv) != IV_SIZE:
            raise VerificationFailed("an encrypted segment has no key or no IV", fix="run the ingest again; its inventory was altered")
        return opened(data, _Counters(key), lambda count: _ivs(int.from_bytes(iv), count))


SCHEME = Cenc()
