"""Tables and facts for people: nothing is said twice, no word is broken, nothing unknown is listed."""

from __future__ import annotations

import io
import re
from fractions import Fraction

import pytest
from rich.console import Console

from tests.ingest_support import FIXTURES
from vidpipe.cli import key_tables
from vidpipe.cli.render.validations import show_validation
from vidpipe.lifecycle.title_keys import HeldKey, KeyVersion
from vidpipe.source.facts import Source
from vidpipe.source.probe import probe
from vidpipe.validation import Validation


@pytest.fixture(scope="module")
def source() -> Source:
    return probe(str(FIXTURES / "one-second.mp4"))


def shown(source: Source, width: int = 200, *, quiet: bool = False, **video: object) -> str:
    """Return what validate prints of a source whose picture is described otherwise."""
    console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
    other = source.model_copy(update={"video": source.video.model_copy(update=video)})
    with console.capture() as captured:
        show_validation(console, Validation(file="f.mp4", source=other, findings=(), problems=(), refused=False), quiet=quiet)
    return captured.get()


GOPS = {
    "all alike": ((2, 2, 2), "GOPs of 2 s;"),
    "alike to the millisecond": ((Fraction(20001, 10000), Fraction(20003, 10000), Fraction(20002, 10000)), "GOPs of 2 s;"),
    "others": ((Fraction(1, 2), 4, 3), "GOPs of 0.5 s to 4 s, 3 s on average;"),
}


@pytest.mark.parametrize(("gops", "text"), GOPS.values(), ids=GOPS)
def test_gops_that_look_alike_are_no_range(source: Source, gops: tuple[Fraction, Fraction, Fraction], text: str) -> None:
    shortest, longest, mean = map(Fraction, gops)
    assert text in shown(source, shortest_gop=shortest, longest_gop=longest, mean_gop=mean)


COLOURS = {
    "declared": (("bt709", "bt709", "bt709", "tv"), "bt709/bt709/bt709/tv"),
    "in part": (("unknown", "unknown", "bt709", "tv"), "matrix bt709, range tv"),
    "not at all": (("unknown",) * 4, "colours not declared"),
}


@pytest.mark.parametrize(("names", "text"), COLOURS.values(), ids=COLOURS)
def test_unknown_colours_are_not_listed(source: Source, names: tuple[str, ...], text: str) -> None:
    colour = source.video.colour.model_copy(update=dict(zip(("primaries", "transfer", "matrix", "range"), names, strict=True)))
    found = shown(source, colour=colour)
    assert text in found
    assert "unknown" not in found


def test_a_codec_without_a_profile_leaves_no_gap(source: Source) -> None:
    assert "stream 0: mpeg4, " in shown(source, codec="mpeg4", profile=None)


def test_facts_are_folded_between_words_and_a_hash_stays_whole(source: Source) -> None:
    found = shown(source, 40)
    assert source.sha256 in found.replace("\n  ", "\n").splitlines()
    words = {word for line in shown(source).splitlines() for word in line.split()}
    assert {word for line in found.splitlines() for word in line.split()} == words


def test_quiet_says_nothing_of_a_good_file(source: Source) -> None:
    assert shown(source, quiet=True) == ""


def test_keys_are_shown_in_the_order_in_which_they_are_played() -> None:
    def held(key_id: str, version: str, first: int) -> HeldKey:
        use = KeyVersion(version=version, status="live", track_type="ALL", first=first, segments=3)
        return HeldKey(key_id=key_id, content_id="film", created_at=None, state="usable", versions=(use,))

    text = io.StringIO()
    keys = [held("a" * 32, "2", 1), held("b" * 32, "1", 0), held("c" * 32, "2", 0)]
    key_tables.shown(Console(file=text, width=200), keys)
    assert re.findall(r"^(\w)\1{31}", text.getvalue(), re.M) == ["c", "a", "b"], text.getvalue()
