"""How many sessions are listened to at once: finding speech is what costs."""

from __future__ import annotations

import os

__all__ = ["Listeners", "Seat", "default_limit"]

#: Sessions for each core. Finding speech takes 3 % of one, reading it ten times that
#: while somebody speaks.
_PER_CORE = 10


def default_limit() -> int:
    """How many this machine can listen to without a stutter."""
    return _PER_CORE * (os.cpu_count() or 1)


class Listeners:
    """Counts the sessions whose audio is listened to, up to ``limit``."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = default_limit() if limit is None else limit
        self.taken = 0

    def seat(self) -> Seat:
        """A session's claim; nothing is taken yet."""
        return Seat(self)


class Seat:
    """Whether one session is among those that are listened to."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._held = False

    def listen(self, wanted: bool) -> bool:
        """Take a place, or give it back. False where all are taken. Idempotent."""
        if wanted and not self._held:
            if self._listeners.taken >= self._listeners.limit:
                return False
            self._listeners.taken += 1
        elif self._held and not wanted:
            self._listeners.taken -= 1
        self._held = wanted
        return True
