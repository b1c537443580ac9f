"""The core has no clock, no chance, no input and no output."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core/duologue/core"
MODULES = sorted(CORE.rglob("*.py"))
#: All that core modules may import from outside.
ALLOWED = {
    *("__future__", "typing", "collections", "collections.abc", "enum", "functools"),
    *("re", "zlib", "base64", "hashlib", "unicodedata"),
    *("math", "bisect", "itertools", "operator", "heapq", "types"),
    *("attrs", "msgspec", "immutables", "duologue.core"),
}
#: What the testing extra may import besides.
TESTING = {"hypothesis", "hypothesis.errors", "hypothesis.stateful", "copy", "pickle"}
FORBIDDEN = {"open", "print", "input", "exec", "eval", "compile", "__import__", "id"}


def imported(tree: ast.AST) -> set[str]:
    """The modules that a tree imports, those of its own floor aside."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(CORE)))
def test_imports(path: Path) -> None:
    """Nothing that knows the time, throws dice, opens a file or waits."""
    foreign = {
        name
        for name in imported(ast.parse(path.read_text()))
        if name not in ALLOWED and not name.startswith("duologue.core.")
    }

    assert set() == foreign - (TESTING if path.parent.name == "testing" else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(CORE)))
def test_calls(path: Path) -> None:
    """Nothing that reads or writes, and no address of an object."""
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert set() == called & FORBIDDEN - ({"id"} if path.stem == "notices" else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(CORE)))
def test_size(path: Path) -> None:
    """No module above 400 lines, no function above 50, each with a docstring."""
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or path.stem == "_version"
    assert len(text.splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            public = not node.name.startswith("_")
            nested = node.col_offset > 0
            assert ast.get_docstring(node) or not public or nested, node.name
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(CORE)))
def test_async_is_nowhere(path: Path) -> None:
    """The core waits for nothing."""
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith

    assert [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, waiting)
    ] == []
