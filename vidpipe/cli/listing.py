"""Titles of the catalog, one line each.

In:   records.
Out:  on a terminal, columns that fit its width: what is too long ends with "…", and wider terminals show more columns. Elsewhere, every
      column of every title, separated by tabs and without headings. As JSON, one object with the whole records.
Wrong: nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidpipe.cli.words import escaped, out
from vidpipe.data import report
from vidpipe.quantities import clock

if TYPE_CHECKING:
    from vidpipe.catalog.record import Record

_GAP = 2
"""Cells between two columns."""
_LEAST = 8
"""Cells of an id or a title that still say something."""


@dataclass(frozen=True)
class _Column:
    heading: str
    value: Callable[[Record], str]
    number: bool = False


def _heights(record: Record) -> list[int]:
    return sorted({rung.height for rung in record.renditions if rung.height}, reverse=True)


COLUMNS = (
    _Column("id", lambda record: record.content_id),
    _Column("title", lambda record: record.title),
    _Column("duration", lambda record: clock(record.duration), number=True),
    _Column("height", lambda record: f"{max(_heights(record), default=0)}p", number=True),
    _Column("state", lambda record: record.status),
    _Column("created", lambda record: f"{record.created_at:%Y-%m-%d}"),
    _Column("version", lambda record: record.version),
    _Column("audio", lambda record: " ".join(track.language or "und" for track in record.audio)),
    _Column("subtitles", lambda record: " ".join(track.language or "und" for track in record.subtitles)),
    _Column("encryption", lambda record: record.encryption.method),
    _Column("rungs", lambda record: " ".join(map(str, _heights(record)))),
    _Column("master playlist", lambda record: record.playback.hls),
)
"""In the order in which a line is filled, the most useful first."""
_ALWAYS = 6
"""Columns that are shown at 80 cells."""


def print_titles(records: Iterable[Record]) -> int:
    """Print a line for each record, and return how many there were."""
    if sys.stdout.isatty():
        return _print_columns([[escaped(column.value(record)) for column in COLUMNS] for record in records])
    printed = 0
    for record in records:
        sys.stdout.write("\t".join(escaped(column.value(record)) for column in COLUMNS) + "\n")
        printed += 1
    return printed


def print_json(records: Iterable[Record], following: str | None) -> None:
    """Print an object with "titles" and "next", a title a line, as they come. following: the cursor of the next page."""
    sys.stdout.write('{"titles": [')
    for number, record in enumerate(records):
        sys.stdout.write((",\n" if number else "\n") + json.dumps(report(record)))
    sys.stdout.write(f'\n], "next": {json.dumps(following)}}}\n')
    sys.stdout.flush()


def _print_columns(rows: Sequence[Sequence[str]]) -> int:
    from rich.cells import cell_len
    from rich.text import Text

    if not rows:
        return 0
    console = out()
    natural = [max(cell_len(cell) for cell in cells) for cells in zip([column.heading for column in COLUMNS], *rows, strict=True)]
    widths = _widths(natural, console.width)
    for row, style in ((tuple(column.heading for column in COLUMNS), "bold"), *((row, "") for row in rows)):
        cells = []
        for cell, width, column in zip(row, widths, COLUMNS, strict=False):  # the columns that fit
            shown = Text(cell, style=style)
            shown.truncate(width, overflow="ellipsis", pad=not column.number)
            if column.number:
                shown.align("right", width)
            cells.append(shown)
        line = Text(" " * _GAP).join(cells)
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False)
    return len(rows)


def _widths(natural: Sequence[int], width: int) -> list[int]:
    """Return the widths of the columns that fit: first of all those that always stand there, for which id and title give way."""
    shown = list(natural[:_ALWAYS])
    while len(shown) > 2 and _taken(shown[2:]) + 2 * (_LEAST + _GAP) > width:
        shown.pop()
    left = width - _taken(shown[2:]) - _GAP - (_GAP if len(shown) > 2 else 0)
    shown[0] = max(1, min(natural[0], max(left // 2, left - natural[1])))
    shown[1] = max(1, min(natural[1], left - shown[0]))
    for more in natural[_ALWAYS:] if len(shown) == _ALWAYS else ():
        if _taken([*shown, more]) > width:
            break
        shown.append(more)
    return shown


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * max(0, len(widths) - 1)
