"""The session itself: what it is, how it is configured, what is left of its limits.

API page "Realtime", sections "Client events" and "Server events".
"""

from __future__ import annotations

from duologue.core.events.types import RealtimeEventType

from .base import ClientEvent, ServerEvent
from .config import AnySessionConfig
from .objects import RateLimit

__all__ = [
    "RateLimitsUpdated",
    "SessionCreated",
    "SessionUpdate",
    "SessionUpdated",
]


class SessionUpdate(
    ClientEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATE.value
):
    """Ask for a change of the configuration; only the keys present change."""

    session: AnySessionConfig


class RateLimitsUpdated(
    ServerEvent, frozen=True, tag=RealtimeEventType.RATE_LIMITS_UPDATED.value
):
    """What is left of the rate limits."""

    rate_limits: tuple[RateLimit, ...]


class SessionCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_CREATED.value
):
    """The connection stands; names the session, its expiry and configuration."""

    session: AnySessionConfig


class SessionUpdated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATED.value
):
    """The configuration that is now in force."""

    session: AnySessionConfig
