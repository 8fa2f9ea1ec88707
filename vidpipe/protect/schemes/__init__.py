"""Protection schemes: how a title's samples and segments are encrypted, and how playlists name it. The only place that names one.

    none      the segments are clear
    aes-128   each segment whole, after its container has written it

A scheme is a module with ``SCHEME``, an object of the shape below. It has its say twice: about the samples of a cut, and with them about
the init section, before a container writes them; and about the segment as it was written. ``open`` is the way back. A new scheme is a new
module and a line here; nothing that cuts, writes, uploads, lists or verifies knows which one it is. A scheme's module is loaded when it
is asked for, because cryptography is slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, get_args

if TYPE_CHECKING:
    from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption
    from vidpipe.package.cut import Cut
    from vidpipe.package.result import Segment, TrackFacts
    from vidpipe.protect.key_store import ContentKey
    from vidpipe.protect.result import ProtectedSegment

SchemeName = Literal["aes-128", "none"]
"""As settings, records and inventories write it."""
SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)
DEFAULT_SCHEME: SchemeName = "aes-128"
CLEAR: SchemeName = "none"
WHOLE_SEGMENTS: frozenset[str] = frozenset({"aes-128"})
"""Those that encrypt each segment whole, whatever is in it: any segment may begin a new key, and be put under another one as it lies."""
MEANING = "aes-128: each segment whole, AES-128-CBC (RFC 8216 section 4.3.2.4)."
"""What the names stand for, in the schema of the record."""

_MODULES: dict[str, str] = {"none": "clear", "aes-128": "aes128"}


class Scheme(Protocol):
    """A protection scheme."""

    @property
    def name(self) -> SchemeName:
        """As settings and records write it."""

    @property
    def hls_method(self) -> str | None:
        """METHOD of EXT-X-KEY (RFC 8216 section 4.3.2.4); None if no playlist names a key."""

    def header(self, track: TrackFacts, key: ContentKey | None) -> TrackEncryption | None:
        """Return what the init section of a track says of its encrypted samples; None if it says nothing."""

    def samples(self, cut: Cut, key: ContentKey | None) -> EncryptedSamples | None:
        """Return the samples of a cut, encrypted; None if they are left as they are."""

    def seal(self, segment: Segment, key: ContentKey | None) -> ProtectedSegment:
        """Return a segment as it will lie at the target. The same segment and key give the same bytes."""

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        """Return the clear bytes of a stored segment. key, iv: 16 bytes, as its playlist says. Raises VerificationFailed."""


def scheme_of(name: str) -> Scheme:
    """Return a scheme by name. Raises ValueError for an unknown one."""
    if name not in _MODULES:
        raise ValueError(f"no such protection scheme: {name!r}")
    scheme: Scheme = import_module(f"{__name__}.{_MODULES[name]}").SCHEME
    return scheme
