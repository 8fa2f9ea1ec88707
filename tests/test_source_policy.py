"""The policy: read strictly from a file, everything that is wrong at once; its checks have the names of the findings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_diagnostics import documented
from vidpipe.errors import UsageError
from vidpipe.source.findings import IDS
from vidpipe.source.policy import RENAMED, SEVERITIES, Check, QualityPolicy, id_of, key_of, limits_of, load_policy, unit_of


def test_every_finding_has_its_check_and_every_check_its_finding() -> None:
    keys = list(QualityPolicy.model_fields)
    assert [id_of(key) for key in keys] == list(IDS)
    assert [key_of(id_) for id_ in IDS] == keys
    assert set(IDS) <= set(documented())
    assert [type(QualityPolicy().check(id_)).__name__ for id_ in IDS] == ["".join(map(str.title, id_.split("-"))) for id_ in IDS]


@pytest.mark.parametrize("key", QualityPolicy.model_fields)
def test_every_check_says_what_it_finds_and_in_which_unit(key: str) -> None:
    kind = type(getattr(QualityPolicy(), key))
    assert issubclass(kind, Check)
    assert kind.__doc__
    assert kind.__doc__ != Check.__doc__
    assert all(unit_of(limit) for limit in limits_of(kind).values())


def test_a_policy_changes_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("# mine\nblack_video:\n  longest: 2.5\n  severity: error\ninterlaced_content:\n  severity: off\n")
    policy, builtin = load_policy(file), load_policy()
    assert policy.black_video == builtin.black_video.model_copy(update={"longest": 2.5, "severity": "error"})
    assert policy.interlaced_content.severity == "off"
    same = {"black_video": builtin.black_video, "interlaced_content": builtin.interlaced_content}
    assert policy.model_copy(update=same) == builtin
    file.write_text("# nothing but a comment\n")
    assert load_policy(file) == builtin


BROKEN = {
    "unknown check": ("blak_video:\n  longest: 1\n", ":1", "unknown key 'blak_video'", "did you mean black_video?"),
    "the id of the finding": ("black-video:\n  longest: 1\n", ":1", "unknown key 'black-video'", "did you mean black_video?"),
    "unknown key": ("black_video:\n  longest: 1\n  colour: 3\n", ":3", "unknown key 'colour' in black_video", "use one of"),
    "twice": ("black_video:\n  longest: 1\n  longest: 2\n", ":3", "given twice", "keep one"),
    "word for a number": ("timestamp_gap:\n  longest: long\n", ":2", "longest of timestamp_gap is 'long'", "a number above 0 (seconds)"),
    "out of range": ("black_video:\n  severity: error\n  pixel_luma: 7\n", ":3", "pixel_luma of black_video is '7'", "from 0 to 1"),
    "negative": ("true_peak:\n  highest: -200\n", ":2", "highest of true_peak is '-200'", "from -100 to 30 (dBTP)"),
    "no number": ("decode_errors:\n  most: nan\n", ":2", "most of decode_errors is 'nan'", "a number of 0 or more (seconds)"),
    "no end": ("duration_mismatch:\n  most: inf\n", ":2", "most of duration_mismatch is 'inf'", "a number of 0 or more (seconds)"),
    "too large": ("start_mismatch:\n  most: 1e999\n", ":2", "most of start_mismatch is '1e999'", "a number of 0 or more (seconds)"),
    "no such severity": ("silence:\n  severity: warn\n", ":2", "severity of silence is 'warn'", "did you mean warning?"),
    "list": ("silence:\n  longest: [1]\n", ":2", "list or mapping", "a number above 0"),
    "not a mapping": ("black_video: 3\n", ":1", "black_video must be a mapping", "with the keys"),
    "no yaml": ("black_video: [\n", ":2", "not YAML", "indentation"),
    "empty check": ("black_video:\n", ":1", "black_video must be a mapping", "with the keys"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_wrong_policy_names_file_line_and_key(kind: str, tmp_path: Path) -> None:
    text, line, what, fix = BROKEN[kind]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(what)) as caught:
        load_policy(file)
    assert caught.value.place == f"{file}{line}"
    assert fix in str(caught.value.fix)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("blak_video:\n  longest: no\nsilence:\n  noise: 3\n  severity: fatal\nloudness: 7\n")
    with pytest.raises(UsageError, match="5 mistakes") as caught:
        load_policy(file)
    assert [(each.at.file, each.at.line, each.message) for each in caught.value.diagnostics()] == [
        (str(file), 1, "unknown key 'blak_video' in the policy"),
        (str(file), 2, "longest of black_video is 'no'"),
        (str(file), 4, "noise of silence is '3'"),
        (str(file), 5, "severity of silence is 'fatal'"),
        (str(file), 6, "loudness must be a mapping of keys"),
    ]


@pytest.mark.parametrize("key", RENAMED)
def test_what_a_check_was_called_once_is_refused_with_its_name(key: str, tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(f"{key}:\n  severity: off\n")
    with pytest.raises(UsageError, match=f"unknown key '{key}'") as caught:
        load_policy(file)
    assert caught.value.fix == f"it is now {RENAMED[key]}"
    assert RENAMED[key] in QualityPolicy.model_fields
    assert key not in QualityPolicy.model_fields


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_policy(tmp_path / "none.yaml")


def test_a_severity_is_explained() -> None:
    assert list(SEVERITIES) == ["error", "warning", "off"]
