"""Which titles a batch is to make.

In:   sources: files, folders, URLs, ``s3://BUCKET/PREFIX/``; or a list of titles: CSV with a heading, or a JSON object a line.
Out:  TitleRequests, each with a content id that no other has.
Wrong: UsageError that names every wrong line, with all of them in its details.

A list has a column for each option of ``vidpipe ingest`` that is of one title (COLUMNS), and any number of ``meta.KEY``. An empty cell is
an option that is not given. Paths in it are relative to the file that they stand in, those on standard input to the working directory.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import SourceRefused, UsageError
from vidpipe.pipeline.ingest import IngestRequest, content_id_of
from vidpipe.plan.languages import read_languages
from vidpipe.source.fetch import is_remote, public
from vidpipe.storage import open_storage

SUFFIXES = frozenset({
    ".3gp", ".avi", ".dv", ".flv", ".gxf", ".m2t", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogv",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
})  # fmt: skip
"""Files of a folder that are taken for sources, whatever their case; who names a file itself gets it whatever it is called."""
COLUMNS = ("source", "id", "title", "language", "ladder", "to", "encrypt", "formats", "key_url", "policy", "replace", "new_key")
META = "meta."
_OTHER_NAMES = {"target": "to", "content_id": "id", "key-url": "key_url", "new-key": "new_key"}
_SETTINGS = {"ladder": "ladder", "to": "target", "encrypt": "encrypt", "formats": "formats", "key_url": "key_url", "policy": "policy"}
_SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
LONGEST = 64 << 20
"""Bytes of a list of titles."""


class BatchTitle(Data):
    """A title of a batch. settings: what it changes, by the name of the setting.  where: "FILE:LINE" or the source, for messages."""

    request: IngestRequest
    settings: dict[str, str] = {}
    where: str

    def with_defaults(self, common: IngestRequest) -> BatchTitle:
        """Return the same with what was given for all titles of a batch; what the title says itself stays."""
        own = self.request
        update = {
            "metadata": {**common.metadata, **own.metadata},
            "languages": own.languages or common.languages,
            **{name: getattr(common, name) for name in ("new_key", "replace") if name not in own.model_fields_set},
        }
        return self.model_copy(update={"request": own.model_copy(update=update)})

    @property
    def content_id(self) -> str:
        """The id of the title."""
        return content_id_of(self.request)


def from_sources(sources: Sequence[str]) -> tuple[BatchTitle, ...]:
    """Return a title for each file, and for each source in a folder or below an S3 prefix, in the order of their names."""
    problems: list[UsageError] = []
    made: list[BatchTitle] = []
    for source in sources:
        try:
            made += [_title({"source": found}, public(found) if is_remote(found) else found) for found in _expanded(source)]
        except UsageError as problem:
            problems.append(problem)
    return _checked(made, problems)


def from_list(text: str, where: str, folder: Path) -> tuple[BatchTitle, ...]:
    """Return the titles of a list. where: its name, for messages.  folder: that its relative paths are seen from."""
    if len(text) > LONGEST:
        raise UsageError(f"is longer than {LONGEST} characters", where=where, fix="divide it")
    problems: list[UsageError] = []
    made: list[BatchTitle] = []
    for line, row in _rows(text, where, problems):
        try:
            made.append(_title(_placed(row, folder), f"{where}:{line}"))
        except (UsageError, SourceRefused) as problem:  # no address, for example
            problems.append(UsageError(problem.what, where=where, line=line, fix=problem.fix))
    if not made and not problems:
        raise UsageError("lists no title", where=where, fix="write a heading (source,id,title) and a line for each title")
    return _checked(made, problems)


def read_list(file: str, standard_input: BinaryIO) -> tuple[BatchTitle, ...]:
    """Read a list from a file, or from standard input if that is called "-"."""
    path = Path(file)
    try:
        data = standard_input.read() if file == "-" else path.read_bytes()
        text = data.decode("utf-8-sig")  # spreadsheets write a byte order mark
    except OSError as problem:
        raise UsageError(f"cannot be read: {problem.strerror or problem}", where=file, fix="check the path") from problem
    except UnicodeDecodeError as problem:
        raise UsageError("is not UTF-8 text", where=file, fix="save it as UTF-8 (in Excel: CSV UTF-8)") from problem
    return from_list(text, file, Path() if file == "-" else path.parent)


def _expanded(source: str) -> Iterator[str]:
    if source.lower().startswith("s3://") and source.endswith("/"):
        with closing(open_storage(source)) as storage:
            found = [stored.path for stored in storage.list() if is_source(stored.path)]
        if not found:
            raise UsageError("there is no source below this prefix", where=source, fix=_FIX)
        yield from (f"{source}{path}" for path in found)
        return
    if is_remote(source) or not Path(source).is_dir():
        yield source
        return
    try:
        files = sorted(path for path in Path(source).iterdir() if path.is_file() and is_source(path.name))
    except OSError as problem:
        raise UsageError(f"cannot be read: {problem.strerror or problem}", where=source, fix="check its permissions") from problem
    if not files:
        raise UsageError("there is no source in this folder", where=source, fix=_FIX)
    yield from map(str, files)


_FIX = f"sources end with one of {' '.join(sorted(SUFFIXES))}; name other files themselves"


def is_source(name: str) -> bool:
    """Whether a file of a folder is taken for a source, by its name."""
    return Path(name).suffix.lower() in SUFFIXES and not Path(name).name.startswith(".")


def _rows(text: str, where: str, problems: list[UsageError]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells, known columns only. What cannot be read is added to the problems."""
    if text.lstrip().startswith("{"):
        yield from _json_rows(text, where, problems)
        return
    reader = csv.DictReader(io.StringIO(text), strict=True, restkey="", restval="")
    try:
        names = {name: _column(name) for name in reader.fieldnames or ()}
        for name in [name for name, column in names.items() if column is None]:
            problems.append(_unknown(name, where, 1))
        if names and "source" not in names.values():
            problems.append(UsageError("has no column source", where=where, line=1, fix=f"its first line names them: {', '.join(COLUMNS)}"))
        if problems:
            return
        for row in reader:
            if row.pop("", None):
                fix = "put quotation marks around a cell that holds a comma"
                problems.append(UsageError("has more cells than the heading", where=where, line=reader.line_num, fix=fix))
            elif any(cell.strip() for cell in row.values()):
                yield reader.line_num, {column: cell for name, cell in row.items() if (column := names[name])}
    except csv.Error as problem:
        problems.append(UsageError(f"is not CSV: {problem}", where=where, line=reader.line_num, fix="check the quotation marks"))


def _json_rows(text: str, where: str, problems: list[UsageError]) -> Iterator[tuple[int, dict[str, str]]]:
    for line, content in enumerate(text.split("\n"), 1):  # JSON may hold other line separators
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError) as problem:
            problems.append(UsageError(f"is not JSON: {problem}", where=where, line=line, fix="write one JSON object a line"))
            continue
        if not isinstance(row, dict):
            problems.append(UsageError("is not a JSON object", where=where, line=line, fix='write for example {"source": "film.mov"}'))
            continue
        cells = dict(_flat(row))
        wrong = [name for name in cells if _column(name) is None]
        problems += [_unknown(name, where, line) for name in wrong]
        if not wrong:
            yield line, {str(_column(name)): cell for name, cell in cells.items()}


def _flat(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the cells of a JSON object: {"meta": {"season": 2}} is meta.season."""
    for name, value in row.items():
        if name == META.rstrip(".") and isinstance(value, dict):
            yield from ((f"{META}{key}", _text(inner)) for key, inner in value.items())
        else:
            yield name, _text(value)


def _text(value: object) -> str:
    """Return a value of JSON as the text of a cell: several languages are a list of texts."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _column(name: str | None) -> str | None:
    """Return the column that a heading means, None for one that is unknown."""
    plain = (name or "").strip()
    if plain.startswith(META) and plain != META:
        return plain
    plain = plain.lower().removeprefix("--")
    plain = _OTHER_NAMES.get(plain, plain)
    return plain if plain in COLUMNS else None


def _unknown(name: str | None, where: str, line: int) -> UsageError:
    close = difflib.get_close_matches((name or "").strip().lower(), COLUMNS, 1)
    fix = f"did you mean {close[0]}?" if close else f"columns are {', '.join(COLUMNS)} and {META}KEY"
    return UsageError(f"unknown column {name!r}", where=where, line=line, fix=fix)


def _placed(row: dict[str, str], folder: Path) -> dict[str, str]:
    """Return a row whose paths are seen from the working directory."""
    source = row.get("source", "").strip()
    placed = {"source": source if is_remote(source) or not source or source == "-" else str(folder / source)}
    for name in ("to", "policy", "ladder"):
        value = row.get(name, "").strip()
        if value and "://" not in value and (name != "ladder" or value.endswith((".yaml", ".yml")) or "/" in value):
            placed[name] = str(folder / value)
    return row | placed


def _title(row: Mapping[str, str], where: str) -> BatchTitle:
    cells = {name: cell.strip() for name, cell in row.items()}
    source = cells.get("source", "")
    if not source:
        raise UsageError("names no source", fix="write a path or a URL into the column source")
    if source == "-":
        raise UsageError("standard input is the source of one title", fix="ingest it by itself: vidpipe ingest - --id ID")
    switches = {}
    for name in ("replace", "new_key"):
        if not cells.get(name):
            continue
        if cells[name].lower() not in _SWITCHES:
            raise UsageError(f"{cells[name]!r} in the column {name} is neither true nor false", fix="write true or false")
        switches[name] = _SWITCHES[cells[name].lower()]
    request = IngestRequest(
        source=source,
        content_id=cells.get("id") or None,
        title=cells.get("title") or None,
        metadata={name.removeprefix(META): cell for name, cell in cells.items() if name.startswith(META) and cell},
        languages=read_languages(cells.get("language", "").replace(",", " ").split()),
        **switches,
    )
    content_id_of(request)  # raises UsageError for one that is wrong
    return BatchTitle(
        request=request,
        settings={setting: cells[name] for name, setting in _SETTINGS.items() if cells.get(name)},
        where=where,
    )


def _checked(made: list[BatchTitle], problems: list[UsageError]) -> tuple[BatchTitle, ...]:
    """Return the titles, or raise one error for everything that is wrong."""
    first: dict[str, BatchTitle] = {}
    for title in made:
        earlier = first.setdefault(title.content_id, title)
        if earlier is not title:
            what = f"{title.content_id} is the content id of two titles: {earlier.where} and {title.where}"
            problems.append(UsageError(what, fix="give one of them another id, in a list of titles (--jobs) with a column id"))
    if not problems:
        return tuple(made)
    if len(problems) == 1:
        raise problems[0]
    found: list[Diagnostic] = [each for problem in problems for each in problem.diagnostics()]
    shown = [str(problem) + (f" ({problem.fix})" if problem.fix else "") for problem in problems]
    raise UsageError(f"{len(problems)} things are wrong with the titles", details=shown, fix="correct them; nothing was begun", found=found)
