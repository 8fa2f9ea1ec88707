"""Show what is true of a file, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from vidpipe.cli.render.columns import STATE_STYLE
from vidpipe.cli.render.sources import source_facts
from vidpipe.cli.words import escaped, folded, prose
from vidpipe.source.findings.wording import timecode

if TYPE_CHECKING:
    from vidpipe.diagnostics import Diagnostic
    from vidpipe.validation import Validation


def show_validation(console: Console, result: Validation, *, quiet: bool = False) -> None:
    """Show what is true of a file and what is wrong with it; every line of a finding names the file. quiet: only what is wrong."""
    if quiet and not result.findings and not result.problems:
        return
    if result.source is not None and not quiet:
        source_facts(console, result.source)
    for finding in () if result.problems else _worst_first(result.findings):  # what cannot be measured has its own lines
        _sentence(console, finding.severity, f": {_finding(result.file, finding)} [{finding.id}]", STATE_STYLE[finding.severity])
        prose(console, f"  {result.file}: fix: {finding.advice}")
    for number, problem in enumerate(result.problems):
        named = problem if problem.startswith(f"{result.file}: ") else f"{result.file}: {problem}"
        _sentence(console, "error: " if number == 0 else "  ", named, STATE_STYLE["error"])
    verdict = ("refused", "bold red") if result.refused else ("accepted", "green")
    console.print(Text.assemble(escaped(result.file), ": ", verdict), soft_wrap=True)


def _sentence(console: Console, first: str, rest: str, style: str) -> None:
    """Print a sentence whose first word has a colour, folded between words."""
    for number, line in enumerate(folded(escaped(first + rest), console.width, "  ")):
        shown = Text(line)
        if number == 0:
            shown.stylize(style, 0, len(first))
        console.print(shown, soft_wrap=True)


def _finding(file: str, finding: Diagnostic) -> str:
    at = finding.at
    where = ""
    if at.start is not None and timecode(at.start) not in finding.message:
        where = f" at {timecode(at.start)}" + (f" to {timecode(at.end)}" if at.end is not None and at.end > at.start else "")
    stream = f", stream {at.stream}" if at.stream is not None and f"stream {at.stream} " not in finding.message else ""
    measured = f" (measured {finding.measured}" + (f", limit {finding.limit}" if finding.limit else "") + ")" if finding.measured else ""
    return f"{file}{stream}{where}: {finding.message}{measured}"


def _worst_first(findings: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Return errors before warnings, in the order of the policy."""
    return sorted(findings, key=lambda finding: list(STATE_STYLE)[::-1].index(finding.severity))
