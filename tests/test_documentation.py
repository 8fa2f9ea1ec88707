"""README, CONTRIBUTING and docs/: links lead somewhere, commands and options exist, pictures are small, lists of tests are whole."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from vidpipe.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PICTURES = sorted(path for path in (ROOT / "docs" / "pictures").iterdir() if path.suffix in (".svg", ".png"))
COMMAND = re.compile(r"\bvidpipe ((?:[a-z]+ )*[a-z]+(?:-[a-z]+)*\b)?([^`|;&>\n]*)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r'src="([^"]+)"', re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    for link in links:
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.is_file(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.M) if anchor else []
        anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert not anchor or anchor in anchors, link


@cache
def _program() -> Any:
    return get_command(app)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    for words, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
        command = _program()
        for word in words.split():
            below = getattr(command, "commands", {})
            if word not in below:  # an argument; or a sentence: "vidpipe takes each setting"
                break
            command = below[word]
        known = {"--help"} | {name for parameter in command.params for name in parameter.opts}
        given = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest))
        assert given <= known, f"vidpipe {words}{rest}: {given - known}"


def test_mutants_meet_every_test_of_their_modules() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    packages = {pattern.removeprefix("vidpipe/").removesuffix("/*") for pattern in configured["only_mutate"]}
    assert packages == {"pipeline", "publish", "protect", "verify", "catalog", "lifecycle"}
    tests = {f"tests/{path.name}" for package in packages for path in (ROOT / "tests").glob(f"test_{package}*.py")}
    chosen = configured["pytest_add_cli_args_test_selection"]
    assert tests <= set(chosen)
    assert all((ROOT / path).is_file() for path in chosen)


def test_the_pictures_are_small_and_show_nothing_of_a_machine() -> None:
    assert [picture.name for picture in PICTURES] == ["plan.svg", "player.png", "players.svg", "terminal.svg"]
    for picture in PICTURES:
        assert picture.stat().st_size < 100_000
        if picture.suffix == ".svg":
            drawn = picture.read_text(encoding="utf-8")
            assert not re.search(r"/(tmp|home|root|Users)/|https?://(?!www\.w3\.org|www\.textualize\.io)", drawn)
