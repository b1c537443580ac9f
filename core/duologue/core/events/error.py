"""The one event that says what went wrong."""

from __future__ import annotations

from duologue.core.events.types import RealtimeEventType

from .base import ServerEvent
from .objects import ErrorDetail

__all__ = [
    "Error",
]


class Error(ServerEvent, frozen=True, tag=RealtimeEventType.ERROR.value):
    """Something went wrong; the session mostly lives on."""

    error: ErrorDetail
