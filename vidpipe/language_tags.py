"""Read and name language tags (BCP 47). The only user of langcodes, which has the registry of subtags and CLDR's English names.

In:   what a file or a person says of a language.
Out:  tags ("pt-BR"), their codes of ISO 639-2 ("por") and their names ("Portuguese (Brazil)").
Wrong: nothing; what is no tag is None.

Names are English wherever they are made, so that the same file always gives the same names. langcodes takes 70 ms to import, and its
names as much again: it is imported where it is needed.
"""

from __future__ import annotations

import re
from functools import cache

_NO_LANGUAGE = frozenset({"und", "mis", "zxx", "unk", "xxx"})
"""Undetermined, uncoded, no linguistic content; and two that programs write for the same."""
_FORM = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{1,8})*")  # langcodes takes numbers, other scripts' letters and private tags as well


def language_tag(text: str | None) -> str | None:
    """Return the tag of a container's language field ("eng" gives "en", "pt_br" gives "pt-BR"), or None if it names no language."""
    tag = (text or "").strip("\0 ").replace("_", "-").lower()
    if not _FORM.fullmatch(tag) or tag.split("-")[0] in _NO_LANGUAGE:
        return None
    from langcodes import standardize_tag
    from langcodes.tag_parser import LanguageTagError

    try:
        return standardize_tag(tag)
    except LanguageTagError:
        return None


def iso_639_2(tag: str | None) -> str:
    """Return the terminology code of ISO 639-2 for a tag ("en" gives "eng", "pt-BR" gives "por"), "und" if there is none."""
    if not tag:
        return "und"
    from langcodes import Language

    try:
        return Language.get(tag).to_alpha3()
    except LookupError:
        return "und"


@cache
def language_name(tag: str) -> str:
    """Return the English name of a tag: "English", "Portuguese (Brazil)"; the tag itself if nobody has named it."""
    from langcodes import Language

    language = Language.get(tag, normalize=False)
    name = language.language_name()
    if name == f"Unknown language [{language.language}]":
        return tag
    parts = [language.script and language.script_name(), language.territory and language.territory_name(), *(language.variants or ())]
    details = ", ".join(part for part in parts if part)
    return f"{name} ({details})" if details else name
