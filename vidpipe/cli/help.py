"""Help texts without rich, whose tables, Markdown and colours take longer to load than Typer itself. The layout is Click's own.

In:   a command and its options; their ``rich_help_panel`` is the heading that they stand under.
Out:  plain text, folded to the width of the terminal.
Wrong: nothing.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

OPTIONS, ARGUMENTS = "Options", "Arguments"


class Command(TyperCommand):
    """A command whose options stand under their headings, those without one first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {ARGUMENTS: [], OPTIONS: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                ours = OPTIONS if parameter.param_type_name == "option" else ARGUMENTS
                record = (re.sub(r" <[\w\[\]]+>", "", record[0]), record[1].removesuffix("  [required]"))  # the usage line says so
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or ours, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line, without the braces that Typer puts around what must be given."""
        return [re.sub(r"^\{(.*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """A group of commands, in the order in which they were written."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)


def group(about: str) -> typer.Typer:
    """Return a group of commands that stands beside others."""
    return typer.Typer(help=about, no_args_is_help=True, cls=Group, rich_markup_mode=None)


def examples(*commands: str) -> str:
    """Return the end of a help text that shows a command in use: three lines as they are typed."""
    # \b: Click does not fold what follows.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
