"""The session: its creation, its configuration and its rate limits.

API page "Realtime", sections "Client events" and "Server events".
"""

from __future__ import annotations

from .base import ClientEvent, ServerEvent
from .config import AnySessionConfig
from .objects import RateLimit
from .types import RealtimeEventType

__all__ = [
    "RateLimitsUpdated",
    "SessionCreated",
    "SessionUpdate",
    "SessionUpdated",
]


class SessionUpdate(
    ClientEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATE.value
):
    """Change the configuration; only the keys that are present change."""

    session: AnySessionConfig


class RateLimitsUpdated(
    ServerEvent, frozen=True, tag=RealtimeEventType.RATE_LIMITS_UPDATED.value
):
    """The remaining rate limits."""

    rate_limits: tuple[RateLimit, ...]


class SessionCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_CREATED.value
):
    """The service has created the session; carries its id, expiry and configuration."""

    session: AnySessionConfig


class SessionUpdated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATED.value
):
    """The configuration that is now in force."""

    session: AnySessionConfig
