"""Many titles from one command line: ``vidpipe ingest`` of several sources or of a list, and ``vidpipe watch``.

In:   what was given on the command line.
Out:  progress on standard error while it runs, then a table; with --json a line for each title on standard output, as it ends.
Wrong: UsageError before anything begins; then the exit code is that of the first title, in the order given, that failed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vidpipe.cli import exits, options
from vidpipe.cli.watching import watching_many
from vidpipe.cli.words import err, out, write_json
from vidpipe.errors import Interrupted, UsageError, VidpipeError

if TYPE_CHECKING:
    from vidpipe.batch.queue import TitleResult
    from vidpipe.batch.requests import BatchTitle
    from vidpipe.settings import Settings

Flags = Mapping[str, Any]
"""Settings that were given on the command line, by their names; None was not given."""


def is_batch(sources: Sequence[str], jobs: str | None) -> bool:
    """Whether this is more than one source: a list, several, a folder, or everything below an S3 prefix."""
    if jobs is not None or len(sources) != 1:
        return True
    (source,) = sources
    return Path(source).is_dir() or (source.lower().startswith("s3://") and source.endswith("/"))


def titles_of(sources: Sequence[str], jobs: str | None, given: Mapping[str, Any]) -> tuple[BatchTitle, ...]:
    """Return the titles of a batch. given: what ``options.request`` takes, meant for all of them.  Raises UsageError."""
    from vidpipe.batch.requests import from_sources, read_list

    if not sources and jobs is None:
        raise UsageError("Missing argument 'SOURCE'", fix="name a video file, or a list of titles with --jobs: see vidpipe ingest --help")
    if sources and jobs is not None:
        raise UsageError("sources and a list are given", where="--jobs", fix="put the sources into the list")
    for flag, name in (("id", "content_id"), ("title", "title")):
        if given[name] is not None:
            fix = f"leave it out, or give each title its own in a list: --jobs titles.csv with the columns source and {flag}"
            raise UsageError("it is of one title, and there are several", where=f"--{flag}", fix=fix)
    common = options.request(source="", **given)
    titles = from_sources(sources) if jobs is None else read_list(jobs, sys.stdin.buffer)
    return tuple(each.with_defaults(common) for each in titles)


def ingest_titles(
    titles: Sequence[BatchTitle],
    flags: Flags,
    *,
    progress: options.Progress,
    quiet: bool,
    json: bool,
    fail_fast: bool,
    junit: str | None,
) -> None:
    """Make all titles and say how each ended."""
    from vidpipe.batch.queue import exit_code, run_batch
    from vidpipe.encode.worker_pool import WorkerPool

    configured = _configured(flags)
    settings = configured({})  # what is wrong with all of them is known at once
    if junit is not None and not Path(junit).absolute().parent.is_dir():
        raise UsageError("there is no such folder", where=f"--junit {junit}", fix="make it, or name another file")
    results: list[TitleResult] = []
    code = 0
    try:
        with suppress(typer.Exit), watching_many(progress, len(titles)) as (reporter, cancel):
            pool, elsewhere = WorkerPool(settings.workers), settings.cluster is not None
            for result in run_batch(titles, configured, reporter, cancel, pool=pool, fail_fast=fail_fast, elsewhere=elsewhere):
                results.append(result)
                if json:
                    with reporter.aside():
                        _print(result)
            if code := exit_code(results):
                raise typer.Exit(code)  # the Reporter shows how it ended
    finally:
        if junit is not None and not _write_junit(Path(junit), results):
            code = code or exits.EXIT_OUTPUT
    if progress is not options.Progress.json:
        _close(results, code, quiet=quiet)
    if code:
        raise typer.Exit(code)


def plan_titles(titles: Sequence[BatchTitle], flags: Flags, *, progress: options.Progress, json: bool) -> None:
    """Show what would be encoded of each title."""
    from vidpipe.cli.render.plans import show_plan
    from vidpipe.data import report
    from vidpipe.pipeline.ingest import prepare

    with watching_many(progress, len(titles)) as (reporter, cancel):
        failed: list[VidpipeError] = []
        for title in titles:
            try:
                plan = prepare(title.request, _configured(flags)(title.settings), reporter, cancel)
            except Interrupted:
                raise
            except VidpipeError as problem:
                failed.append(problem)
                with reporter.aside():
                    exits.show(exits.failure(problem, debug=False))
                continue
            with reporter.aside():
                if json:
                    write_json({"content_id": title.content_id, "plan": report(plan)}, lines=True)
                else:
                    out().print(title.content_id, style="bold")
                    show_plan(out(), plan)
        if failed:
            raise typer.Exit(failed[0].exit_code)


def watch_inbox(
    inbox: str, flags: Flags, *, progress: options.Progress, quiet: bool, json: bool, replace: bool, settle: float
) -> None:
    """Make a title of everything that arrives, until a signal comes."""
    from vidpipe.batch.watch import watch

    with watching_many(progress, None) as (reporter, cancel):
        for result in watch(inbox, _configured(flags), reporter, cancel, replace=replace, settle=settle):
            if json:
                with reporter.aside():
                    _print(result)
    if not quiet and progress is not options.Progress.json:
        with suppress(OSError):
            err().print("stopped; what has not ended stays in the inbox")


def _configured(flags: Flags) -> Callable[[Mapping[str, str]], Settings]:
    """Return what gives the settings of a title: those of the command line, and what the title changes."""
    return lambda changes: options.settings(**{**flags, **changes})


def _print(result: TitleResult) -> None:
    from vidpipe.data import report

    shown: dict[str, Any] = report(result)
    write_json(shown, lines=True)


def _close(results: Sequence[TitleResult], code: int, *, quiet: bool) -> None:
    """Say how every title ended; if quiet, only what is wrong."""
    from vidpipe.cli.summary import is_quiet, titles

    with suppress(OSError):  # nobody reads: the exit code says it
        titles(err(), [result for result in results if not (quiet and is_quiet(result))], totals=not quiet)
        if code == Interrupted.exit_code:
            err().print("run the same command again: it continues")


def _write_junit(file: Path, results: Sequence[TitleResult]) -> bool:
    from vidpipe import durable
    from vidpipe.batch.junit import junit

    try:
        durable.write(file, junit(results))
    except OSError as problem:
        exits.show(exits.failure(UsageError(f"cannot be written: {problem.strerror}", where=f"--junit {file}"), debug=False))
        return False
    return True
