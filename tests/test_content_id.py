"""content_id: every name gives an id, and says as much of the name as ASCII can."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpipe.content_id import CONTENT_ID, checked, from_name
from vidpipe.errors import UsageError


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("film", "film"),
        ("Größte", "Grosste"),
        ("Łódź øl æble", "Lodz-ol-aeble"),
        ("Война и мир", "Voyna-i-mir"),
        ("東京物語", "DongJingWuYu"),
        ("さくら", "sakura"),
        ("naïve ✓", "naive-v"),
        ("100%d", "100-d"),
        (".hidden.", "hidden"),
        ("S01E02_Pilot.final", "S01E02_Pilot.final"),
        ("🎬", "clapper"),
    ],
)
def test_a_name_keeps_its_letters(name: str, made: str) -> None:
    assert from_name(name) == made


def test_a_name_of_which_nothing_is_left_gives_a_hash() -> None:
    made = [from_name(name) for name in ("!!!", "???", "\udcff", "")]
    assert all(each.startswith("title-") for each in made)
    assert len(set(made)) == len(made)
    assert from_name("!!!") == made[0]


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, other = from_name("x" * 200 + "1"), from_name("x" * 200 + "2")
    assert one != other
    assert len(one) == len(other) == 128


@given(st.text(st.characters(), max_size=200))
def test_every_name_gives_an_id(name: str) -> None:
    made = from_name(name)
    assert CONTENT_ID.fullmatch(made)
    assert checked(made) == made
    decomposed = unicodedata.normalize("NFD", name)
    assert from_name(decomposed) == from_name(unicodedata.normalize("NFC", name)), "macOS writes names decomposed"


@pytest.mark.parametrize("given_id", ["", "a/b", "../up", ".hidden", "a b", "x" * 129, "é", "a\n", "\udcff"])
def test_what_is_no_id_is_refused(given_id: str) -> None:
    with pytest.raises(UsageError, match="is not a content id"):
        checked(given_id)
