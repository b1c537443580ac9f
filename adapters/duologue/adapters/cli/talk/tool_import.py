"""``--tools module:object``: the user's functions that the model may call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from duologue.core.errors import DuologueError
from duologue.core.events import McpToolServer
from duologue.transports import Tool, tool

from ..shared.import_object import import_object

__all__ = ["load_tools"]


def load_tools(name: str) -> tuple[Tool | McpToolServer, ...]:
    """Import the tools that ``module:object`` names: a function, a `Tool`, or several.

    The current folder is searched first. Raises a `DuologueError` if the import fails,
    the object does not exist, or is not a tool.
    """
    found = import_object("--tools", name)
    is_several = isinstance(found, Iterable) and not isinstance(found, str | bytes)
    tools = tuple(_tool(one, name) for one in (found if is_several else (found,)))
    names = [one.name for one in tools if isinstance(one, Tool)]
    for one in names:
        if names.count(one) > 1:
            raise DuologueError(f"--tools {name}: there are two tools {one!r}")
    return tools


def _tool(one: Any, name: str) -> Tool | McpToolServer:
    if isinstance(one, Tool | McpToolServer):
        return one
    if not callable(one):
        kind = type(one).__name__
        raise DuologueError(
            f"--tools {name}: {kind} is not a tool; give a function or a list of them"
        )
    try:
        return tool(one)
    except Exception as error:
        raise DuologueError(f"--tools {name}: {error}") from error
