"""``vidpipe ladders``: list, show, check."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vidpipe.cli import completion, options
from vidpipe.cli.help import Command, examples, group
from vidpipe.cli.words import out, write_json

ladders = group("Bitrate ladders: the shipped ones and your own.")


@ladders.command(
    "list",
    cls=Command,
    epilog=examples(
        "vidpipe ladders list",
        "vidpipe ladders list --json",
        "vidpipe ladders list --json | jq -r '.[].name'",
    ),
)
def list_ladders(json: options.Json = False, debug: options.Debug = False) -> None:
    """List the shipped ladders."""
    from vidpipe.cli.render.choices import show_ladders
    from vidpipe.data import report
    from vidpipe.ladder import load, shipped

    found = [load(name) for name in shipped()]
    if json:
        write_json([report(ladder) for ladder in found])
    else:
        show_ladders(out(), found)


@ladders.command(
    "show",
    cls=Command,
    epilog=examples(
        "vidpipe ladders show streaming",
        "vidpipe ladders show streaming --yaml > mine.yaml",
        "vidpipe ladders show mine.yaml --json",
    ),
)
def show_ladder(
    name: options.LadderName,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the file itself, as a start for your own.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show the rungs of a ladder."""
    from vidpipe.cli.render.choices import show_ladder
    from vidpipe.data import report
    from vidpipe.ladder import find, load

    ladder = load(name)
    if yaml:
        sys.stdout.write(find(name).read_text(encoding="utf-8"))
    elif json:
        write_json(report(ladder))
    else:
        show_ladder(out(), ladder)


@ladders.command(
    "check",
    cls=Command,
    epilog=examples(
        "vidpipe ladders check mine.yaml",
        "vidpipe ladders check ladders/*.yaml",
        "vidpipe ladders check mine.yaml && vidpipe ingest film.mov --ladder mine.yaml",
    ),
)
def check_ladders(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Ladder files.", show_default=False, autocompletion=completion.yaml_files)
    ],
    json: options.JsonLines = False,
    debug: options.Debug = False,
) -> None:
    """Check ladder files.

    The exit code is 2 if any file is wrong.
    """
    from vidpipe.cli.checking import check_files
    from vidpipe.ladder import load
    from vidpipe.quantities import count

    check_files(files, load, lambda ladder: f"ladder {ladder.name} with {count(len(ladder.rungs), 'rung')}", json=json, debug=debug)
