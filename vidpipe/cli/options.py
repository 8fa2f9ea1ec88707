"""The options that commands share, each written once; descriptions of settings come from ``vidpipe.defaults``.

In:   nothing.  Out: Annotated types for Typer, and ``settings`` which resolves the given flags.
Wrong: UsageError for a setting or a ``--meta`` that is not of the right form.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vidpipe.cli import completion
from vidpipe.defaults import SETTINGS
from vidpipe.errors import UsageError
from vidpipe.manifest.format_choice import CHOICES as FORMATS
from vidpipe.protect.key_uses import KEY_CLASSES
from vidpipe.protect.schemes import SCHEMES

if TYPE_CHECKING:
    from vidpipe.cli.completion import Completer
    from vidpipe.pipeline.ingest import IngestRequest
    from vidpipe.settings import Settings


class Progress(StrEnum):
    """How a command shows its progress."""

    auto = "auto"
    bar = "bar"
    plain = "plain"
    json = "json"
    none = "none"


Value = TypeVar("Value")
Number = TypeVar("Number", int, float)


def _about(name: str) -> str:
    """The description of a setting and its default, for --help."""
    default = SETTINGS[name].default
    return SETTINGS[name].description + (f" Default: {default}." if isinstance(default, str | Fraction) and default else "")


TITLE, ENCODING, PROTECTION, WHERE = "What to publish", "Encoding and quality", "Protection", "Where"
BATCH = "Many titles"
OUTPUT, MACHINE, CLUSTER = "Progress and output", "Machine", "Cluster"
"""The headings of a command that has many options; they stand in the order in which the command names them."""


def _setting(name: str, flag: str, *more: str, metavar: str, heading: str, complete: Completer | None = None) -> Any:
    """Return the option that gives a setting."""
    about = _about(name)
    return typer.Option(flag, *more, metavar=metavar, help=about, show_default=False, rich_help_panel=heading, autocompletion=complete)


def checked(flag: str, allowed: str, example: str, read: Callable[[str], Value]) -> Callable[[str | Value], Value]:
    """Return what reads the value of a flag that is no setting. read raises ValueError for a value that is not allowed."""

    def parse(value: str | Value) -> Value:
        if not isinstance(value, str):  # the default
            return value
        try:
            return read(value)
        except ValueError as error:
            raise UsageError(f"{value!r} is not allowed", where=flag, fix=f"give {allowed}, such as {flag} {example}") from error

    return parse


def number(kind: Callable[[str], Number], least: Number, most: Number) -> Callable[[str], Number]:
    """Return what reads a number in a range."""

    def read(text: str) -> Number:
        value = kind(text)
        if not least <= value <= most:  # false for NaN too
            raise ValueError
        return value

    return read


Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Video file, URL (https:// or s3://), or - for standard input.", show_default=False)
]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per file, each on a line of its own.")]
Sources = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SOURCE",
        help="Video files, folders of them, URLs (https:// or s3://), s3://BUCKET/PREFIX/, or - for standard input.",
        show_default=False,
    ),
]
Jobs = Annotated[
    str | None,
    typer.Option(
        "--jobs",
        metavar="FILE|-",
        help="List of titles: CSV with a heading, or one JSON object per line; columns are source, id, title, meta.KEY, ladder and others.",
        show_default=False,
        rich_help_panel=BATCH,
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop the other titles as soon as one has failed.", rich_help_panel=BATCH)]
Junit = Annotated[
    str | None,
    typer.Option("--junit", metavar="FILE", help="Write how each title ended as JUnit XML.", show_default=False, rich_help_panel=BATCH),
]
Settle = Annotated[
    float,
    typer.Option(
        "--settle",
        metavar="SECONDS",
        parser=checked("--settle", "a number of seconds, 0 or more", "30", number(float, 0, 86_400)),
        help="A file that has not changed for so long is complete. Default: 10.",
        show_default=False,
    ),
]
Title = Annotated[
    str | None,
    typer.Option(
        "--title",
        metavar="TEXT",
        help="Title shown to viewers. Default: that of the live version, or else the file name.",
        show_default=False,
        rich_help_panel=TITLE,
    ),
]
ContentId = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="CONTENT_ID",
        help="Name of the title in paths and URLs. Default: made from the file name.",
        show_default=False,
        rich_help_panel=TITLE,
        autocompletion=completion.content_ids,
    ),
]
Meta = Annotated[
    list[str] | None,
    typer.Option(
        "--meta",
        metavar="KEY=VALUE",
        help="Metadata for the record; repeatable. Keys that are not given stay as they are; KEY= removes one.",
        show_default=False,
        rich_help_panel=TITLE,
    ),
]
Language = Annotated[
    list[str] | None,
    typer.Option(
        "--language",
        metavar="[STREAM=]TAG",
        help="Language (BCP 47, such as de) of the only track without one, or of stream number STREAM; repeatable.",
        show_default=False,
        rich_help_panel=TITLE,
    ),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace", help="Allow this source to replace the one that a live or withdrawn title was made from.", rich_help_panel=TITLE
    ),
]

Ladder = Annotated[
    str | None, _setting("ladder", "--ladder", "-l", metavar="NAME|FILE", heading=ENCODING, complete=completion.ladders)
]
Policy = Annotated[str | None, _setting("policy", "--policy", metavar="FILE", heading=ENCODING, complete=completion.yaml_files)]

Encrypt = Annotated[
    str | None, _setting("encrypt", "--encrypt", metavar="|".join(SCHEMES), heading=PROTECTION, complete=completion.choices(*SCHEMES))
]
Formats = Annotated[
    str | None, _setting("formats", "--formats", metavar="|".join(FORMATS), heading=ENCODING, complete=completion.choices(*FORMATS))
]
KeyUrl = Annotated[str | None, _setting("key_url", "--key-url", metavar="URL", heading=PROTECTION)]
KeyClasses = Annotated[
    str | None,
    _setting(
        "key_classes", "--key-classes", metavar="|".join(KEY_CLASSES), heading=PROTECTION, complete=completion.choices(*KEY_CLASSES)
    ),
]
KeyRotation = Annotated[str | None, _setting("key_rotation", "--key-rotation", metavar="TIME", heading=PROTECTION)]
NewKey = Annotated[
    bool, typer.Option("--new-key", help="Publish a new version under a new key, even if nothing else changed.", rich_help_panel=PROTECTION)
]

To = Annotated[str | None, _setting("target", "--to", metavar="DIR|s3://BUCKET/PREFIX", heading=WHERE)]
PublicUrl = Annotated[str | None, _setting("public_url", "--public-url", metavar="URL", heading=WHERE)]
Home = Annotated[str | None, _setting("home", "--home", metavar="DIR", heading=WHERE)]

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan; encode and publish nothing.", rich_help_panel=OUTPUT)
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.", rich_help_panel=OUTPUT)]
ProgressOption = Annotated[
    Progress,
    typer.Option(
        "--progress",
        metavar="MODE",
        parser=checked("--progress", ", ".join(Progress), "plain", Progress),
        autocompletion=completion.choices(*Progress),
        help="How to show progress, on standard error: auto, bar, plain, json (one object per line) or none. Default: auto.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="On failure, also print the traceback and the command that failed."),
]
"""Read from the command line by ``vidpipe.cli.exits``, which is the only one to act on it."""

Workers = Annotated[str | None, _setting("workers", "--workers", metavar="N", heading=MACHINE)]
Threads = Annotated[str | None, _setting("threads", "--threads", metavar="N", heading=MACHINE)]
ChunkSeconds = Annotated[str | None, _setting("chunk_seconds", "--chunk-seconds", metavar="SECONDS", heading=MACHINE)]
FFmpeg = Annotated[str | None, _setting("ffmpeg", "--ffmpeg", metavar="PATH", heading=MACHINE)]

Cluster = Annotated[str | None, _setting("cluster", "--cluster", metavar="ADDRESS", heading=CLUSTER)]
ClusterWork = Annotated[str | None, _setting("cluster_work", "--cluster-work", metavar="s3://BUCKET/PREFIX", heading=CLUSTER)]

Port = Annotated[
    int,
    typer.Option(
        "--port",
        metavar="N",
        parser=checked("--port", "a whole number from 0 to 65535", "8080", number(int, 0, 65535)),
        help="Port to serve on. Default: any free one.",
        show_default=False,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="On standard error, print warnings and errors only: no progress (as with --progress none), no summary. "
        "What goes to standard output stays.",
        rich_help_panel=OUTPUT,
    ),
]
OlderThan = Annotated[
    float,
    typer.Option(
        "--older-than",
        metavar="DAYS",
        parser=checked("--older-than", "a number of days, 0 or more", "7", number(float, 0, float("inf"))),
        help="Delete only files older than this. Default: 0, all files.",
        show_default=False,
    ),
]

LiveId = Annotated[
    str,
    typer.Argument(metavar="CONTENT_ID", help="Title in the catalog.", show_default=False, autocompletion=completion.content_ids),
]
LadderName = Annotated[
    str,
    typer.Argument(metavar="NAME|FILE", help="Shipped ladder, or a YAML file.", show_default=False, autocompletion=completion.ladders),
]


def progress(chosen: Progress, *, quiet: bool) -> Progress:
    """Return how to show progress. ``--quiet`` wants none; together with another wish it means nothing.  Raises UsageError."""
    if not quiet:
        return chosen
    if chosen not in (Progress.auto, Progress.none):
        raise UsageError(f"it contradicts --progress {chosen.value}", where="--quiet", fix="keep one of them")
    return Progress.none


def request(*, source: str, meta: Sequence[str] | None, language: Sequence[str] | None, **given: Any) -> IngestRequest:
    """Return what an ingest is asked for. given: other fields of an IngestRequest.  Raises UsageError."""
    from vidpipe.pipeline.ingest import IngestRequest

    return IngestRequest(source=source, metadata=metadata(meta), languages=languages(language), **given)


def settings(*, any_variables: bool = False, **flags: Any) -> Settings:
    """Resolve the settings from the flags of a command; a flag that was not given is None.  Raises UsageError."""
    from vidpipe.settings import resolve

    try:
        cwd = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory is gone", fix="change to another directory") from error
    return resolve(flags, os.environ, cwd, any_variables=any_variables)


def metadata(pairs: Sequence[str] | None) -> dict[str, str]:
    """Read the ``--meta key=value`` options.  Raises UsageError."""
    read: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{pair!r} is not key=value", where="--meta", fix="write for example: --meta season=2")
        if key.strip() in read:
            raise UsageError(f"the key {key.strip()!r} is given twice", where="--meta", fix="keep one of them")
        read[key.strip()] = value
    return read


def languages(given: Sequence[str] | None) -> dict[int | None, str]:
    """Read the ``--language`` options.  Raises UsageError."""
    from vidpipe.plan.languages import read_languages

    return read_languages(given or ())
