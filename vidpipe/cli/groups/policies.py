"""``vidpipe policy``: show, check."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from vidpipe.cli import completion, options
from vidpipe.cli.help import Command, examples, group
from vidpipe.cli.words import out, write_json

policy = group("What quality control checks, and what a finding does.")


@policy.command(
    "show",
    cls=Command,
    epilog=examples(
        "vidpipe policy show",
        "vidpipe policy show --yaml > mine.yaml",
        "vidpipe policy show mine.yaml --json | jq '.checks[] | select(.severity == \"error\") | .id'",
    ),
)
def show_policy(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE", help="Policy file. Default: the built-in one.", show_default=False, autocompletion=completion.yaml_files
        ),
    ] = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print it as a file with comments, to start your own from.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show what is checked, and what each finding does.

    error refuses the source, warning reports it, off does neither.
    """
    from vidpipe.cli.render.choices import show_policy
    from vidpipe.data import report
    from vidpipe.source.policy import load_policy
    from vidpipe.source.policy_text import policy_report, policy_text

    loaded = load_policy(file)
    if yaml:
        sys.stdout.write(policy_text(loaded))
    elif json:
        write_json(report(policy_report(loaded, file)))
    else:
        show_policy(out(), policy_report(loaded, file))


@policy.command(
    "check",
    cls=Command,
    epilog=examples("vidpipe policy check mine.yaml", "vidpipe policy check policies/*.yaml", "vidpipe policy check mine.yaml --json"),
)
def check_policies(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Policy files.", show_default=False, autocompletion=completion.yaml_files)
    ],
    json: options.JsonLines = False,
    debug: options.Debug = False,
) -> None:
    """Check policy files.

    The exit code is 2 if any file is wrong.
    """
    from vidpipe.cli.checking import check_files
    from vidpipe.quantities import count
    from vidpipe.source.policy import QualityPolicy, load_policy

    def summary(loaded: QualityPolicy) -> str:
        builtin = QualityPolicy()
        changed = sum(getattr(loaded, key) != getattr(builtin, key) for key in QualityPolicy.model_fields)
        return f"{count(changed, 'check')} changed" if changed else "the same as the built-in policy"

    check_files(files, load_policy, summary, json=json, debug=debug)
