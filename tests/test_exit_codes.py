"""The exit code of an ingest and the catalog say the same, whatever comes at whichever step: signals, outputs that take nothing.

Steps have names, and the process sends the signal to itself there, so that no clock decides which step it hits.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import IO, Any

import pytest

from tests.ingest_support import FIXTURES, ladder
from vidpipe.catalog.store import Catalog

CLIP = FIXTURES / "one-second.mp4"
DRIVER = """
import functools, os, signal, sys

steps, wanted, signals = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1).split("+")

def step(name):
    global wanted
    with open(steps, "a") as file:
        file.write(name + "\\n")
    if name == wanted:
        wanted = ""
        for each in signals:
            os.kill(os.getpid(), getattr(signal, each))  # the handler has run when this returns

def around(owner, name, label):
    inner = getattr(owner, name)
    @functools.wraps(inner)
    def outer(*arguments, **options):
        step("before " + label(*arguments))
        result = inner(*arguments, **options)
        step("after " + label(*arguments))
        return result
    setattr(owner, name, outer)

from vidpipe import cli, inventory
from vidpipe.work import jobs as job
from vidpipe.pipeline import ingest as pipeline
from vidpipe.catalog import store
from vidpipe.cli import app, exits, reporters, summary

def event(_, happening):
    return " ".join([happening.event, *([happening.stage] if hasattr(happening, "stage") else [])])

around(reporters.UntilLive, "emit", event)
for owner, name in (
    (pipeline, "seal"), (store.Catalog, "publish"), (store.Catalog, "_publish"), (job.Claim, "finish"), (store.Catalog, "close"),
    (pipeline, "ingest"), (reporters.Plain, "close"), (app, "write_json"), (summary, "finished"), (exits, "run"),
):
    around(owner, name, lambda *_, name=name: name)
cli.main()
"""
NUMBER = count(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a live version of ``film``; every further one has another title and reuses its chunks."""
    folder = tmp_path_factory.mktemp("home")
    ingest(folder, "First")
    return folder


def ingest(home: Path, title: str, step: str = "", signals: str = "", out: int | IO[Any] = subprocess.PIPE) -> tuple[int, str, list[str]]:
    """Ingest the clip under a title; return the exit code, standard error, and the steps that were passed."""
    steps = home / f"{title}.steps"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")}
    options = ["--id", "film", "--home", str(home), "--ladder", ladder(home, 90), "--encrypt", "none", "--json", "--progress", "plain"]
    argv = [sys.executable, "-c", DRIVER, str(steps), step, signals, "ingest", str(CLIP), "--title", title, *options]
    with subprocess.Popen(argv, stdout=out, stderr=subprocess.PIPE, text=True, env=environ, cwd=home) as process:
        _, stderr = process.communicate(timeout=120)
    return process.returncode, stderr, steps.read_text().splitlines()


def title_of(home: Path) -> str:
    with closing(Catalog(f"sqlite:///{home / 'catalog.db'}")) as catalog:
        live = catalog.live("film")
    assert live
    return live[0].title


def assert_honest(home: Path, step: str, signals: str) -> int:
    title = f"Title {next(NUMBER)}"
    before = title_of(home)
    code, stderr, steps = ingest(home, title, step, signals)
    assert step in steps, "it was passed"
    assert title_of(home) == (title if code == 0 else before), (code, stderr)
    assert code in (0, 130), stderr
    assert "Traceback" not in stderr
    return code


@pytest.mark.parametrize(
    ("step", "signals", "code"),
    [
        ("after seal", "SIGTERM", 130),
        ("before stage_started catalog", "SIGINT", 130),
        pytest.param("before stage_started catalog", "SIGINT+SIGINT", 130, marks=pytest.mark.nightly),
        ("before publish", "SIGINT+SIGINT", 0),
        ("after _publish", "SIGTERM", 0),
        pytest.param("after publish", "SIGINT+SIGTERM", 0, marks=pytest.mark.nightly),
        ("before finish", "SIGHUP", 0),
        pytest.param("after ingest", "SIGINT", 0, marks=pytest.mark.nightly),
        pytest.param("after close", "SIGTERM", 0, marks=pytest.mark.nightly),
        ("before write_json", "SIGTERM", 0),
        pytest.param("after write_json", "SIGINT+SIGINT", 0, marks=pytest.mark.nightly),
        pytest.param("before finished", "SIGINT", 0, marks=pytest.mark.nightly),
        ("after run", "SIGTERM+SIGINT", 0),
    ],
)
def test_the_exit_code_says_what_the_catalog_says(step: str, signals: str, code: int, home: Path) -> None:
    assert assert_honest(home, step, signals) == code


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("signals", ["SIGINT", "SIGTERM", "SIGHUP", "SIGINT+SIGINT", "SIGTERM+SIGTERM"])
def test_at_every_step(signals: str, home: Path) -> None:
    _, _, steps = ingest(home, f"All of {signals}")
    for step in dict.fromkeys(steps):
        if step != "before run":  # no handler is set yet, and nothing begun
            assert_honest(home, step, signals)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("kind", ["a full disk", "no reader"])
def test_a_result_that_cannot_be_written_is_a_warning(kind: str, home: Path) -> None:
    title = f"Title {next(NUMBER)}"
    if kind == "a full disk":
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            code, stderr, _ = ingest(home, title, out=full)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        code, stderr, _ = ingest(home, title, out=writer)
        os.close(writer)
    assert (code, title_of(home)) == (0, title), stderr
    assert "film is live, but its record could not be written" in stderr
    assert "vidpipe catalog show film --json" in stderr
    assert "Traceback" not in stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [["catalog", "schema"], ["ladders", "list"], ["plan", str(CLIP), "--json"]], ids=" ".join)
def test_other_output_that_cannot_be_written_is_no_bug(arguments: list[str], home: Path) -> None:
    code = "from vidpipe.cli import main; main()"
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        argv = [sys.executable, "-c", code, *arguments, "--home", str(home)]
        argv = argv if arguments[0] == "plan" else argv[:-2]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 74
    assert "the output cannot be written: No space left on device" in done.stderr
    assert "bug" not in done.stderr
