"""Help texts as people read them: examples that work, options that are found, and wrong command lines that are answered usefully."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from vidpipe.cli import exits
from vidpipe.cli.app import app, invoke

ROOT = Path(__file__).parent.parent


def tree(command: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group with its name."""
    yield names, command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, *names, name)


PAGES = dict(tree(get_command(app)))
GROUPS = [names for names, command in PAGES.items() if hasattr(command, "commands")]
COMMANDS = [names for names in PAGES if names not in GROUPS]


@pytest.fixture
def page(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The help of a command."""
    monkeypatch.setenv("COLUMNS", "80")

    def shown(*names: str) -> str:
        assert exits.run(invoke, [*names, "--help"]) == 0
        return capsys.readouterr().out

    return shown


def examples(text: str) -> list[str]:
    """The examples of a help text."""
    return [line.strip() for line in text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()]


def commands_of(line: str) -> list[list[str]]:
    """The command lines of vidpipe in a line for a shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if re.fullmatch(r"[|&;]+", word):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part[1 : part.index(">") if ">" in part else None] for part in parts if part[0] == "vidpipe"]


@pytest.mark.parametrize("names", COMMANDS, ids=" ".join)
def test_every_command_has_three_examples_that_are_right(page: Any, names: tuple[str, ...]) -> None:
    lines = examples(page(*names))
    assert len(lines) == 3
    for line in lines:
        assert line.startswith(" ".join(("vidpipe", *names)))
        for arguments in commands_of(line):
            called = run_without_effect(arguments)
            assert arguments[: len(called)] == list(called)


@cache
def recording() -> tuple[Any, list[tuple[str, ...]]]:
    """Return the command line with commands that do nothing but note their names, and where they do. To build it takes 0.1 s."""
    root, called = get_command(app), []
    for names, command in tree(root):
        if names and not hasattr(command, "commands"):
            command.callback = lambda names=names, **given: called.append(names)
    return root, called


def run_without_effect(arguments: list[str]) -> tuple[str, ...]:
    """Read a command line as vidpipe does; return the name of the command that would have run."""
    root, called = recording()
    called.clear()
    with root.make_context("vidpipe", list(arguments)) as context:
        root.invoke(context)
    (name,) = called
    return name


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: " ".join(names) or "vidpipe")
def test_a_group_lists_commands_whole_and_shows_few_examples(page: Any, names: tuple[str, ...]) -> None:
    text = page(*names)
    assert len(examples(text)) <= 3
    for line in examples(text):
        run_without_effect(shlex.split(line)[1:])
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(listed) == len(PAGES[names].commands)  # one line each
    assert "..." not in "".join(listed)


@pytest.mark.parametrize("names", PAGES, ids=lambda names: " ".join(names) or "vidpipe")
def test_help_shows_no_types_and_no_limits_of_the_program(page: Any, names: tuple[str, ...]) -> None:
    text = page(*names)
    assert not re.search(r"<(?!NAME>)|\[default|\[required|x<=|x>=| None\b", text)
    assert max(len(line) for line in text.splitlines() if line.strip() not in examples(text)) <= 80
    for parameter in PAGES[names].params:
        about = getattr(parameter, "help", None)
        assert about, f"{parameter.name} has no help"
        assert re.fullmatch(r".*\.\)?", about), about


def test_the_options_of_ingest_are_grouped_by_what_people_do(page: Any) -> None:
    text = page("ingest")
    headings = ["Arguments", "What to publish", "Many titles", "Where", "Encoding and quality", "Protection", "Progress and output"]
    assert re.findall(r"^(\w[\w ]+):$", text, re.M)[: len(headings)] == headings
    section = re.search(r"^Protection:\n(.*?)\n\n", text, re.M | re.S)
    assert section
    assert re.findall(r"^  (--[a-z-]+)", section[1], re.M) == ["--encrypt", "--key-url", "--key-classes", "--key-rotation", "--new-key"]
    assert re.search(r"^  --title TEXT ", text, re.M)


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: " ".join(names) or "vidpipe")
def test_a_bare_group_is_its_help_and_no_error(page: Any, capsys: pytest.CaptureFixture[str], names: tuple[str, ...]) -> None:
    expected = page(*names)
    assert exits.run(invoke, list(names)) == 0
    assert capsys.readouterr() == (expected, "")


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], {}),
        (["--help"], {}),
        (["--version"], {}),
        (["catalog"], {}),
        (["ingest", "--help"], {}),
        (["ladders", "show", "fast", "--yaml"], {}),
        (["inspect", "nothing", "--json"], {}),
        ([], {"_VIDPIPE_COMPLETE": "source_zsh"}),
        ([], {"_VIDPIPE_COMPLETE": "complete_bash", "COMP_WORDS": "vidpipe", "COMP_CWORD": "1"}),
    ],
    ids=str,
)
def test_a_closed_output_pipe_is_exit_code_141(tmp_path: Path, arguments: list[str], variables: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environ = {**os.environ, **variables}
    argv = [sys.executable, str(ROOT / "cli.py"), *arguments]
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(argv, stdout=closed, stderr=subprocess.PIPE, env=environ, cwd=tmp_path, check=False)
    assert done.returncode == 141
    assert not re.search(rb"Traceback|Exception", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["ingest", "a.mov", "--progress", "foo"], "--progress: 'foo' is not allowed", "auto, bar, plain, json, none"),
        (["preview", "film", "--port", "x"], "--port: 'x' is not allowed", "from 0 to 65535, such as --port 8080"),
        (["preview", "film", "--port", "70000"], "--port: '70000' is not allowed", "such as --port 8080"),
        (["work", "clean", "--older-than", "nan"], "--older-than: 'nan' is not allowed", "such as --older-than 7"),
        (["work", "clean", "--older-than", "-1"], "--older-than: '-1' is not allowed", "such as --older-than 7"),
        (["ingest", "a.mov", "--meta", "x"], "--meta: 'x' is not key=value", "--meta season=2"),
        (["ingest", "a.mov", "--workers"], "Option '--workers' requires an argument", "vidpipe ingest --help"),
        (["ladders", "show"], "Missing argument 'NAME|FILE'", "write vidpipe ladders show [OPTIONS] NAME|FILE"),
        (["plan", "a.mov", "b.mov"], "unexpected extra argument", "write vidpipe plan [OPTIONS] SOURCE"),
        (["catalog", "shwo"], "No such command 'shwo'", "did you mean show? Else see vidpipe catalog --help"),
        (["ingest", "a.mov", "--id", "a/b", "--dry-run"], "--id: 'a/b' is not a content id", "letters, digits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_answered_with_what_to_type(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], what: str, fix: str
) -> None:
    monkeypatch.setenv("VIDPIPE_HOME", str(tmp_path))
    assert exits.run(invoke, arguments) == 2
    error, advice = capsys.readouterr().err.splitlines()
    assert what in error
    assert advice.startswith("fix: ")
    assert fix in advice
