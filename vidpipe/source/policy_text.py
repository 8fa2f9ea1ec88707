"""A policy as people read it: what is checked, the limits with their units, what a finding does; and as a file to start from.

In:   a QualityPolicy.
Out:  a PolicyReport; the text of a YAML file that ``load_policy`` reads back as the same policy.
Wrong: nothing.
"""

from __future__ import annotations

import inspect
import textwrap
from typing import Literal

from pydantic import Field

from vidpipe.data import Data
from vidpipe.source.policy import SEVERITIES, Check, PolicySeverity, QualityPolicy, id_of, limits_of, unit_of

_COLUMNS = 110


class LimitReport(Data):
    """A limit of a check."""

    key: str = Field(description="Key below that of the check.")
    value: float
    unit: str
    meaning: str | None


class CheckReport(Data):
    """A check."""

    id: str = Field(description="Id of the finding that it weighs.")
    key: str = Field(description="Key in a policy.")
    severity: PolicySeverity
    meaning: str = Field(description="What is found.")
    limits: tuple[LimitReport, ...]


class PolicyReport(Data):
    """What a policy says."""

    format: Literal["vidpipe.policy/1"] = "vidpipe.policy/1"
    file: str | None = Field(description="Path of the policy; None for the built-in one.")
    checks: tuple[CheckReport, ...]


def policy_report(policy: QualityPolicy, file: str | None) -> PolicyReport:
    """Return what a policy says. file: where it comes from, None if it is built in."""
    return PolicyReport(file=file, checks=tuple(_check(key, getattr(policy, key)) for key in QualityPolicy.model_fields))


def _check(key: str, check: Check) -> CheckReport:
    limits = tuple(
        LimitReport(key=name, value=getattr(check, name), unit=unit_of(limit), meaning=limit.description)
        for name, limit in limits_of(type(check)).items()
    )
    return CheckReport(id=id_of(key), key=key, severity=check.severity, meaning=" ".join(_paragraphs(check)), limits=limits)


def policy_text(policy: QualityPolicy) -> str:
    """Return a policy as a YAML file with comments, every key written out."""
    severities = [f"{'severity:  ' if not number else ' ' * 11}{name:<8} {what}" for number, (name, what) in enumerate(SEVERITIES.items())]
    head = [
        "A quality policy of vidpipe: what a source is checked for, and what a finding does. A check has the name of its finding.",
        "",
        "Change what you like, and name this file with --policy FILE, VIDPIPE_POLICY or the setting `policy`.",
        "A key that is left out keeps the built-in value; an unknown key is an error.",
        "",
        *severities,
    ]
    blocks = ["".join(f"# {line}".rstrip() + "\n" for line in head)]
    for key in QualityPolicy.model_fields:
        check: Check = getattr(policy, key)
        lines = [f"# {line}" for line in textwrap.wrap(" ".join(_paragraphs(check)), _COLUMNS)]
        lines += [f"{key}:", *(_line(check, name) for name in limits_of(type(check))), f"  severity: {check.severity}"]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _line(check: Check, name: str) -> str:
    limit = limits_of(type(check))[name]
    return f"  {f'{name}: {getattr(check, name):.12g}':<23} # {unit_of(limit)}" + (f"; {limit.description}" if limit.description else "")


def _paragraphs(check: Check) -> list[str]:
    """Return what a check means: the first paragraph says what is found."""
    return [paragraph.replace("\n", " ") for paragraph in (inspect.getdoc(type(check)) or "").split("\n\n")]
