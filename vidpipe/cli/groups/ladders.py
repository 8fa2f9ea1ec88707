"""``vidpipe ladders``: list, show, check."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vidpipe.cli import options
from vidpipe.cli.help import Command, group
from vidpipe.cli.words import out, write_json

ladders = group("The bitrate ladders that come with vidpipe, and your own.")

LadderName = Annotated[str, typer.Argument(metavar="NAME|FILE", help="Shipped ladder, or a YAML file.", show_default=False)]


@ladders.command("list", cls=Command)
def list_ladders(json: options.Json = False, debug: options.Debug = False) -> None:
    """List the shipped ladders."""
    from vidpipe.cli import render
    from vidpipe.data import report
    from vidpipe.ladder import load, shipped

    found = [load(name) for name in shipped()]
    if json:
        write_json([report(ladder) for ladder in found])
    else:
        render.ladders(out(), found)


@ladders.command("show", cls=Command)
def show_ladder(
    name: LadderName,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the file itself, to start your own from.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show the rungs of a ladder."""
    from vidpipe.cli import render
    from vidpipe.data import report
    from vidpipe.ladder import find, load

    ladder = load(name)
    if yaml:
        sys.stdout.write(find(name).read_text(encoding="utf-8"))
    elif json:
        write_json(report(ladder))
    else:
        render.ladder(out(), ladder)


@ladders.command("check", cls=Command)
def check_ladders(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Ladder files.", show_default=False)],
    json: options.JsonLines = False,
    debug: options.Debug = False,
) -> None:
    """Check ladder files. The exit code is 2 if one of them is wrong."""
    from vidpipe.cli.checking import check_files
    from vidpipe.cli.reporters import count
    from vidpipe.ladder import load

    check_files(files, load, lambda ladder: f"ladder {ladder.name} with {count(len(ladder.rungs), 'rung')}", json=json, debug=debug)
