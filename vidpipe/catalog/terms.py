"""Turn text into the words that are searched, in every script: of titles, of metadata, and of what a user asks for.

In:   text, as it was given.
Out:  words: folded, of letters, digits and their marks alone.
Wrong: nothing; text without a letter or digit has no words.

Folding happens here and in no database, so that SQLite and PostgreSQL give the same answers: case and accents go ("Amélie" is found as
"amelie", "Straße" as "strasse"). Scripts that are written without spaces (Chinese, Japanese, Thai and the like) become overlapping pairs of
characters, and the last character alone: so any part of such a text is found, a single character as the beginning of a pair.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 100
"""Characters of a word that count. A lexeme of PostgreSQL may have 2,046 bytes."""
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ς": "σ"})
"""What Unicode does not take apart, but people type without: after case folding."""
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese."""
_UNSPACED_FIRST = re.compile(f"[{_UNSPACED}]")
_RUN = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")


class _Kept(dict[int, str]):
    """What becomes of a character: itself, a space, or nothing. Filled as characters are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        shown = char if char.isalnum() or kind[0] == "M" else " "
        self[code] = kept = "" if kind == "Cf" or _is_accent(char) else shown  # joiners and soft hyphens lie inside words
        return kept


def _is_accent(char: str) -> bool:
    """Whether a mark may be left out: accents, Hebrew and Arabic points. Vowels of Indic scripts and the voicing of kana may not."""
    place = unicodedata.combining(char)
    return place == 1 or 10 <= place <= 35 or place >= 200


_KEPT = _Kept()


def folded(text: str) -> str:
    """Return text without case, accents and punctuation, its words separated by single spaces."""
    if text.isascii():
        return " ".join(text.lower().translate(_KEPT).split())
    apart = unicodedata.normalize("NFKD", text).casefold()
    plain = unicodedata.normalize("NFKD", apart).translate(_LETTERS).translate(_KEPT)  # folding gives letters with marks once more
    return " ".join(unicodedata.normalize("NFC", plain).split())


def indexed(text: str) -> Iterator[str]:
    """Yield the words under which a text is found, in their order."""
    for run in _runs(text):
        if is_unspaced(run):
            yield from (run[at : at + 2] for at in range(len(run)))  # the last one alone
        else:
            yield run[:LONGEST]


def asked(text: str) -> Iterator[str]:
    """Yield the words that a user asks for; one in a script without spaces is a whole run of it."""
    for run in _runs(text):
        yield run if is_unspaced(run) else run[:LONGEST]


def pairs(run: str) -> list[str]:
    """Return the words, as ``indexed`` yields them one after the other, between which a run of two characters or more is found."""
    return [run[at : at + 2] for at in range(len(run) - 1)]


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script that is written without spaces."""
    return _UNSPACED_FIRST.match(word) is not None


def _runs(text: str) -> Iterator[str]:
    for word in folded(text).split():
        if word.isascii():
            yield word
        else:
            yield from _RUN.findall(word)
