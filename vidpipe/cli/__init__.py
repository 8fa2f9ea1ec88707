"""The command line: calls of the library, rendering, exit codes. The only package that uses typer and rich, and that prints."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

YOUNG_OBJECTS = 250_000
"""New objects after which the collector looks for garbage. Python's 700 let it look hundreds of times among the modules that a start loads,
where there is hardly any: a tenth of the start. A short ingest makes some 130,000, and one look at 100,000 of them took 0.04 s."""


def main() -> NoReturn:
    """Run ``vidpipe`` with the arguments of this process and exit."""
    gc.set_threshold(YOUNG_OBJECTS)
    # pydantic would look through all installed packages for plugins of its own: vidpipe has none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed (2>&-); the next file opened would take its number, so nothing must come before this
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    from vidpipe.cli.words import StandardOutput

    # A terminal that cannot show a character shows its escape instead of failing.
    if isinstance(sys.stderr, TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdout, TextIOWrapper):
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        sys.stdout = StandardOutput(sys.stdout.detach(), encoding=encoding, errors="backslashreplace", line_buffering=lines)
    from vidpipe.cli.app import invoke
    from vidpipe.cli.exits import run

    code = run(invoke, sys.argv[1:])
    gc.freeze()  # Python would look for garbage among all that was loaded, several times, in a process that ends: a tenth of a short run
    sys.exit(code)
