"""The options that choose titles of the catalog, written once for all commands that have them.

In:   what was given on the command line.
Out:  Annotated types for Typer, and ``query``, which makes a query of them.
Wrong: UsageError for a value that is not of the right form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from vidpipe.cli import options
from vidpipe.errors import UsageError

if TYPE_CHECKING:
    from vidpipe.catalog.record import Status
    from vidpipe.catalog.search import Query

_FILTERS, _ORDER = "Filters (all have to be met)", "Order and pages"
ORDERS = ("id", "created", "title", "duration")
"""Those of a Query, whose module takes long to load."""
_TIME = re.compile(r"([0-9]+:){0,2}[0-9]+(\.[0-9]*)?", re.ASCII)


def _option(metavar: str, about: str, heading: str = _FILTERS) -> Any:
    return typer.Option(metavar=metavar, help=about, show_default=False, rich_help_panel=heading)


States = Annotated[list[str] | None, _option("STATE", "live, superseded, ..., or all. May be given several times.")]
IdPattern = Annotated[str | None, _option("PATTERN", "How the content id begins; with * or ?, all of it.")]
Meta = Annotated[
    list[str] | None,
    _option("KEY=VALUE", "Metadata with this value, or a list with it; case and accents do not count. May be given several times."),
]
Language = Annotated[list[str] | None, _option("TAG", "Audio or subtitles in this language (BCP 47); pt finds pt-BR, too.")]
Height = Annotated[list[int] | None, _option("LINES", "A rung of this height, such as 1080.")]
Encrypt = Annotated[str | None, _option("METHOD", "This encryption, or none.")]
CreatedAfter = Annotated[str | None, _option("DATE", "Made on this day or later (ISO 8601, UTC).")]
CreatedBefore = Annotated[str | None, _option("DATE", "Made before this day or time.")]
MinDuration = Annotated[str | None, _option("TIME", "At least this long: seconds, or H:MM:SS.")]
MaxDuration = Annotated[str | None, _option("TIME", "At most this long.")]
Sort = Annotated[str, _option("|".join(ORDERS), "Default: id. created: newest first; duration: longest first.", _ORDER)]
Reverse = Annotated[bool, typer.Option("--reverse", help="The other way round.", rich_help_panel=_ORDER)]
Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="This many at most. Default: all.", rich_help_panel=_ORDER)]
After = Annotated[str | None, _option("CURSOR", 'The page behind another one: the "next" that it ended with.', _ORDER)]


def query(given: Mapping[str, Any], *, text: str | None = None, states: tuple[Status, ...] = ("live",)) -> Query:
    """Make a query of the options of a command, by their names. text: to search for.  states: unless others are given."""
    from vidpipe.catalog.search import Query

    order = given.get("sort", "id")
    if order not in ORDERS:
        raise UsageError(f"{order!r} is not an order", where="--sort", fix=f"use one of: {', '.join(ORDERS)}")
    return Query(
        text=text,
        states=_states(given["state"]) if given["state"] else states,
        id=given["id"] or "",
        metadata=options.metadata(given["meta"]),
        languages=tuple(given["language"] or ()),
        heights=tuple(given["height"] or ()),
        encryption=given["encrypt"],
        created_from=_moment(given["created_after"], "--created-after"),
        created_before=_moment(given["created_before"], "--created-before"),
        shortest=_seconds(given["min_duration"], "--min-duration"),
        longest=_seconds(given["max_duration"], "--max-duration"),
        order=order,
        reverse=given.get("reverse", False),
        after=given.get("after"),
    )


def _states(given: Sequence[str]) -> tuple[Status, ...]:
    from vidpipe.catalog.record import Status

    known = get_args(Status)
    for state in given:
        if state not in (*known, "all"):
            raise UsageError(f"{state!r} is not a state", where="--state", fix=f"use one of: {', '.join(known)}, all")
    return () if "all" in given else tuple(state for state in known if state in given)


def _moment(given: str | None, option: str) -> datetime | None:
    if given is None:
        return None
    try:
        read = datetime.fromisoformat(given)
        return read.replace(tzinfo=read.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        fix = "write a day or a time of UTC, such as 2026-11-20 or 2026-11-20T22:15"
        raise UsageError(f"{given!r} is not a date", where=option, fix=fix) from None


def _seconds(given: str | None, option: str) -> float | None:
    if given is None:
        return None
    if not _TIME.fullmatch(given):
        raise UsageError(f"{given!r} is not a time", where=option, fix="write seconds, or a time such as 1:30:00")
    seconds = 0.0
    for part in given.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
