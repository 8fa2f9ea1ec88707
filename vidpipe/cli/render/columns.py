"""Tables, and names with their values, as wide as the terminal allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vidpipe.cli.words import escaped, folded, lines

STATE_STYLE = {"ok": "green", "info": "green", "warning": "yellow", "error": "bold red"}
"""Of a word that says how something stands."""
_GAP = 2
"""Columns between two cells."""
_FOLDED_WIDTH = 20
"""A folded cell narrower than this cannot be read."""


def table(console: Console, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below headings; a cell that is too long is folded, never cut. A cell that is Text keeps its style.

    A heading that begins with ">" is of a column of numbers, set to the right. Where the terminal is too narrow to keep
    all but one column whole, each row becomes a paragraph with a line for each column.
    """
    names = [column.removeprefix(">") for column in columns]
    cells = [[cell if isinstance(cell, Text) else Text(escaped(cell)) for cell in row] for row in rows]
    longest = [max(len(name), *(row[index].cell_len for row in cells), 0) for index, name in enumerate(names)]
    longest[longest.index(max(longest))] = min(_FOLDED_WIDTH, max(longest))
    if sum(longest) + _GAP * (len(longest) - 1) > console.width:
        for number, row in enumerate(cells):
            if number:
                console.print()
            named = [(name, cell) for name, cell in zip(names, row, strict=True) if cell.plain]
            facts(console, [(name, cell if cell.style else cell.plain) for name, cell in named])
        return
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for name, column in zip(names, columns, strict=True):
        made.add_column(name, overflow="fold", justify="right" if column.startswith(">") else "left")
    for row in cells:
        made.add_row(*row)
    _print(console, made)


def _print(console: Console, made: Table) -> None:
    """Print a table, without blanks at the ends of lines where it goes into a file."""
    if console.is_terminal:
        console.print(made)
        return
    with console.capture() as captured:
        console.print(made)
    lines(console, *(text.rstrip() for text in captured.get().splitlines()))


def facts(console: Console, rows: Iterable[tuple[str | Text, object]]) -> None:
    """Print names and values, the values aligned, and folded between words. A word that is too long gets lines of its own, whole."""
    given = [(Text(name, "bold") if isinstance(name, str) else name, value) for name, value in rows]
    indent = max((name.cell_len for name, _ in given), default=0) + 2
    for name, value in given:
        margin = Text.assemble(name, " " * (indent - name.cell_len))
        if isinstance(value, Text):
            console.print(margin + value, soft_wrap=True)
            continue
        for line in folded(escaped(value), console.width - indent):
            if indent + len(line) <= console.width:
                console.print(margin + Text(line), soft_wrap=True)
            else:
                if margin.plain.strip():
                    console.print(name, soft_wrap=True)
                lines(console, f"  {line}" if len(line) + 2 <= console.width else line)
            margin = Text(" " * indent)
