"""The child measures without pydantic: what it writes reads back as what the real types would have written."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from tests.source_support import make
from vidpipe.source.child.entry import examine
from vidpipe.source.child.plain_data import Data, Field, Rational
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import CHILD, probe


@pytest.mark.parametrize("name", ["languages", "subtitles-mkv", "hdr10", "cover-art", "interlaced"])
def test_plain_facts_are_the_same_facts(name: str, tmp_path: Path) -> None:
    file = make(name, tmp_path)
    assert probe(str(file)).model_dump_json() == examine(str(file), file.name, SourceLimits()).model_dump_json()


class Ratio(Data):
    value: Rational
    name: str = Field(default="a", description="A name.")


class Named(Ratio):
    others: tuple[Ratio, ...] = ()


def test_a_plain_value_carries_its_fields_and_those_of_the_class_above() -> None:
    value = Named(value=Fraction(1, 3), others=(Ratio(value=Fraction(2), name="b"),))
    assert value.model_dump(mode="json") == {"value": "1/3", "name": "a", "others": [{"value": "2", "name": "b"}]}
    assert value.model_copy(update={"name": "c"}).name == "c"
    assert value.name == "a"


def test_plain_values_compare_by_type_and_fields() -> None:
    assert Ratio(value=Fraction(1)) == Ratio(value=Fraction(1))
    assert len({Ratio(value=Fraction(1)), Ratio(value=Fraction(1)), Named(value=Fraction(1))}) == 2


def test_an_unknown_or_missing_field_is_a_fault() -> None:
    with pytest.raises(TypeError, match="Ratio: rate, value"):
        Ratio(**{"rate": 1})


def test_a_plain_value_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Ratio(value=Fraction(1)).name = "b"


def test_only_the_question_that_brings_no_facts_is_answered_without_pydantic() -> None:
    """Facts that come with a question are nested, and it is pydantic that reads them."""
    for question, plain in (("examine", True), ("audio", False)):
        program = CHILD.replace("main(sys.argv[1:])", "print('pydantic' in sys.modules)")
        done = subprocess.run(
            [sys.executable, "-c", program, ":".join(sys.path), question], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(not plain)
