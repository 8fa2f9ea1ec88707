"""Read YAML files that people write, strictly: every key is known and given once, every value is asked for by its key. Knows no keys.

In:   the path of a file, or its text.
Out:  a Table, whose values are asked for one by one; nothing is converted silently ("off" is text, and so is 1e3).
Wrong: UsageError that names file and line: no such file, no UTF-8, no YAML, too long, an unknown or repeated key, a value that is not
       allowed.

The file is read as a tree of YAML nodes, each of which knows its line. An alias stands for the node that its anchor names, once a place;
no more is read than what is asked for, so a file whose aliases multiply costs nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vidpipe.errors import UsageError

_T = TypeVar("_T")

LONGEST = 1_000_000
"""Bytes of a file."""
MOST_BRACKETS = 500
"""Lists and mappings in brackets: the parser takes time by the square of how deep they are nested, half a minute for 5000."""


def read_file(path: Path, kind: str) -> str:
    """Return the text of a file. kind: what it should be, such as "ladder"."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path), fix="check the path and its permissions") from error
    if len(data) > LONGEST:
        raise UsageError(f"is {len(data)} bytes long, too long for a {kind}", where=str(path), fix=f"keep it under {LONGEST} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=str(path), fix="save it as UTF-8") from error


def read_table(text: str, where: str, kind: str, allowed: Collection[str]) -> Table | None:
    """Return what a text says; None if it says nothing, or has comments only. where: the file.  kind: as for ``read_file``."""
    brackets = text.count("[") + text.count("{")
    if brackets > MOST_BRACKETS:
        raise UsageError(f"has {brackets} opening brackets, too many for a {kind}", where=where, fix="write lists with a dash a line")
    try:
        node = YAML(typ="safe", pure=True).compose(text)  # the round-trip reader gathers comments, which takes it a fifth longer
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(
            f"is not YAML: {error.problem or error.context}",
            where=where,
            line=mark.line + 1 if mark else None,
            fix="check the indentation, colons and quotes of this line and the one before",
        ) from error
    except (YAMLError, RecursionError) as error:
        raise UsageError(f"is not YAML: {str(error).splitlines()[0]}", where=where, fix=f"compare it with a shipped {kind}") from error
    return None if node is None else Table(where, node, f"the {kind}", allowed)


class Table:
    """A YAML mapping whose keys are known. what: its name in messages."""

    def __init__(self, where: str, node: Node, what: str, allowed: Collection[str], line: int | None = None) -> None:
        self.what = what
        self._where = where
        self._line = line or _line(node)
        self._keys: dict[str, Node] = {}
        self._values: dict[str, Node] = {}
        if not isinstance(node, MappingNode):
            self.refuse(f"{what} must be a mapping of keys", f"write lines key: value, with the keys {', '.join(allowed)}")
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            if name not in allowed:
                self._refuse(_line(key), f"unknown key {name!r} in {what}", suggestion(name, allowed))
            if name in self._values:
                self._refuse(_line(key), f"the key {name!r} is given twice in {what}", "keep one of them")
            self._keys[name] = key
            self._values[name] = value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def refuse(self, what: str, fix: str) -> NoReturn:
        """Raise the UsageError for this table."""
        self._refuse(self._line, what, fix)

    def line(self, key: str) -> int:
        """Return the line of a key that is there."""
        return _line(self._keys[key])

    def get(self, key: str, read: Callable[[str], _T | None], allowed: str) -> _T:
        """Return the value of a key that must be there. read: text -> value, None (or ValueError) if it is not allowed."""
        node = self._values.get(key)
        if node is None:
            self.refuse(f"{self.what} has no {key!r}", f"add {key}: {allowed}")
        text = node.value if isinstance(node, ScalarNode) else None
        try:
            value = None if text is None else read(text)
        except (ValueError, ZeroDivisionError):
            value = None
        if value is None:
            shown = "a list or mapping" if text is None else repr(text)
            self._refuse(self._value_line(key), f"{key} of {self.what} is {shown}", f"{key} must be {allowed}")
        return value

    def optional(self, key: str, read: Callable[[str], _T | None], allowed: str) -> _T | None:
        """Return the value of a key, None if the key is not there."""
        return self.get(key, read, allowed) if key in self else None

    def choice(self, key: str, allowed: Collection[str], meant: Callable[[str], str | None] = lambda word: None) -> str:
        """Return one of the allowed words. meant: another name -> the word that it stands for."""
        listed = f"one of: {', '.join(allowed)}"
        text = self.get(key, lambda value: value or None, listed)
        if text not in allowed:
            other = meant(text)
            fix = f"did you mean {other}?" if other in allowed else suggestion(text, allowed)
            fix = f"{fix} ({key} is {listed})" if "mean" in fix else fix
            self._refuse(self._value_line(key), f"{key} of {self.what} is {text!r}", fix)
        return text

    def table(self, key: str, what: str, allowed: Collection[str]) -> Table:
        """Return the mapping of a key that is there."""
        return Table(self._where, self._values[key], what, allowed, self.line(key))

    def tables(self, key: str, what: str, allowed: Collection[str], most: int) -> Iterator[Table]:
        """Give the mappings of a list that must be there and not be empty. what: {} stands for the number of each."""
        node = self._values.get(key)
        if node is None:
            self.refuse(f"{self.what} has no {key!r}", f"add {key}: and below it one entry a line, each beginning with a dash")
        if not isinstance(node, SequenceNode) or not 0 < len(node.value) <= most:
            what = f"{key} of {self.what} is not a list of 1 to {most} entries"
            self._refuse(self._value_line(key), what, "begin each entry with a dash")
        for number, entry in enumerate(node.value, 1):
            yield Table(self._where, entry, what.format(number), allowed)

    def _value_line(self, key: str) -> int:
        """Return the line of a value; one that is not there begins at the next word, maybe in another line."""
        node = self._values[key]
        missing = isinstance(node, ScalarNode) and not node.value and not node.style
        return self.line(key) if missing else _line(node)

    def _refuse(self, line: int, what: str, fix: str) -> NoReturn:
        raise UsageError(what, where=self._where, line=line, fix=fix)


def suggestion(word: str, allowed: Collection[str]) -> str:
    """Return what to write in the place of a word."""
    close = difflib.get_close_matches(word, allowed, 1)
    return f"did you mean {close[0]}?" if close else f"use one of: {', '.join(allowed)}"


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line + 1
