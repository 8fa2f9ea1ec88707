"""``vidpipe keys``: list, show, export, import, rotate-master."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vidpipe.cli import completion, options
from vidpipe.cli.groups.lifecycle import DryRun, Yes, asks, confirm
from vidpipe.cli.help import Command, examples, group
from vidpipe.cli.words import err, lines, out, write_json
from vidpipe.errors import UsageError
from vidpipe.quantities import count

keys = group("The content keys of titles, and the master key that wraps them.")

STANDARD = "-"


@keys.command("list", cls=Command, epilog=examples("vidpipe keys list", "vidpipe keys list film", "vidpipe keys list --json"))
def list_of_keys(
    content_id: Annotated[
        str | None,
        typer.Argument(metavar="CONTENT_ID", help="Title. Default: all titles.", show_default=False, autocompletion=completion.content_ids),
    ] = None,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """List keys by id.

    Of which title each is, which versions need it, and whether it can be opened. No key is shown.
    """
    from vidpipe.cli import key_tables
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.title_keys import list_keys

    found = list_keys(settings, content_id)
    if json:
        write_json([report(key) for key in found])
    else:
        key_tables.listed(out(), found)


@keys.command(
    "show",
    cls=Command,
    epilog=examples("vidpipe keys show film", "vidpipe keys show 0f1e2d3c4b5a69788796a5b4c3d2e1f0", "vidpipe keys show film --json"),
)
def show_key(
    name: Annotated[
        str,
        typer.Argument(metavar="CONTENT_ID|KEY_ID", help="Title, or one key.", show_default=False, autocompletion=completion.content_ids),
    ],
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Show what the keys of a title protect.

    Versions, classes of tracks, segments. No key is shown.
    """
    from vidpipe.cli import key_tables
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.title_keys import show_keys

    found = show_keys(settings, name)
    if json:
        write_json([report(key) for key in found])
    else:
        key_tables.shown(out(), found)


@keys.command(
    "export",
    cls=Command,
    epilog=examples(
        "vidpipe keys export film --cpix film.cpix.xml",
        "vidpipe keys export film --cpix film.cpix.xml --recipient licenses.pem",
        "vidpipe keys export film --cpix - | age -r age1… > film.cpix.age",
    ),
)
def export_key(
    content_id: options.LiveId,
    cpix: Annotated[
        str, typer.Option("--cpix", metavar="FILE|-", help="Where to write the document; - is standard output.", show_default=False)
    ],
    recipient: Annotated[
        str | None,
        typer.Option(
            "--recipient",
            metavar="FILE",
            help="X.509 certificate (RSA; PEM or DER) that the keys are encrypted to. Default: they are in clear.",
            show_default=False,
        ),
    ] = None,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Write the keys of a title as CPIX, in clear or encrypted.

    Whoever has a document in clear can decrypt the title; one with --recipient opens with the private key of that certificate alone. A file
    is written for this user alone.
    """
    settings = options.settings(home=home)
    from vidpipe.lifecycle.title_keys import export_keys

    document = export_keys(settings, content_id, recipient)
    if cpix == STANDARD:
        sys.stdout.buffer.write(document)
        sys.stdout.buffer.flush()
    else:
        _write(Path(cpix), document)
    where = "standard output" if cpix == STANDARD else cpix
    if recipient is None:
        lines(err(), f"warning: {where} has the keys of {content_id} in clear: whoever reads it can decrypt the title")


@keys.command(
    "import",
    cls=Command,
    epilog=examples(
        "vidpipe keys import film.cpix.xml",
        "vidpipe keys import - --id film",
        "vidpipe keys import /secure/film.xml --json",
    ),
)
def import_key(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="CPIX document; - is standard input.", show_default=False)],
    content_id: Annotated[
        str | None,
        typer.Option("--id", metavar="CONTENT_ID", help="Title that they are for. Default: what the document says.", show_default=False),
    ] = None,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Store the keys of a CPIX document.

    They are in clear, or encrypted to the certificate in the setting delivery_certificate.
    """
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.title_keys import import_keys

    done = import_keys(settings, _read(file), "standard input" if file == STANDARD else file, content_id)
    if json:
        write_json(report(done))
    else:
        known = count(len(done.known), "was there already", "were there already")
        lines(out(), f"{done.content_id}: {count(len(done.added), 'key')} stored, {known}")


@keys.command(
    "rotate-master",
    cls=Command,
    epilog=examples(
        "vidpipe keys rotate-master --dry-run",
        "vidpipe keys rotate-master",
        "vidpipe keys rotate-master --from-kms arn:aws:kms:eu-west-1:111122223333:key/1234abcd",
    ),
)
def rotate_master_key(
    new_master: Annotated[
        str | None,
        typer.Option(
            "--new-master",
            metavar="VARIABLE",
            help="Name of the environment variable that has the new master key. Default: a fresh key is made in the key store.",
            show_default=False,
        ),
    ] = None,
    from_kms: Annotated[
        str | None,
        typer.Option(
            "--from-kms",
            metavar="KEY_ARN",
            help="The KMS key that key_source named so far: all keys leave it for what key_source names now. "
            "First stop whatever makes titles with the old key_source.",
            show_default=False,
        ),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Wrap all keys with a new master key.

    Titles are not touched. If it is interrupted, even by a power cut, the same command goes on, and all keys can still be opened. With
    --new-master they cannot: until it has gone on, some keys need the old master key and some the new one. So stop whatever makes titles
    first, and restart it and the key service with the new master key; the old one wraps no new key any more.

    To move to AWS KMS, change key_source first; to leave it, or one KMS key for another, also name the KMS key of before with --from-kms.
    Stop whatever makes titles (such as watch) before --from-kms; start it, and restart the key service, with the new key_source after that.
    """
    from vidpipe.cli import key_tables
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.lifecycle.title_keys import rotate

    new = _master_of(new_master) if new_master is not None else None
    if asks(yes, dry_run):
        confirm(key_tables.would_rotate(rotate(settings, new, from_kms=from_kms, dry_run=True)))
    done = rotate(settings, new, from_kms=from_kms, dry_run=dry_run)
    if json:
        write_json(report(done))
    else:
        key_tables.rotated(out(), done, new_master)


def _master_of(variable: str) -> bytes:
    from vidpipe.protect.master_key import parse_master_key

    if variable not in os.environ:
        fix = "name the variable, not the key: export NEW_MASTER_KEY, then --new-master NEW_MASTER_KEY"
        raise UsageError("there is no such environment variable", where="--new-master", fix=fix)
    return parse_master_key(os.environ[variable], variable)


def _read(file: str) -> bytes:
    from vidpipe.protect.cpix_markup import MOST_BYTES

    try:
        if file == STANDARD:
            return sys.stdin.buffer.read(MOST_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as problem:
        fix = "check the path and its permissions"
        raise UsageError(f"the document cannot be read: {problem.strerror}", where=file, fix=fix) from problem


def _write(file: Path, document: bytes) -> None:
    from vidpipe import durable

    try:
        durable.write(file, document, private=True)
    except OSError as problem:
        raise UsageError(f"the document cannot be written: {problem.strerror}", where=str(file), fix="choose another place") from problem
