"""Languages are read from files and people as BCP 47 tags, and named for people."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpipe.language_tags import iso_639_2, language_name, language_tag

READ = {
    "eng": "en", "fre": "fr", "fra": "fr", "ger": "de", "zho": "zh", "scc": "sr", "en": "en", "en-us": "en-US", " en ": "en",
    "pt_BR": "pt-BR", "zh-hant-tw": "zh-Hant-TW", "es-419": "es-419", "sl-rozaj": "sl-rozaj", "de-1996": "de-1996",
    "iw": "he", "in": "id", "ji-US": "yi-US", "ind": "id", "tgl": "fil", "qaa": "qaa", "yue": "yue", "zh-yue": "yue", "mul": "mul",
    "und": None, "und-DE": None, "": None, "   ": None, "mis": None, "zxx": None, "xxx": None, "english": None, "x\x1b[m": None,
    "x-klingon": None, "1234": None, "en-": None, "pt-BR-PT": None, "ＥＮ": None, "ſs": None, "en-é": None,
}  # fmt: skip


@pytest.mark.parametrize(("field", "tag"), READ.items())
def test_a_language_field_is_read(field: str, tag: str | None) -> None:
    assert language_tag(field) == tag


def test_no_field_names_no_language() -> None:
    assert language_tag(None) is None


@given(st.text(max_size=40) | st.from_regex("[a-z]{2,3}([-_][A-Za-z0-9]{1,9}){0,4}", fullmatch=True))
def test_a_tag_is_plain_and_stays_what_it_is(text: str) -> None:
    tag = language_tag(text)
    if tag is not None:
        assert re.fullmatch("[a-z]{2,3}(-[A-Za-z0-9]{1,8})*", tag)
        assert language_tag(tag) == tag
        assert re.fullmatch("[a-z]{3}", iso_639_2(tag))
        assert language_name(tag)


@pytest.mark.parametrize(
    ("tag", "code"),
    [("en", "eng"), ("de", "deu"), ("pt-BR", "por"), ("fil", "fil"), ("qaa", "qaa"), ("xx", "und"), (None, "und")],
)
def test_iso_639_2_has_the_terminology_code(tag: str | None, code: str) -> None:
    assert iso_639_2(tag) == code


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("en", "English"),
        ("de", "German"),
        ("pt-BR", "Portuguese (Brazil)"),
        ("zh-Hant-TW", "Chinese (Traditional, Taiwan)"),
        ("es-419", "Spanish (Latin America)"),
        ("grc", "Ancient Greek"),
        pytest.param("qaa", "qaa", id="one that nobody has named"),
        pytest.param("sl-rozaj", "Slovenian (rozaj)", id="a variant"),
    ],
)
def test_languages_have_english_names(tag: str, name: str) -> None:
    assert language_name(tag) == name
