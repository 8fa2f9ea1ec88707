"""Commands that are proposed to a person: complete, ready to be pasted, and without their secrets."""

from __future__ import annotations

import shlex

import pytest

from vidpipe.cli.hints import again, command, folded, with_home

AGAIN = {
    "as given": (["ingest", "a film.mov", "--home", "/srv/x"], "vidpipe ingest 'a film.mov' --home /srv/x", False),
    "a signed address": (["ingest", "https://u:p@host/film.mp4?Sig=abc", "--id", "x"], "vidpipe ingest https://host/film.mp4 --id x", True),
    "an open address": (["ingest", "s3://masters/film.mov"], "vidpipe ingest s3://masters/film.mov", False),
    "a template of key URLs": (
        ["ingest", "f.mp4", "--key-url", "https://keys/{key_id}?v=1"], "vidpipe ingest f.mp4 --key-url 'https://keys/{key_id}?v=1'", False,
    ),
    "the same in one word": (
        ["ingest", "f.mp4", "--key-url=https://keys/{key_id}?v=1"], "vidpipe ingest f.mp4 '--key-url=https://keys/{key_id}?v=1'", False,
    ),
    "an address as a value": (["ingest", "f.mp4", "--to=s3://u:p@b/x"], "vidpipe ingest f.mp4 --to=s3://b/x", True),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "shown", "hidden"), AGAIN.values(), ids=AGAIN)
def test_the_command_again(arguments: list[str], shown: str, hidden: bool) -> None:
    words, without = again(arguments)
    assert (shlex.join(words), without) == (shown, hidden)


def test_a_command_names_the_home_that_was_given() -> None:
    assert command("preview", "film", home=None) == ["vidpipe", "preview", "film"]
    assert command("preview", "film", home="/a b") == ["vidpipe", "preview", "film", "--home", "/a b"]


ADVICE = {
    "its own option": ("give it up: vidpipe work clean --unfinished", "give it up: vidpipe work clean --unfinished --home '/a b'"),
    "two commands": ("`vidpipe work list`, `vidpipe doctor`", "`vidpipe work list --home '/a b'`, `vidpipe doctor --home '/a b'`"),
    "one without a home": ("start from: vidpipe ladders show streaming --yaml", "start from: vidpipe ladders show streaming --yaml"),
    "no command": ("report it to the vidpipe maintainers", "report it to the vidpipe maintainers"),
    "an argument": ("vidpipe validate FILE says where", "vidpipe validate FILE --home '/a b' says where"),
}


@pytest.mark.parametrize(("advice", "completed"), ADVICE.values(), ids=ADVICE)
@pytest.mark.parametrize("given", [["--home", "/a b"], ["--home=/a b"]], ids=["two words", "one"])
def test_advice_names_the_home_that_was_given(advice: str, completed: str, given: list[str]) -> None:
    assert with_home(advice, ["ingest", "x.mp4", *given]) == completed
    assert with_home(advice, ["ingest", "x.mp4"]) == advice


@pytest.mark.parametrize("width", [30, 40, 200])
def test_a_folded_command_is_the_same_command(width: int) -> None:
    words = ["vidpipe", "ingest", "a 'film'.mov", "--home", "/srv/a/b/c", "--ladder", "fast"]
    lines = folded(words, width)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    assert max(map(len, lines)) <= width
