"""Write XML with attributes in the order in which they are given, and read XML that anybody may have written.

In:   elements; bytes that may hold anything.
Out:  the text of a document, the same for the same elements; the root of one that was read, each Node with its line.
Wrong: ManifestError for bytes that are no XML, and for a document type declaration: what it can declare (entities that unfold to
       gigabytes, files and addresses to be read) no manifest needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers import expat

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold, not even escaped (XML 1.0, 2.2)."""
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_DEEPEST = 32
"""Elements within elements; those of a manifest are seven deep."""


class ManifestError(Exception):
    """A document that is no DASH manifest. what: a sentence's end.  line: None if it is all of it."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(f"line {line}: {what}" if line else what)
        self.what, self.line = what, line


@dataclass
class Node:
    """An element that was read. tag, attributes: without their namespaces."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, tag: str) -> Iterator[Node]:
        """Yield the children of a name."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Node | None:
        """Return the first child of a name."""
        return next(self.all(tag), None)

    def get(self, name: str) -> str | None:
        """Return an attribute."""
        return self.attributes.get(name)


def element(tag: str, *children: Element | None, text: str | None = None, **attributes: object) -> Element:
    """Return an element. Children and attributes that are None are left out."""
    made = Element(tag, {name: _clean(str(value)) for name, value in attributes.items() if value is not None})
    made.text = None if text is None else _clean(text)
    made.extend(child for child in children if child is not None)
    return made


def document(root: Element) -> str:
    """Return the text of a document."""
    ElementTree.indent(root)
    return f"{_HEAD}{ElementTree.tostring(root, encoding='unicode')}\n"


def read_document(data: bytes) -> Node:
    """Return the root of a document. Raises ManifestError."""
    reader = _Reader()
    try:
        reader.parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ManifestError(f"it is not XML: {expat.ErrorString(error.code)}", error.lineno) from error
    except (ValueError, LookupError) as error:  # an encoding that nobody knows
        raise ManifestError(f"it is not XML: {error}") from error
    return reader.roots[0]


class _Reader:
    """Builds Nodes of what expat reads."""

    def __init__(self) -> None:
        self.roots: list[Node] = []
        self._open: list[Node] = []
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.StartDoctypeDeclHandler = self._refused

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if len(self._open) >= _DEEPEST:
            raise ManifestError("its elements are nested too deeply", line)
        node = Node(_local(name), {_local(key): value for key, value in attributes.items()}, line)
        (self._open[-1].children if self._open else self.roots).append(node)
        self._open.append(node)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _data(self, text: str) -> None:
        self._open[-1].text += text

    def _refused(self, *_: object) -> None:
        raise ManifestError("it has a document type declaration, which no manifest needs", self.parser.CurrentLineNumber)


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("", text)
