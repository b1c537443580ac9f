"""The core has no clock, no randomness and no I/O."""

from __future__ import annotations

import ast
from pathlib import Path

CORE = Path(__file__).parents[2] / "core/duologue/core"
#: The source of each module, by path.
MODULES = {
    path.relative_to(CORE): path.read_text() for path in sorted(CORE.rglob("*.py"))
}
TREES = {path: ast.parse(text) for path, text in MODULES.items()}
#: The modules that the core may import.
ALLOWED = {
    *("__future__", "typing", "collections", "collections.abc", "enum", "functools"),
    *("re", "zlib", "base64", "hashlib", "unicodedata"),
    *("math", "fractions", "bisect", "itertools", "operator", "heapq", "types"),
    *("attrs", "msgspec", "msgspec.structs", "immutables", "duologue.core"),
}
#: Further modules that the testing package may import.
TESTING = {"hypothesis", "hypothesis.errors", "hypothesis.stateful", "copy", "pickle"}
#: `notices` and `middleware_check` compare objects by identity (`id`).
EXCEPT = {"notices": {"id"}, "middleware_check": {"id"}}
#: Further modules that `old_paths` imports.
IMPORTING = {"importlib", "importlib.machinery", "sys"}
FORBIDDEN = {"open", "print", "input", "exec", "eval", "compile", "__import__", "id"}


def imported(tree: ast.AST) -> set[str]:
    """The imported modules, relative imports excepted."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert node.module
            found.add(node.module)
    return found


def test_imports() -> None:
    """Core modules import none for time, randomness, files or waiting."""
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
    """Core modules call no I/O function and no `id`, except those in `EXCEPT`."""
    for path, tree in TREES.items():
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }

        assert set() == called & FORBIDDEN - EXCEPT.get(path.stem, set()), path


def test_size() -> None:
    """No function has over 50 lines, and every public object has a docstring."""
    for path in MODULES:
        assert ast.get_docstring(TREES[path]) or path.stem == "_version", path
        for node in ast.walk(TREES[path]):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                nested = node.name.startswith("_") or node.col_offset > 0
                assert ast.get_docstring(node) or nested, (path, node.name)
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 50, (path, node.name)


def test_nothing_is_async() -> None:
    """The core is synchronous."""
    waiting = ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith
    for path, tree in TREES.items():
        assert not [n for n in ast.walk(tree) if isinstance(n, waiting)], path
