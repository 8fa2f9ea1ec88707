"""What a source is checked for: the thresholds, read from strict YAML. The defaults stand in policy.yaml beside this module.

In:   the path of a YAML file, or None for the shipped one.
Out:  QualityPolicy.
Wrong: UsageError that names file, line and key: no such file, no YAML, an unknown or repeated key, a value of the wrong kind.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from vidpipe.data import Data
from vidpipe.errors import UsageError

MOST_BYTES = 1 << 20


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
    changing_sound: Most
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
    values = _values(default_text(), "policy.yaml")[0]
    if path is None:
        return QualityPolicy.model_validate(values)
    where = str(path)
    try:
        data = Path(path).read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"the policy cannot be read: {error.strerror}", where=where, fix="check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise UsageError("the policy is not UTF-8 text", where=where, fix="save it as UTF-8") from error
    if len(data) > MOST_BYTES:
        raise UsageError("the policy is too long", where=where, fix=f"keep it under {MOST_BYTES} bytes")
    given, lines = _values(text, where)
    merged = {check: {**thresholds, **given.get(check, {})} for check, thresholds in values.items()}
    try:
        return QualityPolicy.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}",
            where=where,
            line=lines.get(key, 1),
            fix="the shipped policy says which values make sense",
        ) from error


def _values(text: str, where: str) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Return check -> key -> value, and the line of every "check.key"."""
    try:
        node = YAML().compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(
            f"the policy is not YAML: {error.problem or error.context}",
            where=where,
            line=mark.line + 1 if mark else None,
            fix="check the indentation and colons of this line and the one before",
        ) from error
    except (YAMLError, RecursionError) as error:
        raise UsageError(
            f"the policy is not YAML: {str(error).splitlines()[0]}", where=where, fix="compare it with the shipped policy"
        ) from error
    values: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    if node is None:
        return values, lines  # only comments: everything as shipped
    for check, thresholds, line in _pairs(node, where, "the policy", list(QualityPolicy.model_fields)):
        kind = QualityPolicy.model_fields[check].annotation
        values[check] = {}
        for key, value, key_line in _pairs(thresholds, where, check, list(getattr(kind, "model_fields", {})), line):
            lines[f"{check}.{key}"] = key_line
            if not isinstance(value, ScalarNode):
                raise UsageError(f"{check}.{key} is a list or mapping", where=where, line=key_line, fix="give one value")
            # "off" is a boolean to old YAML; as text it is what it says. Numbers are read by the model.
            values[check][key] = value.value
    return values, lines


def _pairs(node: Node, where: str, what: str, allowed: list[str], line: int = 1) -> list[tuple[str, Node, int]]:
    """Return key, value and line of a mapping with known keys."""
    if not isinstance(node, MappingNode):
        raise UsageError(
            f"{what} is not a mapping of keys", where=where, line=line, fix=f"write key: value, with the keys {', '.join(allowed)}"
        )
    pairs: list[tuple[str, Node, int]] = []
    for key, value in node.value:
        name, at = str(key.value), key.start_mark.line + 1
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, 1)
            fix = f"did you mean {close[0]}?" if close else f"use one of: {', '.join(allowed)}"
            raise UsageError(f"unknown key {name!r} in {what}", where=where, line=at, fix=fix)
        if name in [known for known, _, _ in pairs]:
            raise UsageError(f"the key {name!r} is given twice in {what}", where=where, line=at, fix="keep one of them")
        pairs.append((name, value, at))
    return pairs
