"""``--tools module:object``: functions of the user's own that the model may call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from duologue.core.errors import DuologueError
from duologue.core.events import McpToolServer
from duologue.transports import Tool, tool

from ..shared.import_object import imported

__all__ = ["load_tools"]


def load_tools(name: str) -> tuple[Tool | McpToolServer, ...]:
    """The tools that ``module:object`` names: a function, a `Tool`, or several of them.

    The module is looked for in the current folder first. Raises a `DuologueError`
    where it cannot be imported, or has no such object, or that is something else.
    """
    return _tools(imported("--tools", name), name)


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
