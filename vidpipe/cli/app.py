"""The commands of vidpipe. Each is short: resolve the settings, call the library, render the result.

Everything heavy (the pipeline, pydantic, rich, boto3, SQLAlchemy) is imported inside the command that needs it, so that --help is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidpipe import __version__
from vidpipe.cli import batch, completion, exits, options
from vidpipe.cli.groups import lifecycle, upkeep
from vidpipe.cli.groups.catalog import catalog
from vidpipe.cli.groups.keys import keys
from vidpipe.cli.groups.ladders import ladders
from vidpipe.cli.groups.policies import policy
from vidpipe.cli.groups.work import work
from vidpipe.cli.help import Command, Group, examples, listed
from vidpipe.cli.watching import watching
from vidpipe.cli.words import err, lines, out, write_json
from vidpipe.errors import SourceRefused, UsageError, VerificationFailed

if TYPE_CHECKING:
    from vidpipe.cli.tally import FileTally
    from vidpipe.pipeline.ingest import IngestResult
    from vidpipe.plan import Plan

ABOUT = "Turn a source video into an encrypted title for HLS and DASH, ready to stream."

app = typer.Typer(
    name="vidpipe",
    help=ABOUT,
    epilog="\n\n".join(
        (
            examples("vidpipe doctor", "vidpipe ingest film.mov --id film", "vidpipe preview film"),
            listed("Exit codes", *(f"{code:>3}  {meaning}" for code, meaning in exits.CODES.items())),
            "Each setting is taken from its flag, or else from the variable VIDPIPE_<NAME>, or else from vidpipe.toml in the working "
            "directory (some settings) or in the home folder (all of them).",
        )
    ),
    rich_markup_mode=None,  # rich's help takes four times as long to load as to write: see cli/help.py
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ladders, name="ladders")
lifecycle.add_to(catalog)
app.add_typer(catalog, name="catalog")
app.add_typer(keys, name="keys")
app.add_typer(policy, name="policy")
app.add_typer(work, name="work")


def invoke(arguments: Sequence[str]) -> None:
    """Run one command line. Failures leave as exceptions: ``exits.run`` is the one place that turns them into text."""
    if os.environ.get(completion.VARIABLE):  # a shell asks for completions
        completion.join_words(os.environ)
        app(prog_name="vidpipe")
    command = typer.main.get_command(app)
    with command.make_context("vidpipe", list(arguments)) as context:
        command.invoke(context)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vidpipe {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Describe the whole; ABOUT is what the help shows."""


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe ingest film.mov --id film --title 'A Film'",
        "vidpipe ingest s3://masters/film.mov --to s3://media/vod --ladder premium",
        "vidpipe ingest --jobs titles.csv --to s3://media/vod --junit titles.xml",
    ),
)
def ingest(
    sources: options.Sources = None,
    content_id: options.ContentId = None,
    title: options.Title = None,
    meta: options.Meta = None,
    language: options.Language = None,
    replace: options.Replace = False,
    jobs: options.Jobs = None,
    fail_fast: options.FailFast = False,
    junit: options.Junit = None,
    to: options.To = None,
    public_url: options.PublicUrl = None,
    home: options.Home = None,
    ladder: options.Ladder = None,
    policy: options.Policy = None,
    encrypt: options.Encrypt = None,
    formats: options.Formats = None,
    key_url: options.KeyUrl = None,
    key_classes: options.KeyClasses = None,
    key_rotation: options.KeyRotation = None,
    new_key: options.NewKey = False,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    quiet: options.Quiet = False,
    workers: options.Workers = None,
    threads: options.Threads = None,
    chunk_seconds: options.ChunkSeconds = None,
    ffmpeg: options.FFmpeg = None,
    cluster: options.Cluster = None,
    cluster_work: options.ClusterWork = None,
    debug: options.Debug = False,
) -> None:
    """Turn a source video into a published title.

    Run the same command again to resume an interrupted ingest. If nothing has changed, it does nothing, or restores what the target lost.
    """
    flags = {
        "ladder": ladder, "target": to, "encrypt": encrypt, "formats": formats, "key_url": key_url,
        "public_url": public_url, "policy": policy, "home": home,
        "ffmpeg": ffmpeg, "workers": workers, "threads": threads, "chunk_seconds": chunk_seconds, "cluster": cluster,
        "cluster_work": cluster_work, "key_classes": key_classes, "key_rotation": key_rotation,
    }  # fmt: skip
    given = {"content_id": content_id, "title": title, "meta": meta, "language": language, "new_key": new_key, "replace": replace}
    shown = options.progress(progress, quiet=quiet)
    if not (batch.is_batch(sources or [], jobs) or junit or fail_fast):
        return _ingest_one({"source": (sources or [""])[0], **given}, flags, shown, dry_run=dry_run, json=json, quiet=quiet)
    titles = batch.titles_of(sources or [], jobs, given)
    if dry_run:
        return batch.plan_titles(titles, flags, progress=shown, json=json)
    batch.ingest_titles(titles, flags, progress=shown, quiet=quiet, json=json, fail_fast=fail_fast, junit=junit)


def _ingest_one(
    given: dict[str, Any], flags: dict[str, Any], progress: options.Progress, *, dry_run: bool, json: bool, quiet: bool
) -> None:
    """Make one title. given: what ``options.request`` takes.  flags: the settings that were given."""
    with watching(progress, *_stages(dry_run=dry_run)) as (reporter, cancel):
        settings = options.settings(**flags)
        from vidpipe.pipeline import ingest as pipeline

        request = options.request(**given)
        if dry_run:
            return _print_plan(pipeline.prepare(request, settings, reporter, cancel), json=json)
        result = pipeline.ingest(request, settings, reporter, cancel)
    summary = progress is not options.Progress.json
    _print_result(result, reporter.warned, json=json, summary=summary, quiet=quiet, home=flags["home"])


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe watch /srv/incoming --to s3://media/vod",
        "vidpipe watch s3://masters/incoming/ --ladder premium --progress json",
        "vidpipe watch /srv/incoming --settle 60 --json > published.ndjson",
    ),
)
def watch(
    inbox: Annotated[str, typer.Argument(metavar="DIR|s3://BUCKET/PREFIX", help="Where sources arrive.", show_default=False)],
    settle: options.Settle = 10.0,
    replace: options.Replace = False,
    to: options.To = None,
    public_url: options.PublicUrl = None,
    home: options.Home = None,
    ladder: options.Ladder = None,
    policy: options.Policy = None,
    encrypt: options.Encrypt = None,
    formats: options.Formats = None,
    key_url: options.KeyUrl = None,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    quiet: options.Quiet = False,
    workers: options.Workers = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Publish every source that arrives in a folder.

    A title is named after its file. When it is live, the file is moved to done/ in the folder; if it is refused, to failed/, with the
    reason beside it. If target or catalog fail, it stays and is tried again. SIGTERM or Ctrl-C stops the service; the next start continues.
    """
    flags = {
        "ladder": ladder, "target": to, "encrypt": encrypt, "formats": formats, "key_url": key_url,
        "public_url": public_url, "policy": policy, "home": home,
        "ffmpeg": ffmpeg, "workers": workers,
    }  # fmt: skip
    shown = options.progress(progress, quiet=quiet)
    batch.watch_inbox(inbox, flags, progress=shown, quiet=quiet, json=json, replace=replace, settle=settle)


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe plan film.mov",
        "vidpipe plan film.mov --ladder mine.yaml",
        "vidpipe plan https://example.com/film.mov --json",
    ),
)
def plan(
    source: options.Source,
    ladder: options.Ladder = None,
    language: options.Language = None,
    policy: options.Policy = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Show what an ingest would encode, and why."""
    with watching(options.progress(options.Progress.auto, quiet=quiet), *_stages(dry_run=True)) as (reporter, cancel):
        settings = options.settings(ladder=ladder, policy=policy, home=home, ffmpeg=ffmpeg)
        from vidpipe.pipeline.ingest import IngestRequest, prepare

        decided = prepare(IngestRequest(source=source, languages=options.languages(language)), settings, reporter, cancel)
    _print_plan(decided, json=json)


def _stages(*, dry_run: bool) -> Sequence[str]:
    """Return the stages that a checklist shows before they begin."""
    from vidpipe.progress import OCCASIONAL, STAGES

    expected = [stage for stage in STAGES if stage not in OCCASIONAL]
    return expected[: expected.index("plan") + 1] if dry_run else expected


def _print_result(result: IngestResult, warned: Collection[str], *, json: bool, summary: bool, quiet: bool, home: str | None) -> None:
    """The record goes to standard output, the summary to the person. The title is live, so that nothing here may fail the run."""
    from vidpipe.cli.summary import finished, lost_result
    from vidpipe.data import report

    if json:
        try:
            write_json({**report(result.record), "manifest": result.manifest, "address": result.address, "timings": result.timings})
        except OSError as lost:
            exits.drop(sys.stdout)
            with suppress(OSError):
                lost_result(err(), result.record.content_id, lost.strerror or str(lost), home=home)
    if summary:
        with suppress(OSError):  # nobody reads
            finished(err(), result, home=home, warned=warned, quiet=quiet)


def _print_plan(decided: Plan, *, json: bool) -> None:
    from vidpipe.cli.render.plans import show_plan
    from vidpipe.data import report

    if json:
        write_json(report(decided))
    else:
        show_plan(out(), decided)


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe validate film.mov",
        "vidpipe validate incoming/*.mov --quick",
        "vidpipe validate film.mov --policy broadcast.yaml --json",
    ),
)
def validate(
    files: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Video files, URLs (https:// or s3://), or - for standard input.", show_default=False),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="Do not decode, and read only both ends of a large file.")] = False,
    policy: options.Policy = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file, each on a line of its own.")] = False,
    progress: options.ProgressOption = options.Progress.auto,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print warnings and errors only: no progress, nothing about a file that has none.")
    ] = False,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Measure source files and check their quality.

    The exit code is 3 if any file is refused.

    --quick takes about a second for a local file of any size. It skips every check that needs decoding: black, frozen and damaged frames,
    silence, loudness, LATM, DTS or Opus audio whose format changes mid-stream. In a large file it reads only the beginning and the end, and
    so also skips what needs the whole file: gaps, clock jumps, wrong timestamps and damaged packets in between, audio whose format changes,
    missing frames, unflagged interlacing, the checksum.
    """
    from vidpipe.cli.render.validations import show_validation
    from vidpipe.data import report

    shown = options.progress(progress, quiet=quiet)
    with _counted(len(files), json=json, progress=shown, quiet=quiet) as tally, watching(shown) as (reporter, cancel):
        settings = options.settings(policy=policy, home=home, ffmpeg=ffmpeg)
        from vidpipe.validation import validate_files

        for result in validate_files(files, settings, quick=quick, cancel=cancel, reporter=reporter):
            tally.add(result)
            with reporter.aside():
                if json:
                    write_json(report(result), lines=True)
                else:
                    show_validation(out(), result, quiet=quiet)
        if tally.refused:
            raise typer.Exit(SourceRefused.exit_code)


@contextmanager
def _counted(files: int, *, json: bool, progress: options.Progress, quiet: bool) -> Iterator[FileTally]:
    """Count files, and say at the end what came of them, also of a run that was stopped. Where results are JSON, standard error has it."""
    from vidpipe.cli.tally import FileTally

    tally = FileTally(files)
    try:
        yield tally
    finally:
        text = tally.line()
        if quiet:
            text = None
        if text and not json:
            lines(out(), text)
        elif text and progress not in (options.Progress.json, options.Progress.none):
            lines(err(), text)


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe inspect s3://media/vod/film/20260102T030405Z-1a2b3c/master.m3u8",
        "vidpipe inspect https://cdn.example.com/film/manifest.mpd",
        "vidpipe inspect library/film --json",
    ),
)
def inspect(
    location: Annotated[
        str,
        typer.Argument(
            metavar="MANIFEST|DIR", help="Playlist, DASH manifest, or folder of a title: path or URL (https://, s3://).", show_default=False
        ),
    ],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show the content of a manifest, and check that it exists.

    Lists what HLS playlists or a DASH manifest offer: renditions, segments, durations and keys. Segments are looked up, not read; on a web
    server, only a few per playlist.
    The exit code is 6 if anything is missing or broken.
    """
    from vidpipe.cli.render.inspections import show_inspection
    from vidpipe.data import report
    from vidpipe.inspect.inspection import inspect as look

    try:
        found = look(location)
    except UsageError as error:
        if not json:
            raise
        raise _print_unreadable(location, error, debug=debug) from error
    if json:
        write_json(report(found))
    else:
        show_inspection(out(), found)
    if found.problems:
        raise typer.Exit(VerificationFailed.exit_code)


def _print_unreadable(location: str, error: UsageError, *, debug: bool) -> typer.Exit:
    """Print what programs expect of an inspection, with the error in it, and the words for people."""
    from vidpipe.data import report
    from vidpipe.inspect.inspection import unreadable

    problem = exits.failure(error, debug=debug)
    exits.show(problem)
    write_json({**report(unreadable(location, error)), "error": problem.report()})
    return typer.Exit(problem.exit_code)


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe preview film",
        "vidpipe preview film --port 8080",
        "vidpipe preview film --home /srv/vidpipe",
    ),
)
def preview(
    content_id: options.LiveId,
    port: options.Port = 0,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Play a published title in a browser on this machine.

    Prints the address of the player page and serves it until Ctrl-C.
    """
    from vidpipe.cli.render.machine_state import show_preview

    settings = options.settings(home=home)
    from vidpipe.preview import playing

    with exits.stopping(lambda: None) as cancel, playing(content_id, settings, port) as server:
        show_preview(out(), server)
        cancel.wait()


@app.command(
    cls=Command,
    epilog=examples(
        "vidpipe doctor",
        "vidpipe doctor --to s3://media/vod",
        "vidpipe doctor --cluster tcp://scheduler:8786 --cluster-work s3://media/work",
    ),
)
def doctor(
    to: options.To = None,
    ladder: options.Ladder = None,
    json: options.Json = False,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    cluster: options.Cluster = None,
    cluster_work: options.ClusterWork = None,
    debug: options.Debug = False,
) -> None:
    """Check that this machine is ready to ingest.

    Looks at ffmpeg, ladder, home, keys, key server, target, catalog and cluster. The exit code is 2 if anything is broken.
    """
    from vidpipe.cli.render.machine_state import show_checks
    from vidpipe.data import report

    settings = options.settings(
        target=to, ladder=ladder, home=home, ffmpeg=ffmpeg, cluster=cluster, cluster_work=cluster_work, any_variables=True
    )
    from vidpipe.doctor import examine

    checks = examine(settings, os.environ)
    if json:
        write_json({"ok": all(check.state != "error" for check in checks), "checks": [report(check) for check in checks]})
    else:
        show_checks(out(), checks)
    if any(check.state == "error" for check in checks):
        raise typer.Exit(2)


upkeep.add_to(app)
