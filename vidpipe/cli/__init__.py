"""The command line: calls of the library, rendering, exit codes. The only room that uses typer and rich, and that prints."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import NoReturn


def main() -> NoReturn:
    """Run ``vidpipe`` with the arguments of this process and exit."""
    from vidpipe.cli.app import invoke
    from vidpipe.cli.exits import run

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that cannot show a character shows its escape instead of failing
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(invoke, sys.argv[1:]))
