"""terms: what becomes of a text in the index, and of what is asked. Catalogs keep these words: others would find nothing in them."""

from __future__ import annotations

import pytest

from vidpipe.catalog.terms import LONGEST, asked, folded, indexed, pairs

FOLDED = {
    "Le Fabuleux Destin d'Amélie Poulain": "le fabuleux destin d amelie poulain",
    "  A -- B\t(C)\n": "a b c",
    "1/2 film-noir_x": "1 2 film noir x",
    "Die Straße": "die strasse",
    "Łódź, Ærø, þÞ, ıİ, œ ð": "lodz aero thth ii oe d",
    "ΌΔΟΣ": "οδοσ",
    "ﬃ 𝕳é ½": "ffi he 1 2",
    "co\u00adop x\u200dy": "coop xy",  # soft hyphen, joiner
    "हिन्दी": "हिन्दी",  # vowels and virama stay
    "ドラマ ﾄﾞ": "ドラマ ド",  # voicing stays
    "a\u0338b": "ab",  # class 1: a stroke
    "ש\u05b0ל": "של",  # 10: the first of the Hebrew points
    "ه\u0670": "ه",  # 35: the last of the Arabic ones
    "ܐ\u0711": "ܐ\u0711",  # 36: a Syriac letter
    "c\u0327": "c",  # 202
    "a\u0301": "a",  # 230
    "!?… 🎬": "",
}


@pytest.mark.parametrize("text", FOLDED, ids=[f"text-{number}" for number in range(len(FOLDED))])
def test_text_is_folded_alike_for_all_databases(text: str) -> None:
    for _ in range(2):  # what becomes of a character is remembered
        assert folded(text) == FOLDED[text]


@pytest.mark.parametrize(
    ("text", "kept", "wanted"),
    [
        pytest.param("Two words", ["two", "words"], ["two", "words"], id="words"),
        pytest.param("x" * (LONGEST + 1), ["x" * LONGEST], ["x" * LONGEST], id="a long word"),
        pytest.param("東京物語", ["東京", "京物", "物語", "語"], ["東京物語"], id="without spaces"),
        pytest.param("京", ["京"], ["京"], id="one character"),
        pytest.param("film東京2", ["film", "東京", "京", "2"], ["film", "東京", "2"], id="both"),
        pytest.param("京" * (LONGEST + 1), ["京京"] * LONGEST + ["京"], ["京" * (LONGEST + 1)], id="a long run"),
    ],
)
def test_words_are_those_that_are_asked_for(text: str, kept: list[str], wanted: list[str]) -> None:
    assert list(indexed(text)) == kept
    assert list(asked(text)) == wanted


def test_a_run_is_found_between_its_pairs() -> None:
    assert pairs("東京物語") == ["東京", "京物", "物語"]
    assert pairs("東京") == ["東京"]
