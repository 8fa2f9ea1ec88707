"""The commands that keep targets and catalog true to each other, and titles where and under which keys they are wanted."""

from __future__ import annotations

from typing import Annotated

import typer

from vidpipe.cli import completion, options
from vidpipe.cli.groups.lifecycle import Age, DryRun, Yes, age, asks, confirm
from vidpipe.cli.help import Command, examples
from vidpipe.cli.watching import watching
from vidpipe.cli.words import out, write_json
from vidpipe.defaults import GARBAGE_OLDER_THAN_DAYS
from vidpipe.errors import VerificationFailed


def verify(
    title: Annotated[
        str,
        typer.Argument(
            metavar="CONTENT_ID|DIR|URL",
            help="Title in the catalog, or a version where it lies (a folder, s3:// or https://).",
            show_default=False,
            autocompletion=completion.content_ids,
        ),
    ],
    full: Annotated[bool, typer.Option("--full", help="Read and decrypt everything, not just what proves that nothing changed.")] = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Check that a published title is still what was published.

    Every object is compared by size and hash with the inventory, playlists are read, and both ends of every track are decrypted. The exit
    code is 6 if something is lost or damaged.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(home=home, ffmpeg=ffmpeg)
    from vidpipe.lifecycle.scrub import ScrubRequest, scrub

    with watching(progress) as (reporter, cancel):
        done = scrub(ScrubRequest(title=title, full=full), settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.scrubbed(out(), done)


def repair(
    content_id: Annotated[
        str | None,
        typer.Argument(
            metavar="CONTENT_ID",
            help="Title. Default: all titles of the target.",
            show_default=False,
            autocompletion=completion.content_ids,
        ),
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take versions into the catalog that it does not know: it was lost, or is an old one.")
    ] = False,
    to: options.To = None,
    dry_run: DryRun = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Reconcile the catalog and a target.

    Puts the addresses of titles right, writes lost records again, copies lost or damaged objects that another version still has, uploads
    those that the work folder still has the encoded chunks of, and names complete versions that the catalog does not know. The exit code
    is 6 if something is lost that only an ingest of the source can put back.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(target=to, home=home)
    from vidpipe.lifecycle.repair import RepairRequest
    from vidpipe.lifecycle.repair import repair as reconcile

    with watching(progress) as (reporter, cancel):
        done = reconcile(RepairRequest(content_id=content_id, adopt=adopt, dry_run=dry_run), settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.repaired(out(), done)
    if not all(item.is_well for item in done.found):
        raise typer.Exit(VerificationFailed.exit_code)


def gc(
    delete: Annotated[bool, typer.Option("--delete", help="Remove it. Without this, it is only listed.")] = False,
    older_than: Age = f"{GARBAGE_OLDER_THAN_DAYS}d",
    to: options.To = None,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """List, or remove, what nothing references at a target.

    That is: versions and uploads that were never finished.

    Complete versions that the catalog does not know are named and never removed: they may belong to another catalog. What vidpipe did not
    make is not looked at.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(target=to, home=home)
    from vidpipe.lifecycle.garbage import LEAST_AGE, GarbageRequest, collect_garbage

    request = GarbageRequest(older_than=age(older_than, least=LEAST_AGE), delete=delete)
    if delete and asks(yes, False):
        planned = collect_garbage(request.model_copy(update={"delete": False}), settings)
        changes.garbage(out(), planned)
        if any(item.kind != "unknown" for item in planned.found):
            confirm("They are removed for ever.")
    with watching(progress) as (reporter, cancel):
        done = collect_garbage(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.garbage(out(), done)


def copy(
    content_id: options.LiveId,
    to: options.To = None,
    public_url: options.PublicUrl = None,
    dry_run: DryRun = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Move a title to another target, without encoding.

    The live version is copied there under the same keys, read back whole, and becomes the live one. What lies at the old target stays, as a
    superseded version: `vidpipe catalog prune` removes it.
    """
    from vidpipe.cli import changes
    from vidpipe.data import report

    settings = options.settings(target=to, public_url=public_url, home=home)
    from vidpipe.lifecycle.transfer import TransferRequest, transfer

    with watching(progress) as (reporter, cancel):
        done = transfer(TransferRequest(content_id=content_id, dry_run=dry_run), settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        changes.moved(out(), done)


def rekey(
    content_id: options.LiveId,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Publish a title under new keys, without encoding.

    Each segment is read from the target, decrypted, and encrypted under a new key of the same scheme and class, which comes from where
    key_source says. The new version takes the place of the live one, which stays, with its keys, as a superseded version: `vidpipe catalog
    prune` removes both. Neither the source nor the work folder is needed. If it is interrupted, the same command goes on.
    """
    from vidpipe.cli import key_tables
    from vidpipe.data import report

    settings = options.settings(home=home, ffmpeg=ffmpeg)
    from vidpipe.lifecycle.rekeying import RekeyRequest
    from vidpipe.lifecycle.rekeying import rekey as renew

    request = RekeyRequest(content_id=content_id, dry_run=dry_run)
    if asks(yes, dry_run):
        confirm(key_tables.would_rekey(renew(request.model_copy(update={"dry_run": True}), settings)))
    with watching(progress) as (reporter, cancel):
        done = renew(request, settings, reporter, cancel)
    if json:
        write_json(report(done))
    else:
        key_tables.rekeyed(out(), done)


def add_to(app: typer.Typer) -> None:
    """Give the program its commands for upkeep."""
    for name, command, shown in (
        ("verify", verify, ("verify film", "verify film --full", "verify s3://media/vod/film/20260102T030405Z-1a2b3c --json")),
        ("repair", repair, ("repair --dry-run", "repair film", "repair --adopt --to s3://media/vod")),
        ("gc", gc, ("gc", "gc --delete", "gc --delete --older-than 30d --to s3://media/vod --yes")),
        ("copy", copy, ("copy film --to s3://media/vod --dry-run", "copy film --to s3://media/vod", "copy film --to /srv/titles --json")),
        ("rekey", rekey, ("rekey film --dry-run", "rekey film", "rekey film --yes --json")),
    ):
        app.command(name, cls=Command, epilog=examples(*(f"vidpipe {line}" for line in shown)))(command)
