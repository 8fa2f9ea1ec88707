"""``vidpipe work``: list, clean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vidpipe.cli import options
from vidpipe.cli.help import Command, examples, group
from vidpipe.cli.words import out, write_json

if TYPE_CHECKING:
    from vidpipe.settings import Settings

work = group("The work folder: what an interrupted ingest resumes from.")


@work.command(
    "list",
    cls=Command,
    epilog=examples(
        "vidpipe work list",
        "vidpipe work list --home /srv/vidpipe",
        "vidpipe work list --json",
    ),
)
def list_work(json: options.Json = False, home: options.Home = None, debug: options.Debug = False) -> None:
    """Show what is in the work folder, and which ingests are unfinished."""
    from vidpipe.cli.render.machine_state import show_work
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.work.usage import usage

    found = usage(settings.work)
    if json:
        write_json(report(found))
    else:
        show_work(out(), found)


@work.command(
    "clean",
    cls=Command,
    epilog=examples(
        "vidpipe work clean",
        "vidpipe work clean --older-than 7",
        "vidpipe work clean --unfinished --dry-run",
    ),
)
def clean_work(
    older_than: options.OlderThan = 0,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also discard unfinished ingests: delete their uploads and keys.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted; delete nothing.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Delete the work folder's files to free space.

    Published titles, their keys and the catalog stay. Unfinished ingests start over.
    """
    from vidpipe.cli.render.machine_state import show_cleaned
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.work.usage import clean

    given_up = _give_up(settings) if unfinished and not dry_run else ()
    removed = clean(settings.work, older_than_days=older_than, dry_run=dry_run)
    if json:
        write_json({"dry_run": dry_run, "given_up": given_up, "removed": [report(share) for share in removed]})
    else:
        show_cleaned(out(), removed, given_up, dry_run=dry_run)


def _give_up(settings: Settings) -> tuple[str, ...]:
    from vidpipe.pipeline.versions import give_up

    return give_up(settings)
