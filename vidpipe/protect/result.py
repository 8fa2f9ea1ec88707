"""What protection hands on: a segment as it will lie at the target, encrypted or clear."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction

from vidpipe.package.result import IFrame, Segment


@dataclass(frozen=True, slots=True)
class ProtectedSegment:
    """A media segment ready to upload. start, duration: seconds, exact.  samples: frames in it.

    data: the bytes to store, a multiple of 16 when encrypted.  sha256: of ``data``, lower-case hex.
    iv: its own initialisation vector, 16 bytes, None when clear.  key_id: of the content key, None when clear.
    i_frame: as in Segment; None where it is encrypted whole.
    """

    rendition: str
    index: int
    start: Fraction
    duration: Fraction
    samples: int
    data: bytes = field(repr=False)
    sha256: str
    iv: bytes | None = None
    key_id: str | None = None
    i_frame: IFrame | None = None


def protected(segment: Segment, data: bytes, iv: bytes | None = None, key_id: str | None = None) -> ProtectedSegment:
    """Return a segment with the bytes that a scheme made of it."""
    return ProtectedSegment(
        rendition=segment.rendition,
        index=segment.index,
        start=segment.start,
        duration=segment.duration,
        samples=segment.samples,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        iv=iv,
        key_id=key_id,
        # A part of what was encrypted whole cannot be read as it stands: its decryption takes the block before it (rfc8216bis 6.3.6).
        i_frame=segment.i_frame if data is segment.data else None,
    )
