"""How much one user, and one address, may have: sessions, starts and minutes.

The only module that knows the library ``limits``. It counts in this process.
"""

from __future__ import annotations

import attrs
from limits import RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ..pages.refusals import Refused

__all__ = ["Limits", "Meter"]


@attrs.frozen(kw_only=True)
class Limits:
    """What one user may have; an address may have ``per_address`` times as much.

    ``sessions`` at once, imported logs among them; ``starts`` of sessions in a minute;
    ``minutes`` of calls in 24 hours; ``call_minutes`` the longest call; ``feeds`` at
    once. ``records`` and ``bytes`` of its log are kept of each session, until it had no
    call and nobody watched it for ``idle_minutes``.
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


class Meter:
    """Counts what users and addresses have."""

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

    def check_sessions(self, has: tuple[int, int], more: int) -> None:
        """Whether there may be so many more sessions beside those of the user and of
        the address. Raises `Refused`.
        """
        most = self._limits.sessions
        allowed = most, most * self._limits.per_address
        for count, limit in zip(has, allowed, strict=True):
            if count + more > limit:
                said = f"there are {count} sessions already; remove one"
                raise Refused(429, "too_many_sessions", said)

    def start(self, user: str, address: str, number: int = 1) -> None:
        """Count the start of so many sessions. Raises `Refused`."""
        for item, key in zip(self._starts, _keys(user, address), strict=True):
            if not self._windows.hit(item, "starts", *key, cost=number):
                said = "too many sessions were made in the last minute; wait a little"
                raise Refused(429, "too_many_starts", said)

    def check_minutes(self, user: str, address: str) -> None:
        """Whether a call may begin. Raises `Refused`."""
        for item, key in zip(self._minutes, _keys(user, address), strict=True):
            if not self._windows.test(item, "minutes", *key):
                said = "all minutes of this day are used up"
                raise Refused(429, "no_minutes_left", said)

    def take_minute(self, user: str, address: str) -> bool:
        """Count one more minute of a call; False where there is none left."""
        taken = [
            self._windows.hit(item, "minutes", *key)
            for item, key in zip(self._minutes, _keys(user, address), strict=True)
        ]
        return all(taken)


def _keys(user: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("user", user), ("address", address)
