"""Refuse what the grammar of a playlist cannot hold. The m3u8 package writes any string as it is given.

In:   a URI or a name.  Out: the same text, proven safe (a name: cleaned).
Wrong: ValueError for a URI: vidpipe makes them, not people.
"""

from __future__ import annotations

import re
import unicodedata

_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def uri(text: str) -> str:
    """Return a URI reference that may stand on a line or between quotes (RFC 3986 characters only; HLS-SYN-010)."""
    if not _URI.fullmatch(text) or text.startswith("#"):
        raise ValueError(f"{text!r} is not a URI reference")
    return text


def quoted(text: str) -> str:
    """Return a text for a quoted-string, which has no escape character (HLS-ATTR-007).

    Double quotes become single ones, control characters and line ends become blanks, and the result is in Unicode NFC (HLS-SYN-003, -006).
    """
    clean = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text)
    return unicodedata.normalize("NFC", " ".join(clean.replace('"', "'").split()))
