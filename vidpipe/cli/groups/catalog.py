"""``vidpipe catalog``: list, search, show, schema, export, import."""

from __future__ import annotations

from typing import Annotated

import typer

from vidpipe.cli import options
from vidpipe.cli.groups import finding
from vidpipe.cli.help import Command, examples, group
from vidpipe.cli.words import out, write_json

catalog = group("The records of published titles.")

catalog.command(
    "list",
    cls=Command,
    epilog=examples(
        "vidpipe catalog list --sort created --limit 20",
        "vidpipe catalog list --meta genre=drama --language de --height 1080",
        "vidpipe catalog list --json | jq -r '.titles[].playback.hls'",
    ),
)(finding.list_titles)
catalog.command(
    "search",
    cls=Command,
    epilog=examples(
        "vidpipe catalog search night riv",
        "vidpipe catalog search amelie --meta genre=comedy --sort created",
        "vidpipe catalog search 東京 --state all --json",
    ),
)(finding.search_titles)


@catalog.command(
    "show",
    cls=Command,
    epilog=examples(
        "vidpipe catalog show film",
        "vidpipe catalog show film --json",
        "vidpipe catalog show film --json | jq -r .playback.url",
    ),
)
def show_title(
    content_id: options.LiveId,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Show the record of a title."""
    from vidpipe.cli.render.records import show_record
    from vidpipe.data import report

    settings = options.settings(home=home)
    from vidpipe.preview import live_record

    live = live_record(settings, content_id)
    if json:
        write_json(report(live))
    else:
        show_record(out(), live)


@catalog.command(
    "cdn",
    cls=Command,
    epilog=examples(
        "vidpipe catalog cdn film",
        "vidpipe catalog cdn film --prefetch | xargs -n 1 -P 8 curl -sfo /dev/null",
        "vidpipe catalog cdn film --json | jq '[.objects[].size] | add'",
    ),
)
def cdn(
    content_id: options.LiveId,
    prefetch: Annotated[bool, typer.Option("--prefetch", help="Print the URLs worth fetching in advance.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Print the URLs to purge when another version goes live.")] = False,
    json: options.Json = False,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """List the files of a title that a CDN serves.

    Shows size, hash, cache class and time, and priority, in the order in which players request them. URLs need the setting public_url;
    without it, paths at the target are printed.
    """
    from contextlib import closing

    from vidpipe.catalog.published_at import storage_of
    from vidpipe.cdn.objects import prefetched, title_report
    from vidpipe.cli.render.records import show_cdn
    from vidpipe.cli.words import lines
    from vidpipe.data import report
    from vidpipe.preview import live_record

    settings = options.settings(home=home)
    live = live_record(settings, content_id)
    with closing(storage_of(live)) as storage:
        found = title_report(live, storage, settings.public_url)
    listed = prefetched(found.objects) if prefetch else found.objects
    if json:
        write_json({**report(found), "objects": [report(item) for item in listed]})
    elif purge:
        lines(out(), *found.purge)
    elif prefetch:
        lines(out(), *(item.url or item.path for item in listed))
    else:
        show_cdn(out(), listed)


@catalog.command(
    "schema",
    cls=Command,
    epilog=examples(
        "vidpipe catalog schema",
        "vidpipe catalog schema > record.schema.json",
        "vidpipe catalog schema | jq '.properties | keys'",
    ),
)
def print_schema(debug: options.Debug = False) -> None:
    """Print the JSON Schema of a record."""
    from vidpipe.catalog.record import json_schema

    write_json(json_schema())


catalog.command(
    "export",
    cls=Command,
    epilog=examples(
        "vidpipe catalog export > catalog.jsonl",
        "vidpipe catalog export --state live --meta genre=drama > drama.jsonl",
        "vidpipe catalog export | vidpipe catalog import - --home /srv/other",
    ),
)(finding.export_titles)
catalog.command(
    "import",
    cls=Command,
    epilog=examples(
        "vidpipe catalog import catalog.jsonl --dry-run",
        "vidpipe catalog import catalog.jsonl",
        "vidpipe catalog import catalog.jsonl --home /srv/other",
    ),
)(finding.import_titles)
