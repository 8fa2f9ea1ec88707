"""Read YAML files that people write, strictly: every key is known and given once, every value is asked for by its key. Knows no keys.

In:   the path of a file, or its text.
Out:  a Table, whose values are asked for one by one; nothing is converted silently ("off" is text, and so is 1e3).
Wrong: UsageError that names file and line: no such file, no UTF-8, no YAML, too long. What is wrong in a file that is YAML (an unknown or
       repeated key, a value that is not allowed) is noted in its Mistakes, so that the reader of the Table can raise all of it at once.

The file is read as a tree of YAML nodes, each of which knows its line. An alias stands for the node that its anchor names, once a place;
no more is read than what is asked for, so a file whose aliases multiply costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from vidpipe.diagnostics import Diagnostic, Where
from vidpipe.errors import UsageError
from vidpipe.near import nearest, suggestion

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


def read_table(text: str, where: str, kind: str, allowed: Collection[str], renamed: Mapping[str, str] | None = None) -> Table | None:
    """Return what a text says; None if it says nothing, or has comments only. where: the file.  kind: as for ``read_file``.

    renamed: keys that were allowed once -> what they are called now.
    """
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
    return None if node is None else Table(Mistakes(where), node, f"the {kind}", allowed, renamed=renamed)


class Mistakes:
    """What is wrong in a file, gathered while it is read. where: the file."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._found: list[Diagnostic] = []

    def note(self, line: int, what: str, fix: str) -> None:
        """Remember what is wrong in a line, and how to fix it."""
        self._found.append(Diagnostic(id=UsageError.id, severity="error", at=Where(line=line), message=what, advice=fix))

    def check(self) -> None:
        """Raise the UsageError that has everything found, by line; return if there is nothing."""
        found = sorted(self._found, key=lambda each: each.at.line or 0)
        if len(found) == 1:
            raise UsageError(found[0].message, where=self.where, line=found[0].at.line, fix=found[0].advice)
        if found:
            lines = [text for each in found for text in (f"{self.where}:{each.at.line}: {each.message}", f"  fix: {each.advice}")]
            raise UsageError(f"{len(found)} mistakes", where=self.where, details=lines, found=found)


class Table:
    """A YAML mapping whose keys are known. what: its name in messages.

    What is not as it should be is noted in ``mistakes`` and read as None; what was read counts only if ``mistakes.check()`` raises nothing.
    """

    def __init__(
        self,
        mistakes: Mistakes,
        node: Node,
        what: str,
        allowed: Collection[str],
        *,
        line: int | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.mistakes = mistakes
        self.what = what
        self._line = line or _line(node)
        self._keys: dict[str, Node] = {}
        self._values: dict[str, Node] = {}
        self._is_mapping = isinstance(node, MappingNode)
        if not isinstance(node, MappingNode):
            self.note(f"{what} must be a mapping of keys", f"write lines key: value, with the keys {', '.join(allowed)}")
            return
        misspelt: list[tuple[str, Node, Node]] = []
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            if name in self._values:
                mistakes.note(_line(key), f"the key {name!r} is given twice in {what}", "keep one of them")
            elif name in allowed:
                self._keys[name], self._values[name] = key, value
            else:
                now = (renamed or {}).get(name)
                mistakes.note(_line(key), f"unknown key {name!r} in {what}", f"it is now {now}" if now else suggestion(name, allowed))
                if meant := now or nearest(name, allowed):
                    misspelt.append((meant, key, value))
        for name, key, value in misspelt:  # its value is checked too, and nothing more is said of a key that is missing
            if name not in self._values:
                self._keys[name], self._values[name] = key, value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def note(self, what: str, fix: str) -> None:
        """Note what is wrong with this table as a whole."""
        self.mistakes.note(self._line, what, fix)

    def line(self, key: str) -> int:
        """Return the line of a key that is there."""
        return _line(self._keys[key])

    def get(self, key: str, read: Callable[[str], _T | None], allowed: str) -> _T | None:
        """Return the value of a key that must be there. read: text -> value, None (or ValueError) if it is not allowed."""
        node = self._value(key, allowed)
        if node is None:
            return None
        text = node.value if isinstance(node, ScalarNode) else None
        try:
            value = None if text is None else read(text)
        except (ValueError, ZeroDivisionError):
            value = None
        if value is None:
            shown = "a list or mapping" if text is None else repr(text)
            self.wrong(key, f"{key} of {self.what} is {shown}", f"{key} must be {allowed}")
        return value

    def optional(self, key: str, read: Callable[[str], _T | None], allowed: str) -> _T | None:
        """Return the value of a key, None if the key is not there."""
        return self.get(key, read, allowed) if key in self else None

    def choice(self, key: str, allowed: Collection[str], meant: Callable[[str], str | None] = lambda word: None) -> str | None:
        """Return one of the allowed words. meant: another name -> the word that it stands for."""
        listed = f"one of: {', '.join(allowed)}"
        text = self.get(key, lambda value: value or None, listed)
        if text is None or text in allowed:
            return text
        other = meant(text)
        fix = f"did you mean {other}?" if other in allowed else suggestion(text, allowed)
        self.wrong(key, f"{key} of {self.what} is {text!r}", f"{fix} ({key} is {listed})" if "mean" in fix else fix)
        return None

    def table(self, key: str, what: str, allowed: Collection[str]) -> Table:
        """Return the mapping of a key that is there."""
        return Table(self.mistakes, self._values[key], what, allowed, line=self.line(key))

    def tables(self, key: str, what: str, allowed: Collection[str], most: int) -> Iterator[Table]:
        """Give the mappings of a list that must be there and not be empty. what: {} stands for the number of each."""
        node = self._value(key, "and below it one entry a line, each beginning with a dash")
        if node is None:
            return
        if not isinstance(node, SequenceNode) or not 0 < len(node.value) <= most:
            self.wrong(key, f"{key} of {self.what} is not a list of 1 to {most} entries", "begin each entry with a dash")
            return
        for number, entry in enumerate(node.value, 1):
            yield Table(self.mistakes, entry, what.format(number), allowed)

    def wrong(self, key: str, what: str, fix: str) -> None:
        """Note what is wrong with the value of a key; one that is not there begins at the next word, maybe in another line."""
        node = self._values[key]
        missing = isinstance(node, ScalarNode) and not node.value and not node.style
        self.mistakes.note(self.line(key) if missing else _line(node), what, fix)

    def _value(self, key: str, wanted: str) -> Node | None:
        """Return the value of a key, or note that it is missing. Of what is no mapping at all, that has been said."""
        if key not in self._values and self._is_mapping:
            self.note(f"{self.what} has no {key!r}", f"add {key}: {wanted}")
        return self._values.get(key)


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line + 1
