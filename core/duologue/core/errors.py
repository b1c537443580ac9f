"""Errors of our own misuse and of files; nothing that a service sends raises one."""

from __future__ import annotations

__all__ = ["DuologueError", "LogError", "SnapshotError"]


class DuologueError(Exception):
    """Base of every error that duologue raises on purpose."""


class LogError(DuologueError, ValueError):
    """A recorded log ends its readable part at ``line`` (1-based)."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class SnapshotError(DuologueError, ValueError):
    """Bytes that are not a snapshot of a version that we read."""
