"""The commands of ``vidpipe catalog`` that find titles, and carry them to another catalog: list, search, export, import."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from vidpipe.cli import filters, options
from vidpipe.cli.words import err, lines, write_json
from vidpipe.errors import UsageError

if TYPE_CHECKING:
    from vidpipe.catalog.search import Query


def list_titles(
    context: typer.Context,
    state: filters.States = None,
    id: filters.IdPattern = None,
    meta: filters.Meta = None,
    language: filters.Language = None,
    height: filters.Height = None,
    encrypt: filters.Encrypt = None,
    created_after: filters.CreatedAfter = None,
    created_before: filters.CreatedBefore = None,
    min_duration: filters.MinDuration = None,
    max_duration: filters.MaxDuration = None,
    sort: filters.Sort = "id",
    reverse: filters.Reverse = False,
    limit: filters.Limit = None,
    after: filters.After = None,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """List titles: the live ones, unless --state says otherwise."""
    _list(filters.query(context.params), limit, json=json, home=home)


def search_titles(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="WORD", help="All have to be there; the last one may be the beginning of a word.", show_default=False),
    ],
    state: filters.States = None,
    id: filters.IdPattern = None,
    meta: filters.Meta = None,
    language: filters.Language = None,
    height: filters.Height = None,
    encrypt: filters.Encrypt = None,
    created_after: filters.CreatedAfter = None,
    created_before: filters.CreatedBefore = None,
    min_duration: filters.MinDuration = None,
    max_duration: filters.MaxDuration = None,
    sort: filters.Sort = "id",
    reverse: filters.Reverse = False,
    limit: filters.Limit = None,
    after: filters.After = None,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Find titles by words of title, metadata and content id.

    They are the live ones, unless --state says otherwise. Case and accents do not count.
    """
    _list(filters.query(context.params, text=" ".join(words)), limit, json=json, home=home)


def export_titles(
    context: typer.Context,
    state: filters.States = None,
    id: filters.IdPattern = None,
    meta: filters.Meta = None,
    language: filters.Language = None,
    height: filters.Height = None,
    encrypt: filters.Encrypt = None,
    created_after: filters.CreatedAfter = None,
    created_before: filters.CreatedBefore = None,
    min_duration: filters.MinDuration = None,
    max_duration: filters.MaxDuration = None,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Print versions as JSON Lines, for another catalog or a backup.

    That is every version of every title, or those that the filters choose. Media and keys are not part of it.
    """
    settings = options.settings(home=home)
    from vidpipe.catalog import open_catalog
    from vidpipe.catalog.exchange import exported

    with open_catalog(settings.catalog_url) as opened:
        for line in exported(opened, filters.query(context.params, states=())):
            sys.stdout.write(line + "\n")
    sys.stdout.flush()


def import_titles(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What catalog export printed, or - for standard input.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compare the file with the catalog; write nothing.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Add exported versions to the catalog.

    What it has already stays; nothing is overwritten. The same import again changes nothing.
    """
    settings = options.settings(home=home)
    from vidpipe.catalog import open_catalog
    from vidpipe.catalog.exchange import import_lines
    from vidpipe.cli.words import out
    from vidpipe.data import report
    from vidpipe.quantities import count

    with _seekable(file) as read, open_catalog(settings.catalog_url) as opened:
        done = import_lines(opened, read, name="standard input" if file == "-" else file, dry_run=dry_run)
    if json:
        write_json({"dry_run": dry_run, **report(done)})
    else:
        verb = "would add" if dry_run else "added"
        lines(out(), f"{verb} {count(done.added, 'version')}; {count(done.unchanged, 'version')} already in the catalog")


def _list(query: Query, limit: int | None, *, json: bool, home: str | None) -> None:
    settings = options.settings(home=home)
    from vidpipe.catalog import open_catalog
    from vidpipe.catalog.search import Query
    from vidpipe.cli.listing import print_json, print_titles

    with open_catalog(settings.catalog_url) as opened:
        page = None if limit is None else opened.search(query, limit)
        records = (record for record, _ in opened.each(query)) if page is None else page.records
        following = None if page is None else page.next
        if json:
            print_json(records, following)
        elif not print_titles(records):
            plain = query == Query(order=query.order, reverse=query.reverse)
            lines(err(), "no titles yet; make one with: vidpipe ingest SOURCE" if plain else "no titles found")
    if following and not json:
        lines(err(), f"there are more: the same command with --after {following}")


@contextmanager
def _seekable(name: str) -> Iterator[BinaryIO]:
    """Open a file that is read twice; what comes through a pipe is kept on disk meanwhile."""
    with ExitStack() as stack:
        try:
            given = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
        except OSError as problem:
            fix = "check its name and your rights"
            raise UsageError(f"the file cannot be opened: {problem.strerror or problem}", where=name, fix=fix) from problem
        if given.seekable():
            yield given
            return
        kept = stack.enter_context(tempfile.TemporaryFile())
        shutil.copyfileobj(given, kept)
        kept.seek(0)
        yield kept
