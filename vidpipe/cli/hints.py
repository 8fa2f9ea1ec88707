"""Commands that a person may run next, ready to be pasted: with the flags that they gave, and without their secrets.

In:   the arguments of the command that runs.
Out:  command lines, quoted for a shell.
Wrong: nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

HOME = "--home"
KEY_URL = "--key-url"
"""Its template stands in every playlist: it is no secret, and an address with a query is right there."""
COMMANDS = "ingest|plan|validate|preview|doctor|catalog (?:list|show)|work (?:list|clean)"
"""Those that have a home."""
_COMMAND = re.compile(rf"\bvidpipe (?:{COMMANDS})\b(?: (?:--[a-z-]+|[A-Z_]+\b))*")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def command(*words: str, home: str | None) -> list[str]:
    """Return the words of a command of vidpipe. home: as it was given, None if it was not."""
    return ["vidpipe", *words, *([HOME, home] if home is not None else [])]


def folded(words: Sequence[str], width: int) -> list[str]:
    """Return a command for a shell, in lines that can be pasted together: it is broken between arguments, with a backslash."""
    lines = [shlex.quote(words[0])]
    for word in map(shlex.quote, words[1:]):
        if len(lines[-1]) + len(word) + len(" " + " \\") > width:
            lines[-1] += " \\"
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return lines


def with_home(text: str, arguments: Sequence[str]) -> str:
    """Return advice in which the commands that need it name the home that was given, after their own options."""
    home = given(HOME, arguments)
    if home is None:
        return text
    return _COMMAND.sub(lambda found: f"{found[0]} {HOME} {shlex.quote(home)}", text)


def given(option: str, arguments: Sequence[str]) -> str | None:
    """Return the last value of an option among arguments, None if it is not there."""
    values = [value for name, value in _options(arguments) if name == option]
    return values[-1] if values else None


def again(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Return the words of the command line that was given, and whether its address lost user, password or query: they may be secrets."""
    templates = {value for name, value in _options(arguments) if name == KEY_URL}
    shown = []
    for argument in arguments:
        name, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        shown.append(argument if value in templates else f"{name}{equals}{_public(value)}")
    return ["vidpipe", *shown], shown != list(arguments)


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each option before ``--``, with what may be its value."""
    for place, argument in enumerate(arguments):
        if argument == "--":
            return
        name, equals, value = argument.partition("=")
        if equals:
            yield name, value
        elif place + 1 < len(arguments):
            yield argument, arguments[place + 1]


def _public(argument: str) -> str:
    """Return an address without what may be secret of it, anything else as it is."""
    if not _ADDRESS.match(argument):
        return argument
    from vidpipe.source.fetch import public  # only a run that was stopped needs it

    return public(argument)
