"""What "cbcs" and "cenc" have in common: ISO/IEC 23001-7 in the fragmented MP4 of CMAF (ISO/IEC 23000-19 8.2).

In:   the samples of a cut with their sample entry, a ContentKey.
Out:  the samples encrypted in place, with what a player needs for each; pssh; segments opened again.
Wrong: EncodeFailed for samples whose protected bytes cannot be found; VerificationFailed for stored bytes that are no such segment.

Both protect the same bytes of video (``mp4/subsamples.py``) and whole frames of audio. A key id is that of the key store: 128 bits, as it
stands in playlists and as a UUID.

Init sections carry a pssh of the common system (W3C "cenc" Initialization Data Format), which lists the id of the key and holds nothing
secret. It is there, and not in manifests alone, because a browser asks the page for a key ("encrypted" event) only for a pssh in the media:
without it, hls.js 1.7 loads everything, asks for no license, and waits for ever.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from vidpipe.errors import EncodeFailed, VerificationFailed
from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.decryption import clear_fragment, read_fragment
from vidpipe.mp4.encryption import EncryptedSamples, SampleEncryption
from vidpipe.mp4.subsamples import Part, finder_of, listed
from vidpipe.package.cut import Cut
from vidpipe.protect.drm_systems import common_box
from vidpipe.protect.key_store import ContentKey

IV_SIZE = 8
"""Bytes of the IV of a sample, where each has its own: what every player knows."""

SampleCipher = Callable[[memoryview, Sequence[Part], bytes], None]
"""(sample, its parts or none if it is protected whole, its IV) -> encrypts or decrypts it in place."""


def system_boxes(key: ContentKey) -> tuple[bytes, ...]:
    """Return the pssh boxes of an init section, and of a segment that names a key of its own."""
    return (common_box([key.key_id]),)


def needed(cut: Cut, key: ContentKey | None) -> ContentKey:
    """Return the key of a cut, which must have one."""
    if key is None:
        raise ValueError(f"segment {cut.index + 1} of {cut.track} has no key")
    return key


def encrypted(
    cut: Cut, entry: bytes, cipher: SampleCipher, ivs: Sequence[bytes], arranged: Callable[[list[Part]], list[Part]]
) -> EncryptedSamples:
    """Return the samples of a cut, encrypted. ivs: of each sample.  arranged: the parts of a sample as the scheme wants them."""
    data = bytearray(cut.data)
    entries: list[SampleEncryption] = []
    try:
        find = finder_of(entry)
        with memoryview(data) as media:
            at = 0
            for sample, iv in zip(cut.samples, ivs, strict=True):
                end = at + sample.size
                parts = arranged(find(cut.data[at:end])) if find else ()
                if find and not parts:  # without parts it would be protected whole
                    raise BoxError("a sample is empty")
                cipher(media[at:end], parts, iv)
                entries.append(SampleEncryption(iv, listed(parts)))
                at = end
    except (BoxError, IndexError) as error:
        where = f"{cut.track}, segment {cut.index + 1}"
        fix = "report this as a bug, with the ffmpeg version; --encrypt aes-128 does not look into the stream"
        raise EncodeFailed(f"the encoded stream cannot be encrypted: {error}", where=where, fix=fix) from error
    return EncryptedSamples(bytes(data), tuple(entries))


def opened(data: bytes, cipher: SampleCipher, ivs: Callable[[int], list[bytes]] | None = None) -> bytes:
    """Return the clear segment. cipher: decrypts.  ivs: number of samples -> the IV of each; None if they have none of their own."""
    try:
        fragment = read_fragment(data, IV_SIZE if ivs else 0)
        if ivs and [entry.iv for entry in fragment.samples] != ivs(len(fragment.sizes)):
            raise BoxError("the IVs of its samples do not count on from the one that is known")
        media = bytearray(data[fragment.media : fragment.media + sum(fragment.sizes)])
        entries = fragment.samples or (SampleEncryption(b""),) * len(fragment.sizes)
        with memoryview(media) as view:
            at = 0
            for size, entry in zip(fragment.sizes, entries, strict=True):
                cipher(view[at : at + size], entry.subsamples, entry.iv)
                at += size
        return clear_fragment(data, media)
    except (BoxError, struct.error) as error:
        fix = "run the ingest again; the object was cut or replaced"
        raise VerificationFailed(f"an encrypted segment cannot be read: {error}", fix=fix) from error
