"""What a shell offers at the Tab key: ladders, titles, names of choices. Paths are left to the shell, which knows them best.

In:   the options before it on the command line, and the beginning of the word.
Out:  the words that may stand there. None of them: the shell offers files and folders.
Wrong: nothing, ever: a person is typing. What cannot be read offers nothing.

A key press must be answered at once, so a catalog is read only where that is quick: in a file, and without SQLAlchemy.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import typer

from vidpipe.protect.schemes import SCHEMES

Completer = Callable[[typer.Context, str], list[str]]

VARIABLE = "_VIDPIPE_COMPLETE"
"""Set by the scripts of the shells; its value is what they ask for."""
_UNQUOTED = re.compile(r"[\w.,@%+-]+")
"""Names that no shell wants quoted. Of others the shell knows how, once it is left to it."""


def ladders(context: typer.Context, incomplete: str) -> list[str]:
    """Return the shipped ladders, and the YAML files of the working directory. In other folders the shell looks itself."""
    from vidpipe.ladder import shipped

    if "/" in incomplete:
        return []
    try:
        here = sorted(path.name for path in Path().iterdir() if path.suffix.lower() in (".yaml", ".yml") and _UNQUOTED.fullmatch(path.name))
    except OSError:
        here = []
    return [name for name in (*shipped(), *here) if name.startswith(incomplete)]


def schemes(incomplete: str) -> list[str]:
    """Return the protection schemes."""
    return [scheme for scheme in SCHEMES if scheme.startswith(incomplete)]


def content_ids(context: typer.Context, incomplete: str) -> list[str]:
    """Return the live titles of the catalog of the home that is given or set."""
    from vidpipe.catalog.live_ids import live_ids

    try:
        catalog = _catalog(context.params.get("home"))
        return live_ids(catalog, incomplete) if catalog else []
    except (OSError, ValueError, RuntimeError):  # a path with a NUL, a home of nobody, a file that is no TOML
        return []


def _catalog(home: str | None) -> Path | None:
    """The file of the catalog, None if a server keeps it. These are the rules of ``settings.resolve``, without its time to load."""
    from platformdirs import user_data_dir

    folder = Path(home or os.environ.get("VIDPIPE_HOME") or user_data_dir("vidpipe", appauthor=False)).expanduser()
    file = folder / "vidpipe.toml"
    given = os.environ.get("VIDPIPE_CATALOG_URL")
    if not given and file.is_file():
        given = tomllib.loads(file.read_text(encoding="utf-8")).get("catalog_url")
    if not given:
        return folder / "catalog.db"
    return Path(given.removeprefix("sqlite:///")) if str(given).startswith("sqlite:///") else None
