"""The service's half of one session, without I/O."""

from __future__ import annotations

from .engine import Engine, Options

__all__ = ["Engine", "Options"]
