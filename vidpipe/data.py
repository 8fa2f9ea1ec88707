"""The base of everything that passes from one stage to the next: frozen, typed, exact, and writable as JSON.

In:   nothing. Every package declares its own types on ``Data``; this module owns only what they share.
Out:  ``Data`` (frozen pydantic model, unknown fields refused), the annotated number types, and ``report``.

Times and rates are rational (``fractions.Fraction``), because 23.976 and 29.97 have no exact float. As JSON an
exact value is written "30000/1001" (it reads back exactly: caches, child processes and cluster workers use it);
in a report for people and scripts ``Seconds`` become plain numbers, rounded to a microsecond.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, SerializationInfo
from pydantic import Field as Field


class Data(BaseModel):
    """A value that one stage makes and the next ones read. Frozen; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _seconds(value: Fraction, info: SerializationInfo) -> str | float:
    if info.context and info.context.get("report"):
        return round(float(value), 6)
    return str(value)


Seconds = Annotated[Fraction, PlainSerializer(_seconds, when_used="json")]
"""A time or duration in seconds, exact."""

Rational = Annotated[Fraction, PlainSerializer(str, when_used="json")]
"""A rate or ratio, exact; "30000/1001" in every JSON, as ffprobe writes it."""


def report(data: Data, **options: Any) -> dict[str, Any]:
    """Return ``data`` as the JSON object that is printed for scripts: seconds are numbers, rates are "n/d"."""
    return data.model_dump(mode="json", context={"report": True}, **options)
