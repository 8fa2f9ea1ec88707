"""The commands of vidpipe. Each is short: resolve the settings, call the library, render the result.

Everything heavy (the pipeline, pydantic, rich, boto3, SQLAlchemy) is imported inside the command that needs it, so that --help is quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from vidpipe import __version__
from vidpipe.cli import exits, options
from vidpipe.cli.groups.catalog import catalog
from vidpipe.cli.groups.ladders import ladders
from vidpipe.cli.groups.work import work
from vidpipe.cli.help import Command, Group
from vidpipe.cli.words import err, out, write_json
from vidpipe.errors import SourceRefused, UsageError, VerificationFailed

if TYPE_CHECKING:
    from vidpipe.cli.reporters import UntilLive
    from vidpipe.pipeline.ingest import IngestResult
    from vidpipe.plan import Plan

app = typer.Typer(
    name="vidpipe",
    help="Turn a source video into a published, encrypted, proven HLS title.",
    epilog=exits.EPILOG + " Settings: flag, then VIDPIPE_<NAME>, then vidpipe.toml (some of them here, all in the home folder).",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich's help takes four times as long to load as to write: see cli/help.py
    cls=Group,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(ladders, name="ladders")
app.add_typer(catalog, name="catalog")
app.add_typer(work, name="work")


def invoke(arguments: Sequence[str]) -> None:
    """Run one command line. Failures leave as exceptions: ``exits.run`` is the one place that turns them into text."""
    if "_VIDPIPE_COMPLETE" in os.environ:  # a shell asks for completions
        app()
    command = typer.main.get_command(app)
    with command.make_context("vidpipe", list(arguments)) as context:
        command.invoke(context)


@contextmanager
def watching(progress: options.Progress) -> Iterator[tuple[UntilLive, Event]]:
    """Give a Reporter and the event that Ctrl-C sets; let the Reporter show how the block ended."""
    from vidpipe.cli.reporters import UntilLive, watcher

    shown = watcher(progress.value)
    shown.open()
    with exits.stopping(shown.interrupting) as cancel:
        try:
            yield UntilLive(shown, cancel), cancel
        except typer.Exit as ended:
            shown.close(None, ended.exit_code)
            raise
        except BaseException as error:
            problem = exits.failure(error, debug=exits.wants("--debug", sys.argv[1:]))
            if shown.close(problem):
                raise exits.Reported(problem) from error
            raise
        shown.close(None)


def _version(wanted: bool) -> None:
    if wanted:
        out().print(f"vidpipe {__version__}")
        raise typer.Exit


@app.callback()
def top(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Turn a source video into a published, encrypted, proven HLS title."""


@app.command(cls=Command)
def ingest(
    source: options.Source,
    ladder: options.Ladder = None,
    to: options.To = None,
    content_id: options.ContentId = None,
    title: options.Title = None,
    meta: options.Meta = None,
    language: options.Language = None,
    encrypt: options.Encrypt = None,
    key_url: options.KeyUrl = None,
    public_url: options.PublicUrl = None,
    new_key: options.NewKey = False,
    replace: options.Replace = False,
    policy: options.Policy = None,
    dry_run: options.DryRun = False,
    json: options.Json = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    workers: options.Workers = None,
    threads: options.Threads = None,
    chunk_seconds: options.ChunkSeconds = None,
    cluster: options.Cluster = None,
    cluster_work: options.ClusterWork = None,
    debug: options.Debug = False,
) -> None:
    """Turn a source video into a published HLS title.

    An interrupted ingest resumes when the same command is run again. An unchanged one does nothing, or puts back what the target has lost.
    """
    with watching(progress) as (reporter, cancel):
        settings = options.settings(
            ladder=ladder, target=to, encrypt=encrypt, key_url=key_url, public_url=public_url, policy=policy, home=home, ffmpeg=ffmpeg,
            workers=workers, threads=threads, chunk_seconds=chunk_seconds, cluster=cluster, cluster_work=cluster_work,
        )  # fmt: skip
        from vidpipe.pipeline import ingest as pipeline

        request = pipeline.IngestRequest(
            source=source, content_id=content_id, title=title, metadata=options.metadata(meta),
            languages=options.languages(language), new_key=new_key, replace=replace,
        )  # fmt: skip
        if dry_run:
            return _print_plan(pipeline.prepare(request, settings, reporter, cancel), json=json)
        result = pipeline.ingest(request, settings, reporter, cancel)
    _print_result(result, json=json, summary=progress is not options.Progress.json)


@app.command(cls=Command)
def plan(
    source: options.Source,
    ladder: options.Ladder = None,
    language: options.Language = None,
    policy: options.Policy = None,
    json: options.Json = False,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Show what an ingest would encode, and why. Encodes nothing."""
    with watching(options.Progress.auto) as (reporter, cancel):
        settings = options.settings(ladder=ladder, policy=policy, home=home, ffmpeg=ffmpeg)
        from vidpipe.pipeline.ingest import IngestRequest, prepare

        decided = prepare(IngestRequest(source=source, languages=options.languages(language)), settings, reporter, cancel)
    _print_plan(decided, json=json)


def _print_result(result: IngestResult, *, json: bool, summary: bool) -> None:
    """The record goes to standard output, the summary to the person. The title is live, so that nothing here may fail the run."""
    from vidpipe.cli.summary import finished, lost_result
    from vidpipe.data import report

    if json:
        try:
            write_json({**report(result.record), "manifest": result.manifest, "address": result.address, "timings": result.timings})
        except OSError as lost:
            exits.drop(sys.stdout)
            with suppress(OSError):
                lost_result(err(), result.record.content_id, lost.strerror or str(lost))
    if summary:
        with suppress(OSError):  # nobody reads
            finished(err(), result)


def _print_plan(decided: Plan, *, json: bool) -> None:
    from vidpipe.cli import render
    from vidpipe.data import report

    if json:
        write_json(report(decided))
    else:
        render.plan(out(), decided)


@app.command(cls=Command)
def validate(
    files: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Video files, URLs, or - for standard input.", show_default=False)],
    quick: Annotated[bool, typer.Option("--quick", help="Do not decode, and read only the ends of a large file.")] = False,
    policy: options.Policy = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file, one a line.")] = False,
    progress: options.ProgressOption = options.Progress.auto,
    home: options.Home = None,
    ffmpeg: options.FFmpeg = None,
    debug: options.Debug = False,
) -> None:
    """Measure source files and check their quality.

    The exit code is 3 if any of them is refused.

    --quick takes about a second for a local file of any size. It skips checks that need decoding: black, frozen and damaged pictures,
    silence, loudness, changes of LATM, DTS or Opus audio mid-stream. Of a file that is not small it reads the beginning and the end only,
    and skips checks that need all of it: gaps, clock jumps, wrong times and damaged packets in between, audio that changes, missing
    pictures, interlaced pictures that are not flagged, the checksum.
    """
    from vidpipe.cli import render
    from vidpipe.data import report

    refused = False
    with watching(progress) as (reporter, cancel):
        settings = options.settings(policy=policy, home=home, ffmpeg=ffmpeg)
        from vidpipe.validation import validate_files

        for result in validate_files(files, settings, quick=quick, cancel=cancel, reporter=reporter):
            refused = refused or result.refused
            with reporter.aside():
                if json:
                    write_json(report(result), lines=True)
                else:
                    render.validation(out(), result)
        if refused:
            raise typer.Exit(SourceRefused.exit_code)


@app.command(cls=Command)
def inspect(
    location: Annotated[
        str, typer.Argument(metavar="MANIFEST|DIR", help="Playlist or title: a path or URL (s3://, https://).", show_default=False)
    ],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what playlists say: variants, renditions, segments, durations, keys.

    The exit code is 6 if something in it is missing or broken. Segments are looked up, not read; of a web server, a few of each playlist.
    """
    from vidpipe.cli import render
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
        render.inspection(out(), found)
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


@app.command(cls=Command)
def preview(
    content_id: Annotated[str, typer.Argument(metavar="CONTENT_ID", help="Title in the catalog.", show_default=False)],
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Port of the local server; 0 takes a free one.")] = 0,
    home: options.Home = None,
    debug: options.Debug = False,
) -> None:
    """Play a published title in the browser of this machine. Ctrl-C ends it."""
    from vidpipe.cli import render

    settings = options.settings(home=home)
    from vidpipe.preview import playing

    with exits.stopping(lambda: None) as cancel, playing(content_id, settings, port) as server:
        render.playing(out(), server)
        cancel.wait()


@app.command(cls=Command)
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
    """Check whether this machine can ingest: ffmpeg, home, keys, target, catalog.

    The exit code is 2 if something is broken.
    """
    from vidpipe.cli import render
    from vidpipe.data import report

    settings = options.settings(
        target=to, ladder=ladder, home=home, ffmpeg=ffmpeg, cluster=cluster, cluster_work=cluster_work, any_variables=True
    )
    from vidpipe.doctor import examine

    checks = examine(settings, os.environ)
    if json:
        write_json({"ok": all(check.state != "error" for check in checks), "checks": [report(check) for check in checks]})
    else:
        render.doctor(out(), checks)
    if any(check.state == "error" for check in checks):
        raise typer.Exit(2)
