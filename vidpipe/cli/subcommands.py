"""The groups of small commands: ladders, catalog, work."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from vidpipe.cli import options
from vidpipe.cli.exits import failure, show
from vidpipe.cli.help import Command, group
from vidpipe.cli.words import out, write_json
from vidpipe.errors import UsageError

if TYPE_CHECKING:
    from vidpipe.settings import Settings

ladders = group("The bitrate ladders that come with vidpipe, and your own.")
catalog = group("The records of published titles.")
work = group("The work folder: finished chunks that make ingests resume.")

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
    debug: options.Debug = False,
) -> None:
    """Check ladder files. The exit code is 2 if one of them is wrong."""
    from vidpipe.cli import render
    from vidpipe.ladder import load

    wrong = False
    for file in files:
        try:
            render.checked_ladder(out(), file, load(file))
        except UsageError as error:
            wrong = True
            show(failure(error, debug=debug))
    if wrong:
        raise typer.Exit(UsageError.exit_code)


@catalog.command("list", cls=Command)
def list_titles(json: options.Json = False, home: options.Home = None, debug: options.Debug = False) -> None:
    """List the titles that are live."""
    from vidpipe.cli import render
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.catalog import open_catalog

    with open_catalog(settings.catalog_url) as opened:
        records = opened.list()
    if json:
        write_json([report(record) for record in records])
    else:
        render.titles(out(), records)


@catalog.command("show", cls=Command)
def show_title(
    content_id: Annotated[str, typer.Argument(metavar="CONTENT_ID", help="Title in the catalog.", show_default=False)],
    versions: Annotated[bool, typer.Option("--versions", help="All versions of the title, newest first.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Show the record of a title."""
    from vidpipe.cli import render
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.catalog import open_catalog
    from vidpipe.preview import live_record

    live = live_record(settings, content_id)
    with open_catalog(settings.catalog_url) as opened:
        records = opened.versions(content_id) if versions else (live,)
    if json:
        write_json([report(record) for record in records] if versions else report(live))
    elif versions:
        render.titles(out(), records)
    else:
        render.record(out(), live)


@catalog.command("schema", cls=Command)
def print_schema(debug: options.Debug = False) -> None:
    """Print the JSON Schema of a record."""
    from vidpipe.catalog.record import json_schema

    write_json(json_schema())


@work.command("list", cls=Command)
def list_work(json: options.Json = False, home: options.Home = None, debug: options.Debug = False) -> None:
    """Show what the work folder holds, and which ingests are unfinished."""
    from vidpipe.cli import render
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.work.usage import usage

    found = usage(settings.work)
    if json:
        write_json(report(found))
    else:
        render.work(out(), found)


@work.command("clean", cls=Command)
def clean_work(
    older_than: Annotated[float, typer.Option("--older-than", metavar="DAYS", min=0, help="Keep files written more recently.")] = 0,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Also give up unfinished ingests: remove uploads and keys.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Free the work folder. Published titles, keys and the catalog stay; unfinished ingests encode again."""
    from vidpipe.cli import render
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.work.usage import clean

    given_up = _give_up(settings) if unfinished and not dry_run else ()
    removed = clean(settings.work, older_than_days=older_than, dry_run=dry_run)
    if json:
        write_json({"dry_run": dry_run, "given_up": given_up, "removed": [report(share) for share in removed]})
    else:
        render.cleaned(out(), removed, given_up, dry_run=dry_run)


def _give_up(settings: Settings) -> tuple[str, ...]:
    from vidpipe.pipeline.versions import give_up

    return give_up(settings)
