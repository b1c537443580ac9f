"""The client, its live sessions, and their connections."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import DEFAULT_BASE_URL, Client
    from .live_session import LiveSession
    from .tools import Tool, tool

__all__ = ["DEFAULT_BASE_URL", "Client", "LiveSession", "Tool", "tool"]

_HOMES = {
    "Client": "client",
    "DEFAULT_BASE_URL": "client",
    "LiveSession": "live_session",
    "Tool": "tools",
    "tool": "tools",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
