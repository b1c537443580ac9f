"""The core has no clock, no chance, no input and no output."""

from __future__ import annotations

import ast
from pathlib import Path

CORE = Path(__file__).parents[2] / "core/duologue/core"
#: The source of every module by its path.
MODULES = {
    path.relative_to(CORE): path.read_text() for path in sorted(CORE.rglob("*.py"))
}
TREES = {path: ast.parse(text) for path, text in MODULES.items()}
#: All that core modules may import from outside.
ALLOWED = {
    *("__future__", "typing", "collections", "collections.abc", "enum", "functools"),
    *("re", "zlib", "base64", "hashlib", "unicodedata"),
    *("math", "bisect", "itertools", "operator", "heapq", "types"),
    *("attrs", "msgspec", "msgspec.structs", "immutables", "duologue.core"),
}
#: What the testing extra may import besides.
TESTING = {"hypothesis", "hypothesis.errors", "hypothesis.stateful", "copy", "pickle"}
#: `notices` and `middleware_check` compare identities of objects
#: (`id`).
EXCEPT = {"notices": {"id"}, "middleware_check": {"id"}}
#: What the redirection of old module paths imports.
IMPORTING = {"importlib", "importlib.machinery", "sys"}
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


def test_imports() -> None:
    """Nothing that knows the time, throws dice, opens a file or waits."""
    for path, tree in TREES.items():
        foreign = {
            name
            for name in imported(tree)
            if name not in ALLOWED and not name.startswith("duologue.core.")
        }
        allowed = TESTING if path.parts[0] == "testing" else set[str]()
        allowed = IMPORTING if path.name == "old_paths.py" else allowed

        assert set() == foreign - allowed, path


def test_calls() -> None:
    """Nothing that reads or writes, and no address of an object: see `EXCEPT`."""
    for path, tree in TREES.items():
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }

        assert set() == called & FORBIDDEN - EXCEPT.get(path.stem, set()), path


def test_size() -> None:
    """No module above 400 lines, no function above 50, each with a docstring."""
    for path, text in MODULES.items():
        assert ast.get_docstring(TREES[path]) or path.stem == "_version", path
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                nested = node.name.startswith("_") or node.col_offset > 0
                assert ast.get_docstring(node) or nested, (path, node.name)
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, (path, node.name)


def test_async_is_nowhere() -> None:
    """The core waits for nothing."""
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for path, tree in TREES.items():
        assert not [n for n in ast.walk(tree) if isinstance(n, waiting)], path
