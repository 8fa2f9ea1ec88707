"""A policy as a report and as a file: complete, explained, and read back as the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vidpipe.data import report
from vidpipe.source.policy import QualityPolicy, limits_of, load_policy
from vidpipe.source.policy_text import policy_report, policy_text


def test_the_file_explains_every_check_and_number() -> None:
    text = policy_text(QualityPolicy())
    for check in QualityPolicy.model_fields:
        assert re.search(rf"^# .+\n(# .+\n)*{check}:$", text, re.MULTILINE), f"{check} has no comment"
        for key in limits_of(type(getattr(QualityPolicy(), check))):
            assert re.search(rf"^{check}:\n(  .*\n)*?  {key}: \S+ +# \w", text, re.MULTILINE), f"{check}.{key} has no unit"
        assert re.search(rf"^{check}:\n(  .*\n)*?  severity: ", text, re.MULTILINE), f"{check}.severity is not written out"
    assert max(len(line) for line in text.splitlines()) <= 130
    assert not re.search(r"[ \t]$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "own", ["", "black_video: {longest: 0.123456789, severity: off}\nstretched_time: {lowest: 12345678}\n"], ids=["builtin", "own"]
)
def test_the_file_is_read_back_as_the_same_policy(own: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(own)
    policy = load_policy(tmp_path / "own.yaml")
    (tmp_path / "again.yaml").write_text(policy_text(policy))
    assert load_policy(tmp_path / "again.yaml") == policy


def test_the_report_has_every_check_with_its_limits() -> None:
    told = report(policy_report(QualityPolicy(), None))
    assert (told["format"], told["file"]) == ("vidpipe.policy/1", None)
    assert [check["key"] for check in told["checks"]] == list(QualityPolicy.model_fields)
    (black,) = [check for check in told["checks"] if check["id"] == "black-video"]
    assert (black["severity"], black["meaning"]) == ("warning", "A stretch of the picture is black.")
    assert black["limits"][0] == {"key": "longest", "value": 10, "unit": "seconds", "meaning": None}
    assert black["limits"][1]["meaning"] == "up to this a pixel is black"
