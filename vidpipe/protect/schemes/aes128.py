"""Encrypt whole media segments with AES-128-CBC and PKCS#7 padding (RFC 8216 section 4.3.2.4).

In:   clear Segments and a ContentKey.
Out:  ProtectedSegments, each with its own IV; ``decrypt`` for the verification.
Wrong: VerificationFailed when bytes cannot be what was encrypted (length, padding).

The IV is the first half of HMAC-SHA256(key, rendition, index, SHA-256 of the clear bytes). So a run that resumes makes the same bytes
again (what is already at the target can stay), and another plaintext never meets the same IV under the same key. Without the key it is
indistinguishable from random.
"""

from __future__ import annotations

import hashlib
import hmac
from io import BytesIO

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from vidpipe.errors import VerificationFailed
from vidpipe.mp4.encryption import EncryptedSamples
from vidpipe.package.cut import Cut
from vidpipe.package.result import Segment, TrackFacts
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.result import ProtectedSegment, protected
from vidpipe.protect.schemes import Ivs, SchemeName

BLOCK = 16
"""Bytes of an AES block and of an IV."""
_PIECE = 1 << 16


def encrypt(segment: Segment, key: ContentKey) -> ProtectedSegment:
    """Return the segment encrypted. The same segment and key give the same bytes; the size is the next multiple of 16."""
    iv = _iv(segment, key)
    encryptor, padder = Cipher(AES128(key.key), CBC(iv)).encryptor(), PKCS7(AES128.block_size).padder()
    whole = len(segment.data) - len(segment.data) % BLOCK
    tail = padder.update(segment.data[whole:]) + padder.finalize()  # only this: the padder would copy what it is given
    return protected(segment, _through(encryptor, memoryview(segment.data)[:whole], tail), iv, key.key_id)


def decrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Return the clear bytes. key, iv: 16 bytes. Raises VerificationFailed if the length or the padding is wrong."""
    if not data or len(data) % BLOCK:
        raise VerificationFailed(
            f"an encrypted segment of {len(data)} bytes is not a multiple of 16", fix="run the ingest again; the object was cut or replaced"
        )
    decryptor, unpadder = Cipher(AES128(key), CBC(iv)).decryptor(), PKCS7(AES128.block_size).unpadder()
    padded = _through(decryptor, memoryview(data))
    try:
        tail = unpadder.update(padded[-BLOCK:]) + unpadder.finalize()
    except ValueError as error:  # no padding at the end
        raise VerificationFailed(
            "a segment does not decrypt with its key and IV", fix="run the ingest again; the object, the key or the IV is wrong"
        ) from error
    return b"".join((memoryview(padded)[:-BLOCK], tail))


def _through(cipher: CipherContext, data: memoryview, tail: bytes = b"") -> bytes:
    """Return data and tail, whole blocks, encrypted or decrypted.

    In pieces, through one window that stays in the processor's cache: megabytes at once take more than twice as long. The place for all of
    it is taken first: a buffer that grows is moved again and again, which takes half as long as the cipher.
    """
    window, made = memoryview(bytearray(_PIECE + BLOCK)), BytesIO()
    made.seek(len(data) + len(tail) - 1)
    made.write(b"\0")
    made.seek(0)
    for at in range(0, len(data), _PIECE):
        made.write(window[: cipher.update_into(data[at : at + _PIECE], window)])
    made.write(cipher.update(tail))
    cipher.finalize()
    return made.getvalue()


def _iv(segment: Segment, key: ContentKey) -> bytes:
    parts = (b"vidpipe segment iv v1", segment.rendition.encode(), str(segment.index).encode(), hashlib.sha256(segment.data).digest())
    message = b"".join(len(part).to_bytes(4) + part for part in parts)
    return hmac.digest(key.key, message, hashlib.sha256)[:BLOCK]


class Aes128:
    """See Scheme."""

    name: SchemeName = "aes-128"
    hls_method: str | None = "AES-128"
    mp4_scheme: str | None = None
    in_dash = False
    text_scheme: SchemeName = "aes-128"
    ivs: Ivs | None = "segment"

    def header(self, track: TrackFacts, key: ContentKey | None) -> None:
        """Say nothing in the init section, which stays clear."""

    def samples(self, cut: Cut, key: ContentKey | None, entry: bytes) -> None:
        """Leave the samples as they are: the segment is encrypted whole."""

    def seal(self, segment: Segment, key: ContentKey | None, samples: EncryptedSamples | None = None) -> ProtectedSegment:
        """Return the segment encrypted."""
        if key is None:
            raise ValueError(f"segment {segment.index + 1} of {segment.rendition} has no key")
        return encrypt(segment, key)

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        """Return the clear bytes."""
        if key is None or iv is None:
            raise VerificationFailed("an encrypted segment has no key or no IV", fix="run the ingest again; its playlist was altered")
        return decrypt(data, key, iv)


SCHEME = Aes128()
