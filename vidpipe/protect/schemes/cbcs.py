"""Encrypt samples as "cbcs": AES-128-CBC with a pattern, ISO/IEC 23001-7 10.4. What Apple's players demand, and all newer ones know.

In:   the samples of Cuts, a ContentKey.
Out:  encrypted samples; segments opened again.
Wrong: see ``common_encryption``.

Of video, one block of 16 bytes in ten is encrypted, from the first byte behind each slice header (of AV1: of each tile) on; of audio, every
whole block. What is left over at an end stays clear. Each chain begins anew with the constant IV.

The IV belongs to the key, not to the track: a DRM system such as FairPlay hands out key and IV together, and playlists name both in one
tag. It follows from the id of the key (``iv_of_key``), as a key server has to learn it from the request (explicitIV), before there is a
key. It need be neither secret nor unpredictable: ISO/IEC 23001-7 has it in clear in tenc, and the same for all samples. So it shows which
samples begin with the same bytes, as silent frames of audio do; that is how the scheme is meant. Another key encrypts them to others.

HLS calls it SAMPLE-AES (fragmented MP4), with the constant IV in the tag: without one, a player that takes its IV from the playlist would
count segments (RFC 8216 5.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from vidpipe.errors import VerificationFailed
from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption
from vidpipe.mp4.subsamples import BLOCK, Part
from vidpipe.package.cut import Cut
from vidpipe.package.result import Segment, TrackFacts
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.result import ProtectedSegment, protected
from vidpipe.protect.schemes import Ivs, SchemeName, iv_of_key
from vidpipe.protect.schemes.common_encryption import encrypted, needed, opened, system_boxes

PATTERN = (1, 9)
"""Blocks that are encrypted and blocks that are not, of video: what ISO/IEC 23001-7 recommends and HLS demands."""
_WORD = 8  # bytes of the largest items that a memoryview can take with a stride
_STRIDE = sum(PATTERN) * BLOCK // _WORD


class _Chains:
    """Encrypts or decrypts samples in place. chain: begins a chain with the constant IV."""

    def __init__(self, chain: Callable[[], CipherContext]) -> None:
        self._chain = chain

    def __call__(self, sample: memoryview, parts: Sequence[Part], _: bytes) -> None:
        if not parts:
            whole = len(sample) // BLOCK * BLOCK
            sample[:whole] = self._chain().update(sample[:whole])
            return
        at = 0
        for clear, protected_bytes in parts:
            begin, at = at + clear, at + clear + protected_bytes
            self._pattern(sample[begin:at])

    def _pattern(self, part: memoryview) -> None:
        """Gather the first block of every ten, encrypt them in one call, and put them back.

        A block is two words, and each of the two has the same stride in all blocks: so four copies move them, however many there are.
        """
        words = part[: len(part) // BLOCK * BLOCK].cast("Q")
        first, second = words[::_STRIDE], words[1::_STRIDE]
        gathered = bytearray(BLOCK * len(first))
        pairs = memoryview(gathered).cast("Q")
        pairs[::2], pairs[1::2] = first, second
        done = memoryview(self._chain().update(gathered)).cast("Q")
        first[:], second[:] = done[::2], done[1::2]


class Cbcs:
    """See Scheme."""

    name: SchemeName = "cbcs"
    hls_method: str | None = "SAMPLE-AES"
    mp4_scheme: str | None = "cbcs"
    in_dash = True
    text_scheme: SchemeName = "none"
    ivs: Ivs | None = "key"

    def header(self, track: TrackFacts, key: ContentKey | None) -> TrackEncryption | None:
        """Declare the constant IV, and the pattern of video."""
        if key is None:
            return None
        return TrackEncryption(
            scheme="cbcs",
            key_id=bytes.fromhex(key.key_id),
            iv_size=0,
            constant_iv=iv_of_key(key.key_id),
            pattern=PATTERN if track.type == "video" else None,
            systems=system_boxes(key),
        )

    def samples(self, cut: Cut, key: ContentKey | None, entry: bytes) -> EncryptedSamples:
        """Return the samples encrypted."""
        own = needed(cut, key)
        cipher = Cipher(AES128(own.key), CBC(iv_of_key(own.key_id)))
        return encrypted(cut, entry, _Chains(cipher.encryptor), [b""] * len(cut.samples), list)

    def seal(self, segment: Segment, key: ContentKey | None, samples: EncryptedSamples | None = None) -> ProtectedSegment:
        """Return the segment as it was written."""
        if key is None or samples is None:
            raise ValueError(f"segment {segment.index + 1} of {segment.rendition} was not encrypted")
        return protected(segment, segment.data, iv_of_key(key.key_id), key.key_id)

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        """Return the clear segment."""
        if key is None or iv is None or len(iv) != BLOCK:
            raise VerificationFailed("an encrypted segment has no key or no IV", fix="run the ingest again; its playlist was altered")
        return opened(data, _Chains(Cipher(AES128(key), CBC(iv)).decryptor))


SCHEME = Cbcs()
