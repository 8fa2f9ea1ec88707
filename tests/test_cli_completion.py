"""Completion as bash, zsh and fish ask for it, and that it answers quickly and never with a message."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from vidpipe.catalog.live_ids import MOST, live_ids
from vidpipe.catalog.store import Catalog

ROOT = Path(__file__).parent.parent
BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose catalog has the live titles ``film`` and ``film-2`` and a superseded ``film-old``."""
    folder = tmp_path_factory.mktemp("home")
    fill(folder / "catalog.db", {"film": "live", "film-2": "live", "film-old": "superseded"})
    return folder


def fill(file: Path, titles: dict[str, str]) -> None:
    """Make a catalog with these ids and states."""
    with closing(Catalog(file)) as catalog:
        catalog.list()  # creates the tables
    rows = [(content_id, "v1", status, "2026-01-01T00:00:00+00:00", "f", "{}") for content_id, status in titles.items()]
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany("INSERT INTO vidpipe_versions VALUES (?, ?, ?, ?, ?, ?)", rows)


def complete(shell: str, line: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Ask for the completions of a line as the script of a shell does."""
    environ = {**os.environ, "_VIDPIPE_COMPLETE": f"complete_{shell}", **variables}
    words = line.split(" ")
    environ |= {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)}
    environ |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return subprocess.run([sys.executable, str(ROOT / "cli.py")], capture_output=True, text=True, env=environ, cwd=cwd, check=False)


@pytest.fixture(scope="module")
def for_bash() -> str:
    """What a user of bash evaluates at the beginning of a session."""
    environ = {**os.environ, "_VIDPIPE_COMPLETE": "source_bash"}
    return subprocess.run([sys.executable, str(ROOT / "cli.py")], capture_output=True, text=True, env=environ, check=True).stdout


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vidpipe cat", ["catalog"]),
        ("vidpipe ingest --ladder ", ["apple-avc", "apple-hevc", "fast", "mobile", "premium", "streaming", "mine.yaml", "mobile-2.yml"]),
        ("vidpipe ingest -l mo", ["mobile", "mobile-2.yml"]),
        ("vidpipe ingest --ladder = st", ["streaming"]),  # bash takes --ladder=st apart
        ("vidpipe ladders show m", ["mobile", "mine.yaml", "mobile-2.yml"]),
        ("vidpipe ladders check ", ["mine.yaml", "mobile-2.yml"]),
        ("vidpipe ingest --policy mi", ["mine.yaml"]),
        ("vidpipe preview ", ["film", "film-2"]),
        ("vidpipe catalog show film-", ["film-2"]),
        ("vidpipe ingest film.mov --id f", ["film", "film-2"]),
        ("vidpipe ingest --encrypt a", ["aes-128"]),
        ("vidpipe ingest --progress ", ["auto", "bar", "plain", "json", "none"]),
        ("vidpipe ingest --cluster-", ["--cluster-work"]),
        ("vidpipe ingest fi", []),  # files and folders: the shell knows them
        ("vidpipe ingest --to fi", []),
        ("vidpipe ingest --ladder ./m", []),
    ],
)
def test_a_real_bash_gets_what_may_stand_there(home: Path, for_bash: str, tmp_path: Path, line: str, expected: list[str]) -> None:
    if BASH is None:
        pytest.skip("needs bash")
    for name in ("mine.yaml", "mobile-2.yml", "with space.yaml", "film.mov"):
        (tmp_path / name).touch()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "vidpipe"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "cli.py"}" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "completion").write_text(for_bash)
    script = (
        'eval "$(cat completion)"\n'
        'complete -p vidpipe | grep -q -- "-o default"\n'  # files and folders when there is nothing else
        f"IFS=' '; mapfile -t COMP_WORDS < <(printf '%s' '{line}' | tr ' ' '\\n'; printf '\\n')\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "_vidpipe_completion vidpipe\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environ = {**os.environ, "VIDPIPE_HOME": str(home), "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [BASH, "--norc", "-e", "-c", script], capture_output=True, text=True, env=environ, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[:-1] == (expected or [""])


@pytest.mark.parametrize(
    ("shell", "expected"), [("zsh", '_arguments \'*: :(("film"\n"film-2"))\'\n'), ("fish", "film\nfilm-2\n")]
)
def test_zsh_and_fish_get_the_same(home: Path, tmp_path: Path, shell: str, expected: str) -> None:
    done = complete(shell, "vidpipe preview ", tmp_path, VIDPIPE_HOME=str(home))
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_titles_come_from_the_home_that_is_given(home: Path, tmp_path: Path) -> None:
    fill(tmp_path / "catalog.db", {"other": "live"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "vidpipe.toml").write_text(f'catalog_url = "sqlite:///{tmp_path / "catalog.db"}"\n')
    for arguments, variables, expected in (
        (f"--home {tmp_path} ", {"VIDPIPE_HOME": str(home)}, "other"),
        (f"--home={home} ", {}, "film\nfilm-2"),
        ("", {"VIDPIPE_HOME": str(elsewhere)}, "other"),
        ("", {"VIDPIPE_HOME": str(home), "VIDPIPE_CATALOG_URL": f"sqlite:///{tmp_path / 'catalog.db'}"}, "other"),
        ("", {"VIDPIPE_HOME": str(home), "VIDPIPE_CATALOG_URL": "postgresql://u@127.0.0.1:1/x"}, ""),
    ):
        done = complete("bash", f"vidpipe catalog show {arguments}", tmp_path, **variables)
        assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_broken_state_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    for name, prepare in {
        "no such home": lambda home: None,
        "no catalog": lambda home: home.mkdir(),
        "garbage": lambda home: (home.mkdir(), (home / "catalog.db").write_bytes(b"garbage" * 999)),
        "other tables": lambda home: (home.mkdir(), (home / "catalog.db").touch()),
        "a folder": lambda home: (home / "catalog.db").mkdir(parents=True),
        "broken toml": lambda home: (home.mkdir(), (home / "vidpipe.toml").write_text("catalog_url = ")),
        "number": lambda home: (home.mkdir(), (home / "vidpipe.toml").write_text("catalog_url = 5")),
    }.items():
        home = tmp_path / name
        prepare(home)
        before = sorted(home.rglob("*"))
        done = complete("bash", "vidpipe catalog show ", tmp_path, VIDPIPE_HOME=str(home))
        assert (done.returncode, done.stdout, done.stderr) == (0, "\n", ""), name
        assert sorted(home.rglob("*")) == before
    for line in ("vidpipe catalog show 'unclosed", "vidpipe nonsense ", "vidpipe ingest --workers x --ladder ", 'vidpipe "'):
        done = complete("bash", line, tmp_path, VIDPIPE_HOME="~nobody-of-that-name/x")
        assert (done.returncode, done.stderr) == (0, ""), line
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir "{gone}"; exec "{sys.executable}" "{ROOT / "cli.py"}"'
    asked = {"_VIDPIPE_COMPLETE": "complete_bash", "COMP_WORDS": "vidpipe\ningest\n--ladder\nf", "COMP_CWORD": "3"}
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, cwd=gone, env=os.environ | asked, check=False)
    assert (done.stdout, done.stderr) == ("fast\n", "")


def test_a_catalog_that_is_being_written_to_and_a_large_one(tmp_path: Path) -> None:
    file = tmp_path / "a %?#.db"
    fill(file, {f"title-{number:04}": "live" for number in range(MOST + 50)})
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert live_ids(file) == [f"title-{number:04}" for number in range(MOST)]
        assert live_ids(file, "title-0249") == ["title-0249"]
        assert live_ids(file, "TITLE") == live_ids(file, "title_") == []


def test_a_catalog_that_is_held_keeps_nobody_from_typing(tmp_path: Path) -> None:
    file = tmp_path / "catalog.db"
    fill(file, {"film": "live"})
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert live_ids(file) == []
        assert time.monotonic() - began < 3


def test_completion_loads_neither_sqlalchemy_nor_the_settings(home: Path, tmp_path: Path) -> None:
    unwanted = ("sqlalchemy", "vidpipe.settings", "vidpipe.pipeline.ingest", "boto3", "rich")
    program = (
        "import sys\n"
        "from vidpipe.cli import main\n"
        "sys.argv = ['vidpipe']\n"
        f"try:\n    main()\nfinally:\n    print(sorted(set({unwanted!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    environ = {**os.environ, "_VIDPIPE_COMPLETE": "complete_bash", "COMP_WORDS": "vidpipe\npreview\n", "COMP_CWORD": "2"}
    environ["VIDPIPE_HOME"] = str(home)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)
    assert (done.stdout, done.stderr) == ("film\nfilm-2\n", "[]\n")
