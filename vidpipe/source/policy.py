"""What a source is checked for: the thresholds, read from strict YAML. The defaults stand in policy.yaml beside this module.

In:   the path of a YAML file, or None for the shipped one.
Out:  QualityPolicy.
Wrong: UsageError that names file, line and key: no such file, no YAML, an unknown or repeated key, a value of the wrong kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from vidpipe.data import Data
from vidpipe.errors import UsageError
from vidpipe.strict_yaml import Table, read_file, read_table


class Check(Data):
    """One check. severity: what a finding does; "off" is never reported."""

    severity: Literal["error", "warning", "off"]


class Tolerance(Check):
    """tolerance: seconds."""

    tolerance: float = Field(ge=0)


class Most(Check):
    """most: the highest number that is allowed, in the unit that policy.yaml names."""

    most: float = Field(ge=0)


class Longest(Check):
    """longest: seconds."""

    longest: float = Field(gt=0)


class Lowest(Check):
    """lowest: the smallest number that is allowed, in the unit that policy.yaml names."""

    lowest: float = Field(ge=0)


class Black(Longest):
    """pixel_luma, picture_share: 0 to 1."""

    pixel_luma: float = Field(ge=0, le=1)
    picture_share: float = Field(gt=0, le=1)


class Frozen(Longest):
    """noise: 0 to 1."""

    noise: float = Field(ge=0, le=1)


class Silence(Longest):
    """noise: dBFS."""

    noise: float = Field(ge=-200, le=0)


class Loudness(Check):
    """lowest, highest: LUFS."""

    lowest: float = Field(ge=-70, le=5)
    highest: float = Field(ge=-70, le=5)


class TruePeak(Check):
    """highest: dBTP."""

    highest: float = Field(ge=-100, le=30)


class DeadChannel(Check):
    """peak: dBFS."""

    peak: float = Field(ge=-200, le=0)


class Share(Check):
    """share: 0 to 1."""

    share: float = Field(gt=0, le=1)


class QualityPolicy(Data):
    """All checks. policy.yaml explains each and holds its default."""

    truncated: Tolerance
    read_error: Check
    corrupt_packets: Most
    decode_errors: Most
    black: Black
    frozen: Frozen
    silence: Silence
    loudness: Loudness
    true_peak: TruePeak
    dead_channel: DeadChannel
    no_audio: Check
    duration_mismatch: Most
    discarded_audio: Share
    audio_outside_picture: Check
    changing_audio: Most
    interlaced: Share
    captions: Check
    duplicate_timestamps: Most
    broken_timestamps: Most
    gaps: Longest
    stretched: Lowest
    resolution: Lowest
    bit_rate: Lowest


def default_text() -> str:
    """Return the shipped policy, commented, to start one's own from."""
    return files("vidpipe.source").joinpath("policy.yaml").read_text(encoding="utf-8")


def load_policy(path: str | Path | None = None) -> QualityPolicy:
    """Return the policy of a file; keys that it leaves out have the shipped values.  Raises UsageError."""
    values = _values(_checks(default_text(), "policy.yaml"))
    if path is None:
        return QualityPolicy.model_validate(values)
    where = str(path)
    checks = _checks(read_file(Path(path), "policy"), where)
    given = _values(checks)
    merged = {check: {**thresholds, **given.get(check, {})} for check, thresholds in values.items()}
    try:
        return QualityPolicy.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        check, key = (str(part) for part in first["loc"][:2])
        raise UsageError(
            f"{check}.{key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
            where=where,
            line=checks[check].line(key),
            fix="the shipped policy says which values make sense",
        ) from error


def _checks(text: str, where: str) -> dict[str, Table]:
    """Return check -> what the text says of it."""
    fields = QualityPolicy.model_fields
    table = read_table(text, where, "policy", tuple(fields))
    if table is None:
        return {}  # only comments: everything as shipped
    return {check: table.table(check, check, tuple(getattr(fields[check].annotation, "model_fields", {}))) for check in table}


def _values(checks: Mapping[str, Table]) -> dict[str, dict[str, Any]]:
    """Return check -> key -> text. "off" is a boolean to old YAML; as text it is what it says. Numbers are read by the model."""
    return {check: {key: table.get(key, str, "one value") for key in table} for check, table in checks.items()}
