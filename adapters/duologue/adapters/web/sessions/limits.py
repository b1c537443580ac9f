"""Limits on sessions, starts and minutes, for each user and each address.

The only module that imports the library ``limits``. It counts in memory, so for one
process only.
"""

from __future__ import annotations

import attrs
from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ..pages.refusals import Refused

__all__ = ["USED_UP", "Limits", "UsageLimiter"]

USED_UP = "all call minutes of the last 24 hours are used up"


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of one user. An IP address has ``per_address`` times these limits.

    ``sessions`` (imported logs included) and ``feeds`` (open pages) at the same time;
    ``starts`` of sessions a minute; ``minutes`` of calls in 24 hours; ``call_minutes``
    of one call. Each session keeps the last ``records`` and ``bytes`` of its log. It is
    removed after ``idle_minutes`` without a call and without a subscriber.
    """

    sessions: int = 16
    starts: int = 30
    minutes: int = 480
    call_minutes: int = 60
    feeds: int = 32
    per_address: int = 4
    idle_minutes: int = 60
    records: int = 20_000
    bytes: int = 16 << 20


class UsageLimiter:
    """Counts the usage of users and addresses, and refuses more than the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        times = limits.per_address
        self._starts = (
            RateLimitItemPerMinute(limits.starts),
            RateLimitItemPerMinute(limits.starts * times),
        )
        self._minutes = (
            RateLimitItemPerDay(limits.minutes),
            RateLimitItemPerDay(limits.minutes * times),
        )

    def check_sessions(self, counts: tuple[int, int], more: int) -> None:
        """Check that ``more`` further sessions are allowed. Raises `Refused`.

        ``counts`` are the present sessions of the user and of the address.
        """
        most = self._limits.sessions
        allowed = most, most * self._limits.per_address
        for count, limit in zip(counts, allowed, strict=True):
            if count + more > limit:
                message = f"there are already {count} sessions; remove one"
                raise Refused(429, "too_many_sessions", message)

    def count_starts(self, user: str, address: str, number: int = 1) -> None:
        """Count the start of ``number`` sessions. Raises `Refused`."""
        for item, key in zip(self._starts, _keys(user, address), strict=True):
            if not self._windows.hit(item, "starts", *key, cost=number):
                message = "too many sessions were created in the last minute"
                raise Refused(429, "too_many_starts", message)

    def check_minutes(self, user: str, address: str) -> None:
        """Check that a minute is left for a call. Raises `Refused`."""
        for item, key in zip(self._minutes, _keys(user, address), strict=True):
            if not self._windows.test(item, "minutes", *key):
                raise Refused(429, "no_minutes_left", USED_UP)

    def count_minute(self, user: str, address: str) -> bool:
        """Count one minute of a call. Returns False if no minute was left."""
        counted = [
            self._windows.hit(item, "minutes", *key)
            for item, key in zip(self._minutes, _keys(user, address), strict=True)
        ]
        return all(counted)


def _keys(user: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("user", user), ("address", address)
