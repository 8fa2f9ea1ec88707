"""``vidpipe catalog list, search, export, import`` as a person at a terminal and a script behind a pipe meet them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.test_catalog import record
from vidpipe.catalog.store import Catalog
from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.cli.filters import ORDERS
from vidpipe.cli.listing import COLUMNS

ROOT = Path(__file__).parent.parent
LONG = "A title that is much longer than any terminal is wide, and goes on and on and on and on and on"
TITLES = {
    "short": "Film",
    "a-content-id-that-is-itself-rather-long-for-a-narrow-terminal": LONG,
    "wide": "東京物語 " * 12,
    "tabs": "a\tb\x1b[31m\nc",
    "marks": "e\u0301\u0301 👩\u200d👩\u200d👧 " * 10,
}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with some titles, one of them in two versions."""
    folder = tmp_path_factory.mktemp("home")
    with Catalog(folder / "catalog.db") as catalog:
        catalog.publish(record("short", "v0", title="An older cut"), "f")
        for hours, (content_id, title) in enumerate(TITLES.items()):
            made = datetime(2026, 11, 20, hours, tzinfo=UTC) + timedelta(days=1)
            catalog.publish(record(content_id, title=title, created_at=made, duration=60.0 * (hours + 1), metadata={"genre": "Drama"}), "f")
    return folder


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("VIDPIPE_HOME", str(home))

    def start(*arguments: str) -> tuple[int, str, str]:
        code = exits.run(invoke, ("catalog", *arguments))
        written = capsys.readouterr()
        return code, written.out, written.err

    return start


def on_terminal(home: Path, columns: int, *arguments: str) -> list[str]:
    """Return the lines that a terminal of this width shows, without their colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environ |= {"VIDPIPE_HOME": str(home), "TERM": "xterm"}
    argv = [sys.executable, str(ROOT / "cli.py"), "catalog", *arguments]
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=environ) as process:
        os.close(slave)
        data = b""
        try:
            while block := os.read(master, 65536):
                data += block
        except OSError:  # EIO: the other end is closed
            pass
        os.close(master)
        assert process.stderr
        said = process.stderr.read().decode()
        assert process.wait() == 0, said
    return re.sub(r"\x1b\[[0-9;]*m", "", data.decode()).splitlines()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 81, 100, 140])
def test_a_terminal_shows_one_line_a_title_that_fits(columns: int, home: Path) -> None:
    heading, *lines = on_terminal(home, columns, "list")
    assert len(lines) == len(TITLES)
    assert all(cell_len(line) <= columns for line in (heading, *lines)), lines
    assert heading.split()[:2] == ["id", "title"]
    if columns >= 80:
        assert heading.split()[:6] == ["id", "title", "duration", "height", "state", "created"]
        assert all(re.search(r" [1-5]:00    720p  live   2026-11-21\b", line) for line in lines), lines
        at = {cell_len(line[: line.index("720p")]) for line in lines}
        assert len(at) == 1  # also behind wide characters
    assert "\x1b" not in "".join(lines)
    assert any("…" in line for line in lines) == (columns < 1000)


def test_a_wide_terminal_shows_all_columns(home: Path) -> None:
    heading, *lines = on_terminal(home, 400, "list")
    assert heading.split("  ")[0] == "id"
    assert all(column.heading in heading for column in COLUMNS)
    assert any(LONG in line for line in lines)
    assert all(line.endswith("s3://titles/p/t/v/master.m3u8") for line in lines)


def test_what_is_piped_has_every_column_between_tabs(run: Run) -> None:
    code, out, err = run("list")
    rows = [line.split("\t") for line in out.splitlines()]
    assert (code, err, len(rows)) == (0, "", len(TITLES))
    assert all(len(row) == len(COLUMNS) for row in rows)
    shown = {row[0]: row for row in rows}
    assert shown["tabs"][1] == "a\\tb\\x1b[31m\\nc"
    assert shown["short"] == ["short", "Film", "1:00", "720p", "live", "2026-11-21", "v1", "en", "de", "aes-128", "720", "s3://titles/p/t/v/master.m3u8"]
    assert LONG in out


def test_json_is_one_object_with_the_cursor_of_the_next_page(run: Run) -> None:
    whole = json.loads(run("list", "--json")[1])
    assert (list(whole), whole["next"], len(whole["titles"])) == (["titles", "next"], None, len(TITLES))
    pages, after = [], []
    while True:
        page = json.loads(run("list", "--json", "--limit", "2", *after)[1])
        pages.append(page["titles"])
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [each for page in pages for each in page] == whole["titles"]
    assert json.loads(run("search", "nowhere", "--json")[1]) == {"titles": [], "next": None}


def test_people_are_shown_how_to_go_on(run: Run) -> None:
    _, out, err = run("list", "--limit", "2")
    found = re.fullmatch(r"there are more: the same command with --after (\S+)\n", err)
    assert found
    assert out.count("\n") == 2
    assert run("list", "--limit", "9", "--after", found[1])[1].count("\n") == 3
    assert run("list", "--limit", "5")[2] == ""


def test_options_become_conditions(run: Run) -> None:
    def ids(*arguments: str) -> list[str]:
        code, out, err = run(*arguments)
        assert code == 0, err
        return [line.split("\t")[0] for line in out.splitlines()]

    assert ids("search", "FIL") == ["short"]
    assert ids("search", "東京") == ["wide"]
    assert ids("search", "older", "cut") == []
    assert ids("search", "older", "cut", "--state", "superseded", "--state", "live") == ["short"]
    assert ids("list", "--id", "s", "--state", "all") == ["short", "short"]
    assert ids("list", "--id", "*s") == ["marks", "tabs"]
    assert len(ids("list", "--meta", "genre=drama", "--language", "de", "--height", "720", "--encrypt", "aes-128")) == len(TITLES)
    assert ids("list", "--height", "1080") == []
    assert ids("list", "--min-duration", "0:04:00") == ["marks", "tabs"]
    assert ids("list", "--max-duration", "60") == ["short"]
    assert ids("list", "--created-before", "2026-11-21T01:00") == ["short"]
    assert ids("list", "--created-after", "2026-11-21T05:00+01:00") == ["marks"]
    assert ids("list", "--sort", "created", "--limit", "1") == ["marks"]
    assert ids("list", "--sort", "created", "--reverse", "--limit", "1") == ["short"]
    assert {tuple(sorted(ids("list", "--sort", order))) for order in ORDERS} == {tuple(sorted(TITLES))}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--sort", "size"], "--sort: 'size' is not an order"),
        (["list", "--state", "gone"], "--state: 'gone' is not a state"),
        (["list", "--created-after", "yesterday"], "--created-after: 'yesterday' is not a date"),
        (["list", "--max-duration", "1h"], "--max-duration: '1h' is not a time"),
        (["list", "--meta", "genre"], "--meta: 'genre' is not key=value"),
        (["list", "--after", "x"], "--after: this cursor does not belong to this order"),
        (["search", "?!"], "there is nothing to search for"),
        (["import", "/nowhere/x"], "/nowhere/x: the file cannot be opened: No such file or directory"),
        (["import", "/"], "/: the file cannot be opened: Is a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_named(arguments: list[str], says: str, run: Run) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {says}\nfix: ")


def test_nothing_found_is_said_beside_the_result(run: Run, tmp_path: Path) -> None:
    assert run("search", "nowhere") == (0, "", "no titles found\n")
    assert run("list", "--home", str(tmp_path)) == (0, "", "no titles yet; make one with: vidpipe ingest SOURCE\n")


def test_an_export_passes_through_a_pipe_into_another_catalog(home: Path, tmp_path: Path) -> None:
    vidpipe = f"{sys.executable} {ROOT / 'cli.py'} catalog"
    pipe = f"{vidpipe} export --home {home} | {vidpipe} import - --home {tmp_path}"
    for says in ("would add 6 versions; 0 versions", "added 6 versions; 0 versions", "added 0 versions; 6 versions"):
        option = " --dry-run" if says.startswith("would") else ""
        done = subprocess.run(["/bin/sh", "-c", pipe + option], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{says} already in the catalog\n")
    exports = [f"{vidpipe} export --home {where}".split() for where in (home, tmp_path)]
    both = [subprocess.run(argv, capture_output=True, check=True).stdout for argv in exports]
    assert both[0] == both[1]
    assert both[0].count(b"\n") == 6


def test_an_import_reports_itself_as_json(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(run("export", "--id", "short")[1])
    assert json.loads(run("import", str(file), "--json", "--home", str(tmp_path))[1]) == {"dry_run": False, "added": 2, "unchanged": 0}
    assert json.loads(run("import", str(file), "--json", "--dry-run")[1]) == {"dry_run": True, "added": 0, "unchanged": 2}
