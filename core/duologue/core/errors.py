"""The errors of the core: misuse, and unreadable files. No event raises one."""

from __future__ import annotations

__all__ = ["DuologueError", "LogError", "SnapshotError"]


class DuologueError(Exception):
    """The base of all errors that duologue raises on purpose."""


class LogError(DuologueError, ValueError):
    """A log cannot be read from line number ``line`` on (1-based)."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class SnapshotError(DuologueError, ValueError):
    """The bytes are not a snapshot, or its version is not supported."""
