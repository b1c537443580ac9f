"""The error event."""

from __future__ import annotations

from .base import ServerEvent
from .objects import ErrorDetail
from .types import RealtimeEventType

__all__ = [
    "Error",
]


class Error(ServerEvent, frozen=True, tag=RealtimeEventType.ERROR.value):
    """The service reports an error; most errors do not end the session."""

    error: ErrorDetail
