"""How a finding is reported: its fields, and times and durations as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from vidpipe.diagnostics import Diagnostic, Where
from vidpipe.source.facts import Stretch
from vidpipe.source.policy import QualityPolicy, key_of

BEGINNING = Fraction(0)
"""Of a file, as players show it. What an encoder's delay puts before it happens there."""


def found(
    policy: QualityPolicy,
    id_: str,
    message: str,
    *,
    measured: str,
    limit: str,
    advice: str,
    stream: int | None = None,
    span: Stretch | None = None,
    harmless: bool = False,
) -> Iterator[Diagnostic]:
    """Yield the finding with the severity that the policy gives it, or nothing if that is "off"; the advice names the key of the policy.

    span: in the time of the file, as ``Source.in_file`` gives it.  harmless: it is a warning at most, whatever the policy says.
    """
    severity = policy.check(id_).severity
    if severity == "off":
        return
    yield Diagnostic(
        id=id_,
        severity="warning" if harmless else severity,
        at=Where(stream=stream, start=max(span.start, BEGINNING) if span else None, end=max(span.end, BEGINNING) if span else None),
        message=message,
        measured=measured,
        limit=limit,
        advice=f"{advice} (policy key: {key_of(id_)})",
    )


def show(seconds: Fraction) -> str:
    """Write a duration: 1.500 s."""
    return f"{float(seconds):.3f} s"


def timecode(seconds: Fraction) -> str:
    """Write a time of the file: 0:01:30.250."""
    whole, milliseconds = divmod(round(max(seconds, BEGINNING) * 1000), 1000)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"
