"""vidpipe policy: show and check; and ladders check, which says the same things of its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vidpipe.cli import exits
from vidpipe.cli.app import invoke
from vidpipe.encoders import encoder_of
from vidpipe.source.policy import QualityPolicy, load_policy

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def start(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["vidpipe", *arguments])
        code = exits.run(invoke, arguments)
        written = capsys.readouterr()
        return code, written.out, written.err

    return start


def test_what_is_checked_is_shown(run: Run) -> None:
    code, out, err = run("policy", "show")
    assert (code, err) == (0, "")
    first = [line.split()[0] for line in out.splitlines()[1:] if not line.startswith(" ")]
    assert first == list(QualityPolicy.model_fields)
    lines = out.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith("black_video"))
    assert lines[row].split() == ["black_video", "warning", *["A", "stretch", "of", "the", "picture", "is", "black"]]
    assert lines[row + 1].strip() == "longest: 10 (seconds)"


def test_an_own_policy_is_shown_in_three_forms(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("black_video: {longest: 3, severity: off}\n")
    assert "longest: 3 (seconds)" in run("policy", "show", str(file))[1]
    shown = json.loads(run("policy", "show", str(file), "--json")[1])
    assert shown["file"] == str(file)
    assert next(check["severity"] for check in shown["checks"] if check["key"] == "black_video") == "off"
    (tmp_path / "whole.yaml").write_text(run("policy", "show", str(file), "--yaml")[1])
    assert load_policy(tmp_path / "whole.yaml") == load_policy(file)


LADDER = """\
name: mine
description: one
rungs:
  - {name: 240p, hieght: 240, codec: h264, bitrate: 300kbps, max_bitrate: 400k, buffer: 400k, preset: fsat}
  - {name: 360p, height: 361, codec: h266, bitrate: 500k, max_bitrate: 400k, buffer: 400k}
  - {name: 240P, height: 240, codec: h264, bitrate: 300k, max_bitrate: 400k, buffer: 400k, preset: fast}
"""
WRONG: dict[str, tuple[str, list[tuple[int, str, str]]]] = {
    "ladders": (
        LADDER,
        [
            (4, "unknown key 'hieght' in rung 1", "did you mean height?"),
            (4, "bitrate of rung '240p' is '300kbps'", "bitrate must be bits a second, such as 300k, 5000k or 15M (16k to 400M)"),
            (4, "preset of rung '240p' is 'fsat'", f"did you mean fast? (preset is one of: {', '.join(encoder_of('h264').presets)})"),
            (5, "codec of rung '360p' is 'h266'", "did you mean h264? (codec is one of: h264, hevc, av1)"),
            (5, "max_bitrate of rung '360p' is '400k'", "max_bitrate must be bits a second, such as 300k, 5000k or 15M, not below bitrate"),
            (5, "height of rung '360p' is '361'", "height must be an even number of lines from 64 to 4320"),
            (5, "rung '360p' has no 'preset'", "add preset: one that the codec has"),
            (6, "duplicate rung '240P'", "give every rung its own name"),
        ],
    ),
    "policy": (
        "gaps: {longest: 2}\nsilence: {noise: loud}\n",
        [
            (1, "unknown key 'gaps' in the policy", "it is now timestamp_gap"),
            (2, "noise of silence is 'loud'", "noise must be a number from -200 to 0 (dBFS)"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_check_says_all_that_is_wrong_of_every_file(kind: str, run: Run, tmp_path: Path) -> None:
    text, expected = WRONG[kind]
    wrong, good = tmp_path / "wrong.yaml", tmp_path / "good.yaml"
    wrong.write_text(text)
    good.write_text(run("ladders", "show", "fast", "--yaml")[1] if kind == "ladders" else "silence: {noise: -50}\n")
    code, out, err = run(kind, "check", str(wrong), str(good))
    assert code == 2
    assert out.startswith(f"{good}: ok, {'ladder fast with 3 rungs' if kind == 'ladders' else '1 check changed'}")
    said = [f"error: {wrong}: {len(expected)} mistakes"]
    for line, what, fix in expected:
        said += [f"{wrong}:{line}: {what}", f"  fix: {fix}"]
    assert sorted(err.splitlines()) == sorted(said)
    code, out, _ = run(kind, "check", str(wrong), str(good), "--json")
    first, second = (json.loads(line) for line in out.splitlines())
    assert (code, first["ok"], second) == (2, False, {"file": str(good), "ok": True, "diagnostics": []})
    found = [(each["line"], each["message"], each["advice"]) for each in first["diagnostics"]]
    assert sorted(found) == sorted(expected)
    assert {each["file"] for each in first["diagnostics"]} == {str(wrong)}
    assert [each["line"] for each in first["diagnostics"]] == sorted(each["line"] for each in first["diagnostics"])


def test_a_command_that_needs_the_file_says_all_of_it_too(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(LADDER)
    code, out, err = run("ladders", "show", str(file), "--json")
    error = json.loads(out)["error"]
    assert (code, len(error["diagnostics"])) == (2, 8)
    assert err == "error: " + "\n".join(error["message"]) + "\n"


NEAR = {
    "command": (["ingst"], "No such command 'ingst'", "did you mean ingest or inspect? Else see vidpipe --help"),
    "command of a group": (["ladders", "chek"], "No such command 'chek'", "did you mean check? Else see vidpipe ladders --help"),
    "option": (["ingest", "--laddr", "x"], "No such option: --laddr", "did you mean --ladder? Else see vidpipe ingest --help"),
    "nothing near": (
        ["ingest", "--zzz"], "No such option: --zzz", "write vidpipe ingest [OPTIONS] [SOURCE]..., or see vidpipe ingest --help"
    ),
}


@pytest.mark.parametrize("kind", NEAR)
def test_a_wrong_name_offers_the_near_one(kind: str, run: Run) -> None:
    arguments, what, fix = NEAR[kind]
    assert run(*arguments) == (2, "", f"error: {what}\nfix: {fix}\n")
