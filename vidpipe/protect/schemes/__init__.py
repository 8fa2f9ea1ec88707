"""Protection schemes: how a title's samples and segments are encrypted, and how playlists name it. The only place that names one.

    none      the segments are clear
    aes-128   each segment whole, after its container has written it
    cbcs      the samples of audio and video, AES-CBC with a pattern (Common Encryption)
    cenc      the samples of audio and video, AES-CTR (Common Encryption)

A scheme is a module with ``SCHEME``, an object of the shape below. It has its say twice: about the samples of a cut, and with them about
the init section, before a container writes them; and about the segment as it was written. ``open`` is the way back. A new scheme is a new
module and a line here; nothing that cuts, writes, uploads, lists or verifies knows which one it is. A scheme's module is loaded when it
is asked for, because cryptography is slow to import.

Text has no samples. What encrypts segments whole encrypts its segments like all others; Common Encryption leaves them clear, as ISO/IEC
23001-7 and HLS do, which know no encrypted WebVTT but that. So the tracks of one title may have different schemes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from vidpipe.errors import UsageError

if TYPE_CHECKING:
    from vidpipe.mp4.encryption import EncryptedSamples, TrackEncryption
    from vidpipe.package.cut import Cut
    from vidpipe.package.result import Segment, TrackFacts
    from vidpipe.protect.key_store import ContentKey
    from vidpipe.protect.result import ProtectedSegment

SchemeName = Literal["aes-128", "cbcs", "cenc", "none"]
"""As settings, records and inventories write it."""
SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)
DEFAULT_SCHEME: SchemeName = "aes-128"
CLEAR: SchemeName = "none"
SCHEMES_FOR_PEOPLE = "aes-128 (whole segments), cbcs or cenc (samples of audio and video, Common Encryption), or none"
WHOLE_SEGMENTS: frozenset[str] = frozenset({"aes-128"})
"""Those that encrypt each segment whole, whatever is in it: any segment may begin a new key, and be put under another one as it lies."""
MEANING = (
    "aes-128: each segment whole, AES-128-CBC (RFC 8216 section 4.3.2.4). cbcs, cenc: the samples of audio and video, Common Encryption "
    "(ISO/IEC 23001-7), AES-CBC with a pattern and AES-CTR; subtitles stay clear."
)
"""What the names stand for, in the schema of the record."""
SAMPLE_SCHEMES: frozenset[str] = frozenset({"cbcs", "cenc"})
"""Those that encrypt samples, and so have to read what is in them."""
WHOLE_METHODS = frozenset({"AES-128", "AES-256", "AES-256-GCM"})
"""METHODs of EXT-X-KEY that encrypt whole resources: an init section that stands under one of them is encrypted, too."""

_MODULES: dict[str, str] = {"none": "clear", "aes-128": "aes128", "cbcs": "cbcs", "cenc": "cenc"}

Ivs = Literal["segment", "key", "sample"]
"""What has an IV of its own: each segment; each key, for all that it protects; each sample, of which a segment names the first."""


def iv_of_key(key_id: str) -> bytes:
    """Return the IV of a key for all that it protects. It follows from the public id, so that whoever asks for a key can say it."""
    return hashlib.sha256(b"vidpipe cbcs iv v2" + bytes.fromhex(key_id)).digest()[:16]


class Scheme(Protocol):
    """A protection scheme."""

    @property
    def name(self) -> SchemeName:
        """As settings and records write it."""

    @property
    def hls_method(self) -> str | None:
        """METHOD of EXT-X-KEY (RFC 8216 section 4.3.2.4); None if no playlist names a key."""

    @property
    def mp4_scheme(self) -> str | None:
        """Scheme of Common Encryption (ISO/IEC 23001-7), which manifests of DASH name; None if samples stay as they are."""

    @property
    def in_dash(self) -> bool:
        """Whether DASH can carry such segments."""

    @property
    def text_scheme(self) -> SchemeName:
        """What protects the text tracks of a title under this scheme."""

    @property
    def ivs(self) -> Ivs | None:
        """What has an IV of its own; None if nothing is encrypted. Playlists name those that are not one for each sample."""

    def header(self, track: TrackFacts, key: ContentKey | None) -> TrackEncryption | None:
        """Return what the init section of a track says of its encrypted samples; None if it says nothing."""

    def samples(self, cut: Cut, key: ContentKey | None, entry: bytes) -> EncryptedSamples | None:
        """Return the samples of a cut, encrypted; None if they are left as they are. entry: their sample entry, clear.

        The same samples and key give the same bytes.
        """

    def seal(self, segment: Segment, key: ContentKey | None, samples: EncryptedSamples | None = None) -> ProtectedSegment:
        """Return a segment as it will lie at the target. samples: as they were encrypted.

        The same segment and key give the same bytes.
        """

    def open(self, data: bytes, key: bytes | None, iv: bytes | None) -> bytes:
        """Return the clear bytes of a stored segment. key: 16 bytes.  iv: as the inventory says. Raises VerificationFailed."""


def check_codecs(name: str, codecs: Iterable[str]) -> None:
    """Raise UsageError for a codec that a scheme cannot protect: it is known before anything is encoded. codecs: as ladders name them."""
    if name not in SAMPLE_SCHEMES:
        return
    from vidpipe.mp4.subsamples import CODECS

    if strange := sorted(set(codecs) - CODECS):
        raise UsageError(
            f"{name} cannot encrypt {' or '.join(strange)}: it is not known which bytes of its frames stay clear",
            where="encrypt",
            fix=f"leave {' and '.join(strange)} out of the ladder, or choose {DEFAULT_SCHEME}, which encrypts whole segments",
        )


def scheme_of(name: str) -> Scheme:
    """Return a scheme by name. Raises ValueError for an unknown one."""
    if name not in _MODULES:
        raise ValueError(f"no such protection scheme: {name!r}")
    scheme: Scheme = import_module(f"{__name__}.{_MODULES[name]}").SCHEME
    return scheme
