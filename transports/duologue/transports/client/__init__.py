"""The client, its live sessions, and their connections."""

from __future__ import annotations

from .client import DEFAULT_BASE_URL, Client, LiveSession
from .tools import Tool, tool

__all__ = ["DEFAULT_BASE_URL", "Client", "LiveSession", "Tool", "tool"]
