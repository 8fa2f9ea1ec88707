"""What was probably meant by a word that is not known: the one place that compares spellings.

In:   a word that somebody wrote, and the words that there are.
Out:  the nearest of them, or None; or the advice that offers it.
Wrong: nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is spelt most like a word. Capitals, hyphens and underscores make no difference."""
    plain = {_plain(name): name for name in known}
    close = difflib.get_close_matches(_plain(word), plain, 1)
    return plain[close[0]] if close else None


def suggestion(word: str, allowed: Iterable[str]) -> str:
    """Return what to write in the place of a word."""
    allowed = tuple(allowed)
    close = nearest(word, allowed)
    return f"did you mean {close}?" if close else f"use one of: {', '.join(allowed)}"


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
