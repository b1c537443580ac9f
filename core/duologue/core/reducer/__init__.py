"""The reducer: ``reduce(state, record) -> state``, total and pure."""

from __future__ import annotations

from .dispatch import HANDLERS, fold, reduce

__all__ = ["HANDLERS", "fold", "reduce"]
