"""No protection: for titles that anybody may copy, and for looking at what vidpipe writes.

In:   Segments.  Out: the same bytes.  Wrong: nothing.
"""

from __future__ import annotations

from vidpipe.mp4.encryption import EncryptedSamples
from vidpipe.package.cut import Cut
from vidpipe.package.result import Segment, TrackFacts
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.result import ProtectedSegment, protected
from vidpipe.protect.schemes import Ivs, SchemeName


class Clear:
    """See Scheme."""

    name: SchemeName = "none"
    hls_method: str | None = None
    mp4_scheme: str | None = None
    in_dash = True
    text_scheme: SchemeName = "none"
    ivs: Ivs | None = None

    def header(self, track: TrackFacts, key: ContentKey | None) -> None:
        """Say nothing in the init section."""

    def samples(self, cut: Cut, key: ContentKey | None, entry: bytes) -> None:
        """Leave the samples as they are."""

    def seal(self, segment: Segment, key: ContentKey | None, samples: EncryptedSamples | None = None) -> ProtectedSegment:
        """Return the segment as it is."""
        return protected(segment, segment.data)

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        """Return the bytes as they are."""
        return data


SCHEME = Clear()
