"""The commands of ``vidpipe catalog`` that change what is published: versions, rollback, withdraw, restore, set, delete, prune."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer

from vidpipe.cli import completion, options
from vidpipe.cli.help import Command, examples
from vidpipe.cli.watching import watching
from vidpipe.cli.words import out, write_json
from vidpipe.defaults import GARBAGE_OLDER_THAN_DAYS, PRUNE_KEEP, PRUNE_OLDER_THAN_DAYS
from vidpipe.errors import UsageError

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; without a terminal, nothing is asked anyway.")]

Age = Annotated[
    str,
    typer.Option(
        "--older-than",
        metavar="TIME",
        help=f"Leave alone what was begun more recently: 12h, 30d or 8w. Default: {GARBAGE_OLDER_THAN_DAYS}d.",
        show_default=False,
    ),
]

MOST = timedelta(days=36_500)
_UNITS = {"h": 1 / 24, "d": 1.0, "w": 7.0}


def versions(content_id: options.LiveId, json: options.Json = False, home: options.Home = None, debug: options.Debug = False) -> None:
    """List all versions of a title, newest first."""
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.history import history

    records = history(content_id, settings)
    if json:
        write_json([report(record) for record in records])
    else:
        changes.versions(out(), records)


def rollback(
    content_id: options.LiveId,
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Version to go back to. Default: the one before.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Make an earlier version of a title live again.

    It is first proven at its target: every object is there as it was published, and both ends of every track can be decrypted.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.rollback import RollbackRequest
    from vidpipe.lifecycle.rollback import rollback as roll_back

    request = RollbackRequest(content_id=content_id, version=version, dry_run=dry_run)
    if asks(yes, dry_run):
        planned = roll_back(request.model_copy(update={"dry_run": True}), settings)
        if not planned.unchanged:
            confirm(changes.would_revive(planned))
        request = request.model_copy(update={"version": planned.record.version})
    with watching(progress) as (reporter, cancel):
        done = roll_back(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.revived(out(), done)


def withdraw(
    content_id: options.LiveId,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Take a title down.

    No version of it is live any more, and its address is gone.
    Its other files and its keys stay, so that it can be restored. An ingest of it that is running will not make it live again.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.titles import TitleRequest
    from vidpipe.lifecycle.withdrawal import withdraw as take_down

    request = TitleRequest(content_id=content_id, dry_run=dry_run)
    if asks(yes, dry_run):
        planned = take_down(request.model_copy(update={"dry_run": True}), settings)
        if not planned.unchanged:
            confirm(changes.would_withdraw(planned))
    with watching(progress) as (reporter, _):
        done = take_down(request, settings, reporter)
    if json:
        write_json(report(done))
    else:
        changes.withdrawn(out(), done)


def restore(
    content_id: options.LiveId,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Make a withdrawn title live again.

    It is first proven at its target, as by rollback.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.restoration import restore as bring_back
    from vidpipe.lifecycle.titles import TitleRequest

    request = TitleRequest(content_id=content_id, dry_run=dry_run)
    if asks(yes, dry_run):
        planned = bring_back(request.model_copy(update={"dry_run": True}), settings)
        if not planned.unchanged:
            confirm(changes.would_revive(planned))
    with watching(progress) as (reporter, cancel):
        done = bring_back(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.revived(out(), done)


def set_words(
    content_id: options.LiveId,
    title: Annotated[
        str | None, typer.Option("--title", metavar="TEXT", help="Title shown to viewers. Default: stays as it is.", show_default=False)
    ] = None,
    meta: options.Meta = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Change the title or the metadata of a live title.

    Nothing is encoded, and the source is not needed.
    A new version takes the place of the live one, with the same media, copied at the target.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe

    request = RedescribeRequest(content_id=content_id, title=title, metadata=options.metadata(meta), dry_run=dry_run)
    if asks(yes, dry_run):
        planned = redescribe(request.model_copy(update={"dry_run": True}), settings)
        if not planned.unchanged:
            confirm(changes.would_redescribe(planned))
    with watching(progress) as (reporter, cancel):
        done = redescribe(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.redescribed(out(), done)


def delete(
    content_id: options.LiveId,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Delete a withdrawn title for ever.

    All its versions, their files and their keys are deleted.
    A live title has to be withdrawn first. If it is interrupted, run the same command again.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.deletion import delete as delete_title
    from vidpipe.lifecycle.titles import TitleRequest

    request = TitleRequest(content_id=content_id, dry_run=dry_run)
    if asks(yes, dry_run):
        planned = delete_title(request.model_copy(update={"dry_run": True}), settings)
        changes.removed(out(), planned.removed, dry_run=True)
        confirm(f"{content_id} is deleted for ever.")
    with watching(progress) as (reporter, cancel):
        done = delete_title(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.removed(out(), done.removed, dry_run=dry_run)


def prune(
    content_id: Annotated[
        str | None,
        typer.Argument(
            metavar="CONTENT_ID",
            help="Title in the catalog. Default: all titles.",
            show_default=False,
            autocompletion=completion.content_ids,
        ),
    ] = None,
    keep: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help=f"Superseded versions of each title to keep, the newest. Default: {PRUNE_KEEP}.", show_default=False
        ),
    ] = PRUNE_KEEP,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help=f"Delete only what was superseded so long ago: 12h, 30d or 8w. Default: {PRUNE_OLDER_THAN_DAYS}d.",
            show_default=False,
        ),
    ] = f"{PRUNE_OLDER_THAN_DAYS}d",
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Delete old superseded versions.

    What an interrupted delete has left is deleted, too.
    Live and withdrawn versions stay, and whatever an unfinished ingest needs.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.pruning import PruneRequest
    from vidpipe.lifecycle.pruning import prune as prune_titles

    request = PruneRequest(content_id=content_id, keep=keep, older_than=age(older_than), dry_run=dry_run)
    if asks(yes, dry_run):
        planned = prune_titles(request.model_copy(update={"dry_run": True}), settings)
        changes.removed(out(), planned.removed, dry_run=True)
        if planned.removed:
            confirm("They are deleted for ever.")
    with watching(progress) as (reporter, cancel):
        done = prune_titles(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.removed(out(), done.removed, dry_run=dry_run)


def add_to(catalog: typer.Typer) -> None:
    """Give the group its commands that change what is published."""
    for name, command, shown in (
        ("versions", versions, ("versions film", "versions film --home /srv/vidpipe", "versions film --json | jq -r '.[].status'")),
        ("rollback", rollback, ("rollback film --dry-run", "rollback film", "rollback film 20260102T030405Z-1a2b3c --yes")),
        ("withdraw", withdraw, ("withdraw film", "withdraw film --dry-run", "withdraw film --yes --json")),
        ("restore", restore, ("restore film", "restore film --dry-run", "restore film --yes --json")),
        ("set", set_words, ("set film --title 'A Film'", "set film --meta season=2 --meta draft=", "set film --title 'A Film' --dry-run")),
        ("delete", delete, ("delete film --dry-run", "delete film", "delete film --yes --json")),
        ("prune", prune, ("prune --dry-run", "prune film --keep 0 --older-than 12h", "prune --keep 2 --older-than 30d --yes")),
    ):
        catalog.command(name, cls=Command, epilog=examples(*(f"vidpipe catalog {line}" for line in shown)))(command)


def asks(yes: bool, dry_run: bool) -> bool:
    """Whether a person is there who can be asked."""
    return not yes and not dry_run and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(what: str) -> None:
    """Ask; anything but yes ends the command, with exit code 130."""
    from vidpipe.cli.words import escaped

    typer.confirm(f"{escaped(what)} Go on?", abort=True, err=True)


def age(text: str, least: timedelta = timedelta()) -> timedelta:
    """Read a time such as 30d. A number alone is of days.  least: that is allowed."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "d")
    try:
        read = timedelta(days=float(number) * _UNITS[unit])
    except (ValueError, OverflowError):
        return _refuse(text)
    if not timedelta() <= read <= MOST:
        return _refuse(text)
    if read < least:
        raise UsageError(f"{text} is too short", where="--older-than", fix=f"give at least {least.days}d: another machine may be at work")
    return read


def _refuse(text: str) -> timedelta:
    raise UsageError(f"{text!r} is not a time", where="--older-than", fix="write hours, days or weeks: 12h, 30d, 8w")
