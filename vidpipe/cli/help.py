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

COMMANDS, ARGUMENTS, OPTIONS, OTHERS = "Commands", "Arguments", "Options", "Other options"
FEW_OPTIONS = 12
"""So many options are found faster in one list than under headings."""


class Command(TyperCommand):
    """A command whose options stand under their headings if it has many."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments. Errors name this command: Typer leaves that out where a value is missing."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                vars(error)["ctx"] = ctx
            raise

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options."""
        parameters = self.get_params(ctx)
        options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
        sections: dict[str, list[tuple[str, str]]] = {ARGUMENTS: _rows(ctx, [each for each in parameters if each not in options])}
        if len(options) <= FEW_OPTIONS:
            sections[OPTIONS] = _rows(ctx, options)
        else:
            headings = [getattr(option, "rich_help_panel", None) or OTHERS for option in options]
            for heading in [*(each for each in dict.fromkeys(headings) if each != OTHERS), OTHERS]:
                sections[heading] = _rows(ctx, [option for option, its in zip(options, headings, strict=True) if its == heading])
        _write(formatter, sections)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the parts of the usage line, without the braces that Typer puts around what must be given."""
        return [re.sub(r"^\{(.*)\}", r"\1", piece) for piece in super().collect_usage_pieces(ctx)]


class Group(TyperGroup):
    """A group of commands, in the order in which they were written. Without a command it prints its help: that is no error."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments, or print the help if there are none."""
        if not args and not ctx.resilient_parsing:  # nothing is printed while a shell asks for completions
            typer.echo(ctx.get_help())
            raise typer.Exit
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        commands = [(name, command) for name, command in self.commands.items() if not command.hidden]
        rows = [(name, command.get_short_help_str(formatter.width)) for name, command in commands]
        _write(formatter, {COMMANDS: rows, OPTIONS: _rows(ctx, self.get_params(ctx))})


def _rows(ctx: Any, parameters: list[Any]) -> list[tuple[str, str]]:
    """The help of parameters, without what Typer adds of its own: types and limits, which our own words say."""
    records = [parameter.get_help_record(ctx) for parameter in parameters]
    return [(re.sub(r" <[\w\[\]]+>", "", names), re.sub(r"  \[.*\]$", "", about)) for names, about in filter(None, records)]


def _write(formatter: Any, sections: dict[str, list[tuple[str, str]]]) -> None:
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)


def group(about: str) -> typer.Typer:
    """Return a group of commands that stands beside others."""
    return typer.Typer(help=about, cls=Group, rich_markup_mode=None)


def examples(*commands: str) -> str:
    """Return the end of a help text that shows a command in use: lines as they are typed."""
    return listed("Examples", *commands)


def listed(heading: str, *lines: str) -> str:
    """Return a part of a help text that is a list: its lines are not folded."""
    return f"\b\n{heading}:\n" + "\n".join(f"  {line}" for line in lines)  # \b: Click's mark for that
