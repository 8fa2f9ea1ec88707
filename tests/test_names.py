"""One name, one meaning: no two modules and no two types are called alike, but for those whose meaning is the same."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import vidpipe

ROOT = Path(vidpipe.__file__).parent

PARTS = {"audio.py", "captions.py", "model.py", "picture.py", "result.py", "subtitles.py"}
"""What a stage does about audio, text or the picture, and its types: the same thing at each stage."""

OPTIONS = "vidpipe/cli/options.py"
"""Its names are the options by which a user gives the thing of that name."""

PLAIN = "vidpipe/source/child/plain_data.py"
"""Stands in for vidpipe/data.py in the child that measures a file, so it has the names of that module."""


def modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path.name != "__init__.py"]


def types(module: Path) -> Iterator[str]:
    """Yield the public classes and aliases of types that a module defines."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():  # constants are local to their modules
                yield name


def test_no_two_modules_are_called_alike() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        found[module.name].append(str(module.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1 and name not in PARTS} == {}


def test_no_two_types_are_called_alike() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        path = module.relative_to(ROOT.parent).as_posix()
        if path in (OPTIONS, PLAIN):
            continue
        for name in types(module):
            found[name].append(path)
    assert {name: paths for name, paths in found.items() if len(paths) > 1 and not name.startswith("_")} == {}
