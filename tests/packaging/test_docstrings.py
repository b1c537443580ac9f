"""Every public name has a docstring with its units and its errors.

The tests read the source. A name is public if it is in ``__all__`` of a module without
a leading underscore; the public methods of such a class are public too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

TOP = Path(__file__).parents[2]
ROOTS = ("core", "transports", "local", "adapters")

Function = ast.FunctionDef | ast.AsyncFunctionDef
#: Errors that need no mention: they mean a bug in the program.
PROGRAMMING = {"AssertionError", "AttributeError", "NotImplementedError"}
#: Modules whose errors appear in `--help` or in an HTTP response.
COMMANDS = ("duologue.adapters.cli",)
#: Words for a unit or for the range of a ratio.
UNIT = re.compile(
    r"\b(seconds?|ms|bytes|Hz|dBFS|samples|characters|tokens|dollars"
    r"|0(\.\d+)? to \d)",
    re.IGNORECASE,
)
#: A number whose name contains its unit; ``at`` is seconds since the Unix epoch.
NAMED_UNIT = re.compile(r"(^|_)(ms|hz|dbfs|seconds|at|usd)$")
NUMBER = re.compile(r"float( \| (None|UnsetType|int))*")


class Source(NamedTuple):
    """A public module."""

    name: str
    tree: ast.Module
    lines: list[str]
    exported: frozenset[str]


def sources(*roots: str) -> Iterator[Source]:
    for root in roots:
        for path in sorted((TOP / root).rglob("*.py")):
            parts = path.relative_to(TOP / root).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            text = path.read_text(encoding="utf-8")
            if "._" not in name:
                tree = ast.parse(text)
                yield Source(name, tree, text.splitlines(), exported_by(tree))


def exported_by(tree: ast.Module) -> frozenset[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def definitions(source: Source) -> Iterator[tuple[str, Function | ast.ClassDef, str]]:
    """Public functions, classes and methods, each with its docstring."""
    for node in source.tree.body:
        if not isinstance(node, Function | ast.ClassDef):
            continue
        if node.name not in source.exported:
            continue
        own = ast.get_docstring(node) or ""
        yield f"{source.name}.{node.name}", node, own
        for method in node.body if isinstance(node, ast.ClassDef) else ():
            if not isinstance(method, Function):
                continue
            said = ast.get_docstring(method) or ""
            name = f"{source.name}.{node.name}.{method.name}"
            if method.name == "__init__":
                yield name, method, own
            elif not method.name.startswith("_"):
                yield name, method, said


@pytest.mark.parametrize("root", ROOTS)
def test_a_public_definition_says_what_it_is(root: str) -> None:
    silent = [
        name
        for source in sources(root)
        for name, _, said in definitions(source)
        if not said.strip()
    ]
    assert silent == []


@pytest.mark.parametrize("root", ["core", "transports"])
def test_a_public_constant_says_what_it_is(root: str) -> None:
    """A ``#:`` comment is above the constant or above its block."""
    silent = [
        f"{source.name}.{name}"
        for source in sources(root)
        if ".reducer" not in source.name
        for name, line in constants(source)
        if not is_said(source.lines, line)
    ]
    assert silent == []


def constants(source: Source) -> Iterator[tuple[str, int]]:
    """Public constants and their lines."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            for target in (
                node.targets if isinstance(node, ast.Assign) else [node.target]
            ):
                name = ast.unparse(target)
                if name in source.exported:
                    yield name, node.lineno


def is_said(lines: list[str], line: int) -> bool:
    above = lines[: line - 1]
    while above and above[-1] and not above[-1].startswith("#"):
        above.pop()
    while above and above[-1].startswith("#") and not above[-1].startswith("#:"):
        above.pop()
    return bool(above) and above[-1].startswith("#:")


@pytest.mark.parametrize("root", ROOTS)
def test_a_public_function_names_what_it_raises(root: str) -> None:
    """The docstring names the error, its base, or a function with the same errors."""
    parents = error_tree()
    unnamed = [
        f"{name}: {error}"
        for source in sources(root)
        if not source.name.startswith(COMMANDS)
        for name, node, said in definitions(source)
        if isinstance(node, Function)
        for error in sorted(raised(node))
        if not is_named(error, said, parents)
    ]
    assert unnamed == []


def raised(function: Function) -> set[str]:
    """The errors raised in a function's own body, nested functions excluded."""
    found, todo = set(), list[ast.AST](function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, Function | ast.Lambda):
            continue
        if isinstance(node, ast.Raise) and node.exc is not None:
            cause = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = ast.unparse(cause).rpartition(".")[2]
            if name[:1].isupper() and name != "SkipTest":
                found.add(name)
        todo += ast.iter_child_nodes(node)
    return found - PROGRAMMING


def error_tree() -> dict[str, set[str]]:
    """The base classes of each class of the project."""
    return {
        node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases}
        for root in ROOTS
        for path in (TOP / root).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef)
    }


def is_named(error: str, said: str, parents: dict[str, set[str]]) -> bool:
    if re.search(rf"\b{error}\b", said):
        return True
    if re.search(r"Raises (as|the errors of) `", said):
        return True
    return any(is_named(base, said, parents) for base in parents.get(error, ()))


def test_a_number_says_its_unit() -> None:
    """The docstring or the name of each public float contains its unit."""
    doors = [*sources("core", "transports")]
    doors += [s for s in sources("adapters") if s.name.startswith(_AUDIO)]
    bare = [name for source in doors for name in numbers(source)]
    assert bare == []


_AUDIO = "duologue.adapters.audio"


def numbers(source: Source) -> Iterator[str]:
    """The floats of a module without a unit."""
    for name, node, said in definitions(source):
        if isinstance(node, ast.ClassDef):
            for field in node.body:
                if isinstance(field, ast.AnnAssign):
                    label = ast.unparse(field.target)
                    told = said + comment(source, field)
                    if is_bare(label, field.annotation, told):
                        yield f"{name}.{label}"
            continue
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if is_bare(argument.arg, argument.annotation, said):
                yield f"{name}({argument.arg})"
        if is_bare(node.name, node.returns, said):
            yield f"{name}() gives"


def is_bare(name: str, annotation: ast.expr | None, said: str) -> bool:
    return (
        annotation is not None
        and NUMBER.fullmatch(ast.unparse(annotation)) is not None
        and not NAMED_UNIT.search(name)
        and not UNIT.search(said)
    )


def comment(source: Source, field: ast.AnnAssign) -> str:
    """The ``#:`` comment above a field."""
    found: list[str] = []
    for line in reversed(source.lines[: field.lineno - 1]):
        if not line.strip().startswith("#:"):
            break
        found.append(line.strip())
    return " ".join(found)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        pytest.param(
            "definition", "class A:\n    '''A.'''\n    def f(self): ...", id="method"
        ),
        pytest.param(
            "raises", "def A():\n    '''A.'''\n    raise ValueError", id="raises"
        ),
        pytest.param("unit", "def A(long: float):\n    '''A.'''", id="unit"),
        pytest.param("constant", "A = 1", id="constant"),
    ],
)
def test_the_checks_find_what_is_missing(check: str, text: str) -> None:
    """The control: one small module for each check."""
    source = Source("m", ast.parse(text), text.splitlines(), frozenset({"A"}))
    found = {
        "definition": [name for name, _, said in definitions(source) if not said],
        "raises": [
            error
            for _, node, said in definitions(source)
            if isinstance(node, Function)
            for error in raised(node)
            if not is_named(error, said, {})
        ],
        "unit": list(numbers(source)),
        "constant": [
            name for name, at in constants(source) if not is_said(source.lines, at)
        ],
    }
    assert [name for name, names in found.items() if names] == [check]
