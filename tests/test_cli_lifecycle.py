"""The commands of ``vidpipe catalog`` that change what is published: words, JSON, exit codes, and a question on a terminal alone."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import KEY, Encoded
from vidpipe.cli import exits
from vidpipe.cli.app import invoke

ROOT = Path(__file__).parent.parent
SECOND = "20261121T000000Z-222222"


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    made = House(tmp_path, encoded_title)
    made.publish(SECOND, age=1)
    return made


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command of the catalog; return its exit code and both outputs."""
    monkeypatch.setenv("VIDPIPE_HOME", str(house.settings.home))

    def start(*arguments: str) -> tuple[int, str, str]:
        code = exits.run(invoke, ["catalog", *arguments])
        written = capsys.readouterr()
        return code, written.out, written.err

    return start


def said(done: tuple[int, str, str]) -> Any:
    assert done[0] == 0, done[2]
    return json.loads(done[1])


def test_without_a_terminal_nothing_is_asked(run: Run, house: House) -> None:
    code, out, _ = run("rollback", TITLE, "--progress", "none")
    assert code == 0
    assert f"{TITLE} is live: version {FIRST}, in place of version {SECOND}" in out
    assert "size and hash of each as published" in out
    code, out, _ = run("versions", TITLE)
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [[SECOND, "superseded"], [FIRST, "live"]]
    assert run("withdraw", TITLE)[0] == 0
    code, out, _ = run("delete", TITLE)
    assert code == 0
    assert "deleted 2 versions" in out
    assert house.states == {}


def test_results_are_json_for_programs(run: Run) -> None:
    records = said(run("versions", TITLE, "--json"))
    assert [(record["version"], record["status"]) for record in records] == [(SECOND, "live"), (FIRST, "superseded")]
    planned = said(run("rollback", TITLE, "--dry-run", "--json"))
    assert (planned["dry_run"], planned["proof"]) == (True, None)
    assert (planned["record"]["version"], planned["replaced"]["version"]) == (FIRST, SECOND)
    done = said(run("rollback", TITLE, FIRST, "--json"))
    assert (done["record"]["status"], done["replaced"]["status"], done["proof"]["by"]) == ("live", "superseded", "inventory")
    assert said(run("rollback", TITLE, FIRST, "--json"))["unchanged"]
    new = said(run("set", TITLE, "--title", "B", "--meta", "season=", "--meta", "x=1", "--json"))
    assert (new["record"]["title"], new["record"]["metadata"], new["title"]) == ("B", {"x": "1"}, "B")
    pruned = said(run("prune", "--keep", "0", "--older-than", "0", "--json"))
    assert {gone["version"] for gone in pruned["removed"]} == {FIRST, SECOND}
    assert {*pruned["removed"][0]} == {"content_id", "version", "target", "objects", "bytes", "key_ids"}
    assert said(run("withdraw", TITLE, "--json"))["record"]["status"] == "withdrawn"
    assert said(run("restore", TITLE, "--json"))["record"]["status"] == "live"
    assert said(run("withdraw", TITLE, "--json"))["record"]["status"] == "withdrawn"
    (gone,) = said(run("delete", TITLE, "--json"))["removed"]
    assert (gone["version"], gone["key_ids"]) == (new["record"]["version"], [KEY.key_id])


def test_each_says_what_it_would_do(run: Run, house: House) -> None:
    before = house.states
    assert f"Version {FIRST} of {TITLE} (Film) becomes live in place of version {SECOND} (Film)." in run("rollback", TITLE, "--dry-run")[1]
    assert f"Version {SECOND} of {TITLE} (Film) is taken down." in run("withdraw", TITLE, "--dry-run")[1]
    out = run("set", TITLE, "--title", "B", "--meta", "season=", "--meta", "genre=x", "--dry-run")[1]
    assert f"A new version of {TITLE} says: title 'B', genre=x, season=." in out
    assert "would delete 1 version," in run("prune", "--keep", "0", "--older-than", "0h", "--dry-run")[1]
    assert "nothing to delete" in run("prune", "--dry-run")[1]
    assert "is unchanged" in run("restore", TITLE, "--dry-run")[1]
    assert house.states == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("delete", TITLE), "vidpipe catalog withdraw title"),
        (("rollback", "titel"), "did you mean title?"),
        (("set", TITLE), "nothing is to be changed"),
        (("prune", "--older-than", "soon"), "12h, 30d, 8w"),
        (("prune", "--older-than", "-1d"), "12h, 30d, 8w"),
        (("prune", "--older-than", ""), "12h, 30d, 8w"),
        (("prune", "--older-than", "9e99w"), "12h, 30d, 8w"),
        (("rollback", TITLE, "v9"), "vidpipe catalog versions title"),
    ],
    ids=["live", "near", "nothing", "word", "negative", "empty", "huge", "version"],
)
def test_what_cannot_be_done_is_a_sentence_and_an_advice(run: Run, arguments: tuple[str, ...], says: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert says in err


def test_a_version_that_does_not_play_ends_with_six(run: Run, house: House) -> None:
    house.file(FIRST, "video/low/00001.m4s").unlink()
    code, out, _ = run("rollback", TITLE, "--json")
    assert code == 6
    assert json.loads(out)["error"]["exit_code"] == 6


def test_progress_json_is_all_of_standard_error(run: Run) -> None:
    code, _, err = run("rollback", TITLE, "--progress", "json")
    events = [json.loads(line) for line in err.splitlines()]
    assert code == 0
    stages = ["stage_started", "note", "stage_finished", "stage_started", "stage_finished"]
    assert [event["event"] for event in events if event["event"] != "verify_progress"] == [*stages, "live", "finished"]
    _, _, err = run("prune", "--keep", "0", "--older-than", "0", "--progress", "json")
    (deleted,) = [event for event in map(json.loads, err.splitlines()) if event["event"] == "deleted"]
    assert (deleted["content_id"], deleted["version"], deleted["objects"] > 10, deleted["bytes"] > 1000) == (TITLE, SECOND, True, True)


def test_a_title_that_is_withdrawn_is_shown_as_such(run: Run) -> None:
    run("withdraw", TITLE)
    code, _, err = run("show", TITLE)
    assert code == 2
    assert "error: title has no live version: it is withdrawn" in err
    assert "vidpipe catalog restore title" in err


@pytest.mark.parametrize("answer", ["y", "n"])
def test_on_a_terminal_it_asks_first(answer: str, house: House) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, str(ROOT / "cli.py"), "catalog", "withdraw", TITLE]
    environ = {**os.environ, "VIDPIPE_HOME": str(house.settings.home)}
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environ) as process:
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        process.communicate(timeout=60)
        shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert f"Version {SECOND} of {TITLE} (Film) is taken down. Go on?" in shown
    assert (process.returncode, house.states[SECOND]) == ((0, "withdrawn") if answer == "y" else (130, "live"))
