#!/usr/bin/env python3
"""Check the rules of the house that no other tool checks.

Run as a script, it prints one line for each breach and exits with 1 if there is one. It
reads the source and imports nothing. CONTRIBUTING.md lists the rules; each
function below checks one of them. `tests/packaging/test_house_rules.py` breaks each.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

TOP = Path(__file__).resolve().parents[2]
ROOTS = ("core", "transports", "local", "adapters")

#: The most modules in a folder, `__init__` aside.
MOST_MODULES = 15
#: Folders with one file for each thing of a kind: they may be long, and their file
#: names are the names of the things.
KINDS = {"duologue.core.events", "duologue.adapters.cli.commands"}
#: Slices of the state: each layer of the core may have a module of that name.
SLICES = {
    *("session", "items", "conversation", "responses", "calls", "mcp", "usage"),
    *("transcript", "translation", "cost"),
}
#: The module that may touch private parts of aiortc and aioice.
PRIVATE_PARTS = {"duologue.transports.drivers.webrtc.aiortc_private"}
#: Private by their spelling only: methods of named tuples.
NAMED_TUPLE = {"_replace", "_asdict", "_fields", "_make"}
#: Modules that look at objects of other libraries, which have no common type.
FOREIGN_OBJECTS = {
    "duologue.transports.drivers.webrtc.statistics",
    "duologue.local.server.listener",
    "duologue.local.yaml_file",
}
#: Words of the field that end in "ing".
NOUNS = {
    *("signalling", "masking", "recording", "testing", "ordering", "serving"),
    *("turn_taking", "audio_processing"),
}
#: Markers of unclear English in a thousand words: noun clauses in place of terms, and
#: pronouns in place of the reader.
MOST_CLAUSES, MOST_PRONOUNS = 2.0, 0.5
CLAUSE = re.compile(
    r"\b(what|who|that which|those that|those who|one that|one who|all that)\s+"
    r"(is|are|was|were|comes?|came|goes|went|stands?|stood|has|had|have|asks?|asked"
    r"|needs?|wants?|does|did|must|made|makes?|takes?|took|gives?|gave|says?|said"
    r"|sends?|sent|holds?|reads?|knows?|remains?|follows?|counts?|waits?|left|leaves)\b",
    re.IGNORECASE,
)
PRONOUN = re.compile(
    r"\b(nobody|whoever|no one|anybody|everybody|somebody|whom)\b", re.IGNORECASE
)


class Module(NamedTuple):
    """A module of the product: its dotted name, its path, and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that relative imports begin at."""
        is_package = self.path.name == "__init__.py"
        return self.name if is_package else self.name.rpartition(".")[0]

    @property
    def root(self) -> str:
        """``duologue.core`` and its like."""
        return ".".join(self.name.split(".")[:2])


def modules(top: Path) -> list[Module]:
    """All modules of the four roots."""
    found = []
    for root in ROOTS:
        for path in sorted((top / root / "duologue").rglob("*.py")):
            parts = path.relative_to(top / root).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            found.append(Module(name, path, ast.parse(path.read_bytes())))
    return found


# --- Private attributes --------------------------------------------------------------


def private_access(found: list[Module]) -> Iterator[str]:
    """A private attribute is touched by its own object, or one of its class, only."""
    for module in found:
        if module.name not in PRIVATE_PARTS:
            yield from _foreign_privates(module, module.tree, frozenset())


def _foreign_privates(
    module: Module, node: ast.AST, own: frozenset[str]
) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inside = own | _privates(child) if isinstance(child, ast.ClassDef) else own
        if isinstance(child, ast.Attribute) and _is_foreign(child, own):
            yield f"{_place(module, child)}: touches the private {child.attr}"
        if isinstance(child, ast.ImportFrom):
            for alias in child.names:
                if _is_private(alias.name):
                    yield f"{_place(module, child)}: imports the private {alias.name}"
        if (name := _private_by_name(child)) is not None:
            yield f"{_place(module, child)}: touches the private {name}"
        yield from _foreign_privates(module, child, inside)


def _privates(cls: ast.ClassDef) -> set[str]:
    """The private attributes that a class itself defines."""
    names: set[str] = set()
    for node in ast.walk(cls):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Name(id=name) | ast.Constant(value=str(name)):
                names.add(name)
    return {name for name in names if _is_private(name)}


def _is_foreign(node: ast.Attribute, own: frozenset[str]) -> bool:
    if not _is_private(node.attr) or node.attr in NAMED_TUPLE:
        return False
    match node.value:
        case ast.Name(id="self" | "cls") | ast.Call(func=ast.Name(id="super")):
            return False
        case ast.Name():
            # Another instance of the same class.
            return node.attr not in own
    return True


#: Functions that take the name of an attribute.
_BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter"}


def _private_by_name(node: ast.AST) -> str | None:
    """The private attribute that a call touches by its name."""
    if not isinstance(node, ast.Call):
        return None
    if ast.unparse(node.func).rpartition(".")[2] not in _BY_NAME:
        return None
    for argument in node.args[:2]:
        match argument:
            case ast.Constant(value=str(name)) if _is_private(name):
                return name
    return None


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


# --- Imports -------------------------------------------------------------------------


def import_cycles(found: list[Module]) -> Iterator[str]:
    """No module imports itself by way of others, inside a function either."""
    graph = {module.name: _imports(module, found) for module in found}
    for component in _components(graph):
        if len(component) > 1:
            yield f"import cycle: {' '.join(sorted(component))}"


def _imports(module: Module, found: list[Module]) -> set[str]:
    known = {other.name for other in found}
    targets: set[str] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.package.split(".")
                kept = parents[: len(parents) - node.level + 1]
                base = ".".join([*kept, *base.split(".")] if base else kept)
            for alias in node.names:
                name = f"{base}.{alias.name}"
                targets.add(name if name in known else base)
    return targets & known - {module.name}


def _components(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Strongly connected components: modules that reach each other."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for name in graph[todo.pop()] - seen:
                seen.add(name)
                todo.append(name)
        reach[start] = seen
    left = set(graph)
    while left:
        start = left.pop()
        component = {start} | {n for n in left & reach[start] if start in reach[n]}
        left -= component
        yield component


# --- Probing -------------------------------------------------------------------------


def probing(found: list[Module]) -> Iterator[str]:
    """An optional ability is a protocol, so that a typo is a type error."""
    for module in found:
        if module.root == "duologue.core" or module.name in FOREIGN_OBJECTS:
            continue
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(
                    func=ast.Name(id="getattr" | "hasattr" | "setattr" as function),
                    args=[target, ast.Constant(value=str(name)), *_],
                ) if not name.startswith("__") and ast.unparse(target) != "os":
                    yield f"{_place(module, node)}: {function} probes for {name!r}"


# --- Names ---------------------------------------------------------------------------


def module_names(found: list[Module]) -> Iterator[str]:
    """A module's name is unique in its root, and a noun."""
    for root in dict.fromkeys(module.root for module in found):
        named = Counter(
            module.name.rpartition(".")[2]
            for module in found
            if module.root == root
            and module.path.name != "__init__.py"
            and module.name.rpartition(".")[0] not in KINDS
        )
        for name, count in named.items():
            if count > 1 and not (root == "duologue.core" and name in SLICES):
                yield f"{root}: {count} modules are called {name}"
    for module in found:
        name = module.name.rpartition(".")[2]
        if name.endswith("ing") and name not in NOUNS:
            yield f"{module.path}: named by a motion"


def folder_sizes(found: list[Module]) -> Iterator[str]:
    """Nothing lies flat: a folder is a subject, with few modules."""
    sizes = Counter(
        module.package for module in found if module.path.name != "__init__.py"
    )
    for package, size in sizes.items():
        if size > MOST_MODULES and package not in KINDS:
            yield f"{package}: {size} modules, {MOST_MODULES} at most"


def package_names(found: list[Module]) -> Iterator[str]:
    """A submodule does not take the place of a public name of its package."""
    names = {module.name for module in found}
    for module in found:
        if module.path.name != "__init__.py":
            continue
        for public in _exported(module.tree):
            name = f"{module.name}.{public}"
            if name in names and not _is_module_export(module, public, names):
                yield f"{name}: a module with the name of a public function or class"


def _exported(tree: ast.Module) -> set[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _is_module_export(module: Module, public: str, names: set[str]) -> bool:
    """Whether the package exports the submodule itself: ``from . import events``."""
    return any(
        isinstance(node, ast.ImportFrom)
        and node.level == 1
        and node.module is None
        and public in {alias.name for alias in node.names}
        for node in module.tree.body
    )


# --- English -------------------------------------------------------------------------


def plain_english(found: list[Module]) -> Iterator[str]:
    """Docstrings and comments use the field's terms, not noun clauses."""
    words = clauses = pronouns = 0
    for module in found:
        for text in _prose(module):
            words += len(text.split())
            clauses += len(CLAUSE.findall(text))
            pronouns += len(PRONOUN.findall(text))
    for count, most, what in (
        (clauses, MOST_CLAUSES, "noun clauses (what is …, who has …)"),
        (pronouns, MOST_PRONOUNS, "nobody, whoever and their like"),
    ):
        if words and 1000 * count / words > most:
            share = 1000 * count / words
            yield f"{share:.1f} {what} in a thousand words, {most} at most"


def _prose(module: Module) -> Iterator[str]:
    source = module.path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(module.tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            yield ast.get_docstring(node) or ""


# --- Running -------------------------------------------------------------------------

RULES: tuple[Callable[[list[Module]], Iterator[str]], ...] = (
    private_access,
    import_cycles,
    probing,
    module_names,
    folder_sizes,
    package_names,
    plain_english,
)


def breaches(top: Path) -> list[str]:
    """One line for each breach in the tree below ``top``."""
    found = modules(top)
    return [f"{rule.__name__}: {line}" for rule in RULES for line in rule(found)]


def _place(module: Module, node: ast.AST) -> str:
    return f"{module.path}:{getattr(node, 'lineno', 0)}"


def main() -> int:
    """Print the breaches; 1 if there are any."""
    lines = breaches(TOP)
    print("\n".join(lines) or "The rules of the house hold.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
