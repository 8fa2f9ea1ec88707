"""How a finding is reported: its fields, and times and durations as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from vidpipe.diagnostics import Diagnostic, Where
from vidpipe.source.facts import Stretch
from vidpipe.source.policy import Check


def found(
    check: Check,
    id_: str,
    message: str,
    *,
    measured: str,
    limit: str,
    advice: str,
    stream: int | None = None,
    span: Stretch | None = None,
) -> Iterator[Diagnostic]:
    """Yield the finding with the severity that the policy gives it, or nothing if that is "off"."""
    if check.severity == "off":
        return
    yield Diagnostic(
        id=id_,
        severity=check.severity,
        at=Where(stream=stream, start=span.start if span else None, end=span.end if span else None),
        message=message,
        measured=measured,
        limit=limit,
        advice=advice,
    )


def show(seconds: Fraction) -> str:
    """Write a duration: 1.500 s."""
    return f"{float(seconds):.3f} s"


def timecode(seconds: Fraction) -> str:
    """Write a time of the source or the title: 0:01:30.250."""
    whole, milliseconds = divmod(abs(round(seconds * 1000)), 1000)
    return f"{'-' if seconds < 0 else ''}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}.{milliseconds:03}"
