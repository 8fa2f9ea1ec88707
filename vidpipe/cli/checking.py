"""Check files that people write: ``vidpipe ladders check`` and ``vidpipe policy check``.

In:   files, and what reads one of them.
Out:  a line a file for people, or with --json an object a file; everything that is wrong with one that cannot be used.
Wrong: typer.Exit with the code of a UsageError, after the last file, if one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import typer

from vidpipe.cli.exits import failure, show
from vidpipe.cli.words import lines, out, write_json
from vidpipe.data import report
from vidpipe.errors import UsageError

_T = TypeVar("_T")


def check_files(files: Sequence[str], read: Callable[[str], _T], summary: Callable[[_T], str], *, json: bool, debug: bool) -> None:
    """Read each file, and say what is wrong with it. summary: of one that is right."""
    wrong = False
    for file in files:
        try:
            found = f"{file}: ok, {summary(read(file))}"
            problems = []
        except UsageError as error:
            wrong = True
            problem = failure(error, debug=debug)
            show(problem)
            problems = [report(each) for each in problem.diagnostics]
        if json:
            write_json({"file": file, "ok": not problems, "diagnostics": problems}, lines=True)
        elif not problems:
            lines(out(), found)
    if wrong:
        raise typer.Exit(UsageError.exit_code)
