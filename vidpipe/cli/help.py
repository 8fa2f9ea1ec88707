"""Help texts without rich, whose tables, Markdown and colours take longer to load than Typer itself. The layout is Click's own.

In:   a command and its options; their ``rich_help_panel`` is the heading that they stand under.
Out:  plain text, folded to the width of the terminal.
Wrong: nothing.
"""

from __future__ import annotations

from typing import Any

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
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or ours, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class Group(TyperGroup):
    """A group of commands, in the order in which they were written."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return list(self.commands)
