"""The public names with their signatures, as text without private module paths."""

from __future__ import annotations

import ast
import enum
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import attrs
import msgspec

from .store import TOP

#: The import paths in the pages, and all public packages.
MODULES = (
    "duologue.adapters.audio",
    "duologue.adapters.cli",
    "duologue.adapters.pytest_plugin",
    "duologue.adapters.web",
    "duologue.core",
    "duologue.core.commands",
    "duologue.core.events",
    "duologue.core.testing",
    "duologue.local",
    "duologue.local.faults",
    "duologue.local.memory",
    "duologue.local.ports",
    "duologue.local.voice_flite",
    "duologue.transports",
    "duologue.transports.audio",
    "duologue.transports.client",
    "duologue.transports.clock",
    "duologue.transports.credentials",
    "duologue.transports.emitter",
    "duologue.transports.errors",
    "duologue.transports.logfile",
    "duologue.transports.memory",
    "duologue.transports.seam",
    "duologue.transports.session",
    "duologue.transports.signalling",
    "duologue.transports.testing",
    "duologue.transports.tools",
)
#: A dotted name that ends in a class: only the last part is kept.
_DOTTED = re.compile(r"\b(?:[A-Za-z_]\w*\.)+([A-Z]\w*)")
_PRIVATE_PATH = re.compile(r"\bduologue\.[a-z_.]+\.(\w+)")
_FORWARD = re.compile(r"ForwardRef\('([^']+)'[^)]*\)")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
#: Members that Python adds to a class, or that callers never use.
_SPECIAL = ("__call__", "__aenter__", "__aexit__", "__enter__", "__exit__", "__iter__")


def entries() -> dict[str, str]:
    """``module:name`` and ``module:name.member``, each with its description."""
    found: dict[str, str] = {}
    for path in MODULES:
        module = importlib.import_module(path)
        for name in sorted(module.__all__):
            for member, text in describe(getattr(module, name)):
                found[f"{path}:{name}{member and f'.{member}'}"] = text
    return found


def describe(value: Any) -> Iterator[tuple[str, str]]:
    """A value (under the empty name) and its public members."""
    if isinstance(value, ModuleType):
        yield "", "module"
    elif inspect.isclass(value) and issubclass(value, enum.Enum):
        yield "", "enum"
        for member in value:
            yield member.name, tidy(f"member {member.value!r}")
    elif inspect.isclass(value):
        yield "", f"class{signature(value)}"
        yield from _members(value)
    elif inspect.isroutine(value):
        yield "", f"{_how(value)}function{signature(value)}"
    elif isinstance(value, bool | int | float | str | bytes | tuple | frozenset | None):
        shown = sorted(value) if isinstance(value, frozenset) else value
        yield "", tidy(f"constant {type(value).__name__} {shown!r}")
    else:
        yield "", tidy(f"constant {type(value).__name__}")


def _members(cls: type) -> Iterator[tuple[str, str]]:
    for name, kind in sorted(_fields(cls).items()):
        if not name.startswith("_"):
            yield name, tidy(f"field: {kind}")
    fields = _fields(cls)
    for name in sorted(dir(cls)):
        if name in fields or (name.startswith("_") and name not in _SPECIAL):
            continue
        member = inspect.getattr_static(cls, name)
        if _is_foreign(cls, name):
            continue
        if isinstance(member, property):
            yield name, f"property{signature(member.fget)}"
        elif isinstance(member, functools.cached_property):
            yield name, f"property{signature(member.func)}"
        elif isinstance(member, classmethod | staticmethod):
            kind = type(member).__name__
            yield name, f"{_how(member.__func__)}{kind}{signature(getattr(cls, name))}"
        elif inspect.isfunction(member):
            yield name, f"{_how(member)}method{signature(member)}"


def _how(function: Any) -> str:
    is_async = inspect.iscoroutinefunction(function)
    return "async " if is_async or inspect.isasyncgenfunction(function) else ""


def _is_foreign(cls: type, name: str) -> bool:
    """Whether a member comes from a foreign base class."""
    home = next((base for base in cls.__mro__ if name in vars(base)), object)
    return not home.__module__.startswith("duologue")


def _fields(cls: Any) -> dict[str, str]:
    if attrs.has(cls):
        return {field.name: str(field.type) for field in attrs.fields(cls)}
    if issubclass(cls, msgspec.Struct):
        told = _annotations(cls)
        return {name: told.get(name, "?") for name in cls.__struct_fields__}
    return {name: kind for name, kind in _annotations(cls).items() if name[0] != "_"}


def _annotations(cls: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("duologue"):
            told = vars(base).get("__annotations__", {})
            found |= {name: str(kind) for name, kind in told.items()}
    return found


def signature(value: Any) -> str:
    """The signature as text, without the modules of classes."""
    try:
        return tidy(str(inspect.signature(value)))
    except (TypeError, ValueError):
        return "(?)"


def tidy(text: str) -> str:
    """Without module paths, quotes around annotations and addresses."""
    text = _FORWARD.sub(r"\1", _ADDRESS.sub("", text))
    text = _PRIVATE_PATH.sub(r"\1", text)
    text = _DOTTED.sub(r"\1", text)
    return re.sub(r"(?<=: |> )'([^']*)'", r"\1", text)


# The imports of the pages.


def page_imports() -> dict[str, list[str]]:
    """By import path, the names that pages and examples import."""
    found: dict[str, set[str]] = {}
    for code in _codes():
        for path, name in _imports(code):
            names = found.setdefault(path, set())
            if name is not None:
                names.add(name)
    return {path: sorted(names) for path, names in sorted(found.items())}


def _codes() -> Iterator[str]:
    for page in (TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))):
        text = page.read_text(encoding="utf-8")
        yield from re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
        yield from re.findall(r"`((?:from duologue\S* )?import [^`\n]+)`", text)
    for example in sorted((TOP / "examples").glob("*.py")):
        yield example.read_text(encoding="utf-8")


def _imports(code: str) -> Iterator[tuple[str, str | None]]:
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module):
            for alias in node.names:
                yield str(node.module), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if _is_ours(alias.name):
                    yield alias.name, None


def _is_ours(path: str | None) -> bool:
    return path is not None and path.split(".")[0] == "duologue"


# Public names and submodules of the same name.

ROOTS = ("core", "transports", "local", "adapters")


def packages(root: str) -> list[str]:
    """The package of a root and all packages in it."""
    first = f"duologue.{root}"
    return [first, *(name for name, is_package in _walk(first) if is_package)]


def submodules(root: str) -> list[str]:
    """All importable modules of a root, scripts excluded."""
    first = f"duologue.{root}"
    return [
        first,
        *(name for name, _ in _walk(first) if not name.endswith(".__main__")),
    ]


def _walk(package: str) -> Iterator[tuple[str, bool]]:
    # Not `walk_packages`, because it imports packages.
    folder = TOP / package.split(".")[1] / package.replace(".", "/")
    for found in pkgutil.iter_modules([str(folder)], f"{package}."):
        yield found.name, found.ispkg
        if found.ispkg:
            yield from _walk(found.name)
