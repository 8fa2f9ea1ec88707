"""With --json, whatever goes wrong is one JSON object on standard output; standard error has the words, and the exit code stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.errors import EncodeFailed

ROOT = Path(__file__).parent.parent
CLIP = str(ROOT / "fixtures" / "one-second.mp4")


@dataclass(frozen=True)
class Ran:
    """How a command line ended. values: the lines of standard output."""

    code: int
    values: list[dict[str, Any]]
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process, with an empty home, and read what it writes as JSON."""
    monkeypatch.setenv("VIDPIPE_HOME", str(tmp_path / "home"))

    def start(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["vidpipe", *arguments])
        code = exits.run(invoke, arguments)
        written = capsys.readouterr()
        return Ran(code, [json.loads(line) for line in written.out.splitlines()], written.err)

    return start


FAILURES: dict[str, tuple[list[str], int, str, str]] = {
    "unknown option": (["ingest", CLIP, "--json", "--nonsense"], 2, "usage-error", "No such option: --nonsense"),
    "unknown option before": (["ingest", "--nonsense", CLIP, "--json"], 2, "usage-error", "No such option: --nonsense"),
    "missing argument": (["plan", "--json"], 2, "usage-error", "Missing argument 'SOURCE'"),
    "unknown command": (["nonsense", "--json"], 2, "usage-error", "No such command 'nonsense'"),
    "wrong type": (["work", "clean", "--json", "--older-than", "x"], 2, "usage-error", "'x' is not allowed"),
    "wrong setting": (["ingest", CLIP, "--json", "--workers", "none"], 2, "usage-error", "'none' is not allowed"),
    "ingest": (["ingest", "no-such.mp4", "--json"], 3, "missing-source", "no such file"),
    "ingest --progress json": (["ingest", "no-such.mp4", "--json", "--progress", "json"], 3, "missing-source", "no such file"),
    "ingest --dry-run": (["ingest", "no-such.mp4", "--json", "--dry-run"], 3, "missing-source", "no such file"),
    "plan": (["plan", "no-such.mp4", "--json"], 3, "missing-source", "no such file"),
    "validate": (["validate", CLIP, "--json", "--policy", "no-such.yaml"], 2, "usage-error", "cannot be read"),
    "ladders show": (["ladders", "show", "nothing", "--json"], 2, "usage-error", "there is no ladder 'nothing'"),
    "catalog show": (["catalog", "show", "nothing", "--json"], 2, "usage-error", "there is no title 'nothing'"),
    "doctor": (["doctor", "--json", "--to", "s3://"], 2, "usage-error", "is not a bucket name"),
}


@pytest.mark.parametrize(("arguments", "code", "id_", "message"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_one_json_object(run: Run, arguments: list[str], code: int, id_: str, message: str) -> None:
    done = run(*arguments)
    (value,) = done.values
    assert value.keys() == {"format", "error"}
    assert value["format"] == "vidpipe.error/1"
    error = value["error"]
    assert (done.code, error["exit_code"]) == (code, code)
    (found,) = error["diagnostics"]
    assert (found["id"], found["severity"]) == (id_, "error")
    assert message in found["message"]
    assert found["advice"]
    assert error["message"][-1] == f"fix: {found['advice']}"
    if "json" in arguments:  # of --progress
        failed = json.loads(done.err.splitlines()[-1])
        assert {key: failed[key] for key in error} == error
    else:
        assert done.err == "error: " + "\n".join(error["message"]) + "\n"


def test_without_json_nothing_comes_on_standard_output(run: Run) -> None:
    for arguments in (["ingest", "no-such.mp4"], ["plan", "--nonsense"], ["ladders", "show", "nothing"], ["plan", "--", "--json"]):
        assert run(*arguments).values == []


def test_a_line_of_a_file_is_a_number(run: Run, tmp_path: Path) -> None:
    ladder = tmp_path / "mine.yaml"
    ladder.write_text("name: mine\ndescription: one\n\nrungs:\n  - name: 720p\n    hieght: 720\n")
    (value,) = run("ladders", "show", str(ladder), "--json").values
    found = {each["message"]: each for each in value["error"]["diagnostics"]}["unknown key 'hieght' in rung 1"]
    assert (found["file"], found["line"]) == (str(ladder), 6)
    assert f"{ladder}:6: unknown key 'hieght' in rung 1" in value["error"]["message"]


def test_a_refusal_has_every_finding_with_its_numbers(run: Run, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("low_resolution:\n  severity: error\n  lowest: 4000\nlow_bit_rate:\n  severity: error\n  lowest: 100\n")
    done = run("ingest", CLIP, "--json", "--policy", str(policy))
    (value,) = done.values
    assert done.code == 3
    small, thin = value["error"]["diagnostics"]
    assert (small["id"], small["severity"], small["file"], small["stream"]) == ("low-resolution", "error", CLIP, 0)
    assert small["limit"] == "4000 pixels"
    assert thin["id"] == "low-bit-rate"
    assert value["error"]["message"][1] == f"low-resolution: {small['message']}"
    lines = run("validate", CLIP, "--quick", "--json", "--policy", str(policy)).values
    assert [found for found in lines[0]["findings"] if found["severity"] == "error"] == [small, thin], "validate finds the same"


def test_a_file_that_validate_cannot_measure_is_a_line_among_the_others(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("text")
    done = run("validate", str(broken), CLIP, "--quick", "--json")
    assert done.code == 3
    refused, good = done.values
    assert [value["format"] for value in done.values] == ["vidpipe.validation/1"] * 2
    (found,) = refused["findings"]
    assert (found["id"], found["file"]) == ("unknown-container", str(broken))
    assert refused["problems"][0] == f"{broken}: {found['message']}"
    assert (good["refused"], good["problems"]) == (False, [])


def test_a_bug_is_json_too_with_its_traceback_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(arguments: object) -> None:
        raise ZeroDivisionError("one by nought")

    assert exits.run(broken, ["ingest", "--json", "--debug"]) == 70
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["diagnostics"][0]["id"] == "bug"
    assert "one by nought" in error["diagnostics"][0]["message"]
    assert "Traceback" in error["traceback"]


def test_what_ffmpeg_said_stands_in_the_message(capsys: pytest.CaptureFixture[str]) -> None:
    def failing(arguments: object) -> None:
        raise EncodeFailed("ffmpeg failed", where="chunk 3 of film.mp4", details=["ffmpeg: no space"], fix="make room")

    assert exits.run(failing, ["ingest", "--json"]) == 4
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["message"] == ["chunk 3 of film.mp4: ffmpeg failed", "ffmpeg: no space", "fix: make room"]
    assert error["diagnostics"][0]["file"] == "chunk 3 of film.mp4"


@pytest.mark.parametrize("kind", ["a full disk", "no reader"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_error_that_cannot_be_written_keeps_its_exit_code(kind: str, tmp_path: Path) -> None:
    argv = [sys.executable, str(ROOT / "cli.py"), "plan", "no-such.mp4", "--json", "--home", str(tmp_path)]
    if kind == "a full disk":
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        os.close(writer)
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["error: no-such.mp4: no such file", "fix: check the name and the folder"]
