"""The content id of a title: check the one that was given, or make one of a file name.

In:   an id as the user wrote it; or the name of a source, in any script.
Out:  an id of letters, digits, ".", "_" and "-": it becomes a folder, a part of URLs, and a file name of the work space.
Wrong: UsageError for an id that is not of this form. A name always gives an id.

Two names can give one id ("a/m01.mp4" and "b/m01.mp4" do): that a live title is not replaced by accident is the pipeline's business.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from vidpipe.errors import UsageError

LONGEST = 128
CONTENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HASH_DIGITS = 8


def checked(content_id: str) -> str:
    """Return a content id that was given.  Raises UsageError."""
    if not CONTENT_ID.fullmatch(content_id):
        raise UsageError(
            f"{content_id!r} is not a content id",
            where="--id",
            fix=f"use letters, digits, '.', '_' and '-', beginning with a letter or digit, {LONGEST} at most",
        )
    return content_id


def from_name(name: str) -> str:
    """Return the content id that a name gives: transliterated, what may not stand in an id replaced by "-".

    Of a name that is longer than an id may be, or of which nothing can be written, a short hash stands for what is missing.
    """
    from anyascii import anyascii  # reads a table of its own for each block of Unicode, so only when it is needed

    name = unicodedata.normalize("NFC", name)  # macOS takes letters and their accents apart: the same name gives the same id everywhere
    made = re.sub(r"[^A-Za-z0-9._-]+", "-", anyascii(name)).strip("-._")
    if made and len(made) <= LONGEST:
        return made
    hashed = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{made[: LONGEST - _HASH_DIGITS - 1] or 'title'}-{hashed}"
