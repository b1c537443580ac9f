"""The pages of the reference on the public names of the three upper roots."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from api_pages import class_entry, function_entry, methods
from introspection import comment_above, says
from rendering import join

__all__ = ["PUBLIC", "public_pages"]

#: File name to title and the public modules of the page, in order.
PUBLIC: dict[str, tuple[str, tuple[str, ...]]] = {
    "transports.md": (
        "Transports and live sessions",
        (
            "duologue.transports",
            "duologue.transports.memory",
            "duologue.transports.contract",
            "duologue.transports.testing",
        ),
    ),
    "local.md": ("The local service", ("duologue.local", "duologue.local.faults")),
    "adapters.md": (
        "Adapters",
        (
            "duologue.adapters.audio",
            "duologue.adapters.web",
            "duologue.adapters.pytest_plugin",
        ),
    ),
}


def public_pages() -> dict[str, str]:
    """Every page by its file name."""
    return {
        name: join(f"# {title}", *_sections(modules))
        for name, (title, modules) in PUBLIC.items()
    }


def _sections(names: tuple[str, ...]) -> Iterator[str]:
    described: dict[int, str] = {}
    for name in names:
        module = import_module(name)
        entries = []
        for word in module.__all__:
            value = getattr(module, word)
            if isinstance(value, ModuleType):
                entries.append(f"`{word}` is the module `{name}.{word}`, below.")
            elif (own := getattr(value, "__name__", word)) != word:
                entries.append(join(f"### {word}", f"Another name of `{own}`."))
            elif callable(value) and id(value) in described:
                entries.append(f"`{word}` is that of `{described[id(value)]}`.")
            else:
                described[id(value)] = name
                entries.append(_entry(module, word, value))
        yield join(f"## {name}", says(module), *entries)


def _entry(module: ModuleType, word: str, value: Any) -> str:
    """A class, a protocol, a function, or a constant."""
    if inspect.isclass(value):
        if getattr(value, "_is_protocol", False):
            return join(f"### {word}", says(value), *methods(word, value))
        return class_entry(word, value)
    if inspect.isfunction(function := inspect.unwrap(value)):
        return function_entry(function, tuple(module.__all__))
    if typing.get_origin(value) is None and not isinstance(value, int | float | str):
        return join(f"### {word}", inspect.getdoc(value) or "")
    note = comment_above(_home(module, word), word)
    return join(f"### {word}", note, f"```\n{word} = {value!r}\n```")


def _home(module: ModuleType, word: str) -> ModuleType:
    """The module that defines a constant which a package exports."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            names = {alias.name for alias in node.names}
            if word in names or "*" in names:
                home = import_module(name, module.__package__)
                if hasattr(home, word):
                    return _home(home, word)
    return module
