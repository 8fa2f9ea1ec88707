"""Totals of many files: said once, at the end, to people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_cli_errors import ROOT
from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.cli.tally import FileTally
from vidpipe.diagnostics import Diagnostic
from vidpipe.validation import Validation

CLIP = str(ROOT / "fixtures" / "landscape-24.mp4")
SMALL = str(ROOT / "fixtures" / "one-second.mp4")
OK = Validation(file="a", refused=False)
WARNED = OK.model_copy(update={"findings": (Diagnostic(id="x", severity="warning", message="m"),)})
REFUSED = Validation(file="b", refused=True)


def test_a_tally() -> None:
    tally = FileTally(3)
    assert tally.line() is None
    tally.add(OK)
    tally.add(WARNED)
    assert tally.line() == "2 of 3 files: 1 ok, 1 with warnings, 0 refused", "of a run that was stopped"
    tally.add(REFUSED)
    assert (tally.line(), tally.refused) == ("3 files: 1 ok, 1 with warnings, 1 refused", 1)
    alone = FileTally(1)
    alone.add(OK)
    assert alone.line() is None


TOTALS = "3 files: 1 ok, 1 with warnings, 1 refused\n"


WHERE = [([], True, False), (["--json"], False, True), (["--json", "--progress", "none"], False, False)]
"""Options, and whether the totals are on standard output and on standard error."""


@pytest.mark.parametrize(("options", "out", "err"), WHERE, ids=lambda value: " ".join(value) if isinstance(value, list) else str(value))
def test_validate_ends_with_totals(
    options: list[str], out: bool, err: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDPIPE_HOME", str(tmp_path))
    arguments = ["validate", "--quick", CLIP, SMALL, __file__, *options]
    monkeypatch.setattr("sys.argv", ["vidpipe", *arguments])
    assert exits.run(invoke, arguments) == 3
    written = capsys.readouterr()
    assert (written.out.endswith(TOTALS), written.err.endswith(TOTALS)) == (out, err)
    if "--json" in options:
        assert [json.loads(line)["refused"] for line in written.out.splitlines()] == [False, False, True]


def test_totals_do_not_disturb_progress_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDPIPE_HOME", str(tmp_path))
    arguments = ["validate", "--quick", SMALL, SMALL, "--json", "--progress", "json"]
    monkeypatch.setattr("sys.argv", ["vidpipe", *arguments])
    assert exits.run(invoke, arguments) == 0
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()][-1] == "finished"
