"""tree: one package spells the tree of the work space."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import vidpipe
from vidpipe.work import tree

ROOT = Path(vidpipe.__file__).parent


def joined(module: Path) -> Iterator[str]:
    """Yield the constant names that a module joins to a path."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield str(node.right.value)


def test_nobody_else_joins_its_names() -> None:
    others = [module for module in ROOT.rglob("*.py") if ROOT / "work" not in module.parents]
    assert len(others) > 100
    found = {f"{module.relative_to(ROOT)}: {name}" for module in others for name in joined(module) if name in tree.MEANING}
    assert found == set()


def test_each_folder_is_explained() -> None:
    names = {value for name, value in vars(tree).items() if name.isupper() and isinstance(value, str) and not tree.is_lock(Path(value))}
    assert names == set(tree.MEANING)
    assert all(f"WORK/{name}/" in (tree.__doc__ or "") for name in names)
