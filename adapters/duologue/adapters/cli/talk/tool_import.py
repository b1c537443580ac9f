"""``--tools module:object``: functions of the user's own that the model may call."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from typing import Any

from duologue.core.errors import DuologueError
from duologue.core.events import McpToolServer
from duologue.transports import Tool, tool

__all__ = ["load_tools"]


def load_tools(name: str) -> tuple[Tool | McpToolServer, ...]:
    """The tools that ``module:object`` names: a function, a `Tool`, or several of them.

    The module is looked for in the current folder first. Raises a `DuologueError`
    where it cannot be imported, or has no such object, or that is something else.
    """
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise DuologueError(f"--tools {name}: it must be module:object")
    found: Any = _imported(module, name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise DuologueError(
                f"--tools {name}: there is no {part} in {module}"
            ) from None
    return _tools(found, name)


def _imported(module: str, name: str) -> Any:
    if (folder := os.getcwd()) not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    except Exception as error:
        # It is the user's code: whatever it raises is said in one line.
        why = f"{type(error).__name__}: {error}"
        raise DuologueError(f"--tools {name}: cannot be imported: {why}") from error


def _tools(found: Any, name: str) -> tuple[Tool | McpToolServer, ...]:
    several = isinstance(found, Iterable) and not isinstance(found, str | bytes)
    made = tuple(_tool(one, name) for one in (found if several else (found,)))
    names = [one.name for one in made if isinstance(one, Tool)]
    for one in names:
        if names.count(one) > 1:
            raise DuologueError(f"--tools {name}: there are two tools {one!r}")
    return made


def _tool(one: Any, name: str) -> Tool | McpToolServer:
    if isinstance(one, Tool | McpToolServer):
        return one
    if not callable(one):
        kind = type(one).__name__
        raise DuologueError(
            f"--tools {name}: {kind} is no tool; a function is one, or a list of them"
        )
    try:
        return tool(one)
    except Exception as error:
        raise DuologueError(f"--tools {name}: {error}") from error
