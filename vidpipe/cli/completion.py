"""What a shell offers when Tab is pressed: ladders, live titles, choices. Paths are left to the shell.

In:   the options before the cursor, and the beginning of the word.
Out:  the words that may stand there. If there are none, the shell offers files and folders.
Wrong: nothing: a message would be printed into the line that somebody types. State that cannot be read offers nothing.

Tab must answer at once, so a catalog is read only where that is quick: in a file, and without SQLAlchemy.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, MutableMapping
from pathlib import Path

import typer

Completer = Callable[..., list[str]]

VARIABLE = "_VIDPIPE_COMPLETE"
"""Set by the scripts of the shells; its value is what they ask for."""
_UNQUOTED = re.compile(r"[\w.,@%+-]+")
"""Names that need no quotes in any shell. Other names are left to the shell, which knows how to quote them."""


def join_words(environ: MutableMapping[str, str]) -> None:
    """Put together again what bash has taken apart: it passes --ladder=fast as three words."""
    words, at = environ.get("COMP_WORDS", "").split("\n"), environ.get("COMP_CWORD", "")
    if at.isdecimal():
        joined = "\n".join(words[: int(at) + 1]).replace("\n=\n", "=").split("\n")
        environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))


def ladders(incomplete: str) -> list[str]:
    """Return the shipped ladders, and the YAML files of the working directory."""
    from vidpipe.ladder import shipped

    return [name for name in shipped() if name.startswith(incomplete)] + yaml_files(incomplete)


def yaml_files(incomplete: str) -> list[str]:
    """Return the YAML files of the working directory. In other folders the shell looks itself."""
    try:
        names = sorted(path.name for path in Path().iterdir() if path.suffix.lower() in (".yaml", ".yml"))
    except OSError:
        return []
    return [name for name in names if name.startswith(incomplete) and _UNQUOTED.fullmatch(name)]


def choices(*names: str) -> Completer:
    """Return what offers these names."""

    def named(incomplete: str) -> list[str]:
        return [str(name) for name in names if name.startswith(incomplete)]

    return named


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
