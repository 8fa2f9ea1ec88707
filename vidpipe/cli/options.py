"""The options that commands share, each written once; descriptions of settings come from ``vidpipe.defaults``.

In:   nothing.  Out: Annotated types for Typer, and ``settings`` which resolves the given flags.
Wrong: UsageError for a setting or a ``--meta`` that is not of the right form.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidpipe.defaults import DEFAULTS, DESCRIPTIONS
from vidpipe.errors import UsageError
from vidpipe.protect.schemes import SCHEMES

if TYPE_CHECKING:
    from vidpipe.settings import Settings


class Progress(StrEnum):
    """How an ingest shows its progress."""

    auto = "auto"
    bar = "bar"
    plain = "plain"
    json = "json"
    none = "none"


def _about(name: str) -> str:
    """The description of a setting and its default, for --help."""
    default = DEFAULTS.get(name)
    return DESCRIPTIONS[name] + (f" Default: {default}." if isinstance(default, str | Fraction) and default else "")


_TUNING = "Machine"

Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Video file, a URL (https://, s3://), or - for standard input.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output instead of a table.")]

Home = Annotated[str | None, typer.Option(metavar="DIR", help=_about("home"), show_default=False, rich_help_panel=_TUNING)]
FFmpeg = Annotated[str | None, typer.Option("--ffmpeg", metavar="PATH", help=_about("ffmpeg"), show_default=False, rich_help_panel=_TUNING)]
Workers = Annotated[str | None, typer.Option(metavar="N", help=_about("workers"), show_default=False, rich_help_panel=_TUNING)]
Threads = Annotated[str | None, typer.Option(metavar="N", help=_about("threads"), show_default=False, rich_help_panel=_TUNING)]
ChunkSeconds = Annotated[
    str | None,
    typer.Option("--chunk-seconds", metavar="SECONDS", help=_about("chunk_seconds"), show_default=False, rich_help_panel=_TUNING),
]
Cluster = Annotated[str | None, typer.Option(metavar="ADDRESS", help=_about("cluster"), show_default=False, rich_help_panel=_TUNING)]
ClusterWork = Annotated[
    str | None,
    typer.Option("--cluster-work", metavar="s3://BUCKET/PREFIX", help=_about("cluster_work"), show_default=False, rich_help_panel=_TUNING),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="On failure, also print the traceback and the command that failed.", rich_help_panel=_TUNING)
]
"""Read from the command line by ``vidpipe.cli.exits``, which is the only one to act on it."""

Policy = Annotated[str | None, typer.Option(metavar="FILE", help=_about("policy"), show_default=False)]
Ladder = Annotated[str | None, typer.Option("--ladder", "-l", metavar="NAME|FILE", help=_about("ladder"), show_default=False)]
To = Annotated[str | None, typer.Option("--to", metavar="DIR|s3://BUCKET/PREFIX", help=_about("target"), show_default=False)]
ContentId = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="CONTENT_ID", help="Name of the title in paths and URLs. Default: made of the file's name.", show_default=False
    ),
]
Title = Annotated[
    str | None,
    typer.Option(metavar="T", help="Title for people. Default: that of the live version, else the file's name.", show_default=False),
]
Meta = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Free text for the record; may be given several times. Other keys are kept; KEY= removes one.",
        show_default=False,
    ),
]
Language = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[STREAM=]TAG",
        help="Language (BCP 47, such as de) of the one track that does not say its own, or of a stream; may be given several times.",
        show_default=False,
    ),
]
Encrypt = Annotated[str | None, typer.Option(metavar="|".join(SCHEMES), help=_about("encrypt"), show_default=False)]
KeyUrl = Annotated[str | None, typer.Option("--key-url", metavar="TEMPLATE", help=_about("key_url"), show_default=False)]
PublicUrl = Annotated[str | None, typer.Option("--public-url", metavar="URL", help=_about("public_url"), show_default=False)]
NewKey = Annotated[bool, typer.Option("--new-key", help="Publish a new version under a fresh key even if nothing else changed.")]
Replace = Annotated[
    bool, typer.Option("--replace", help="Let this source replace the one that a live title was made of, or a title that was withdrawn.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the plan; encode and publish nothing.")]
ProgressOption = Annotated[Progress, typer.Option("--progress", help="How to show progress, on standard error. json is one object a line.")]


def settings(*, any_variables: bool = False, **flags: object) -> Settings:
    """Resolve the settings from the flags of a command; a flag that was not given is None.  Raises UsageError."""
    from vidpipe.settings import resolve

    try:
        cwd = Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working directory is gone", fix="change to another one") from error
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
