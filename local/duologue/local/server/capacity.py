"""Limits the number of sessions that a service listens to, to avoid delays."""

from __future__ import annotations

import os

__all__ = ["Capacity", "CapacityClaim", "default_limit"]

#: Sessions per core. Speech detection takes 3 % of a core, recognition ten times that
#: during speech.
_PER_CORE = 10


def default_limit() -> int:
    """The number of sessions that this machine can listen to without delays."""
    return _PER_CORE * (os.cpu_count() or 1)


class Capacity:
    """Counts the sessions that the service listens to, up to ``limit``."""

    def __init__(self, limit: int | None = None) -> None:
        self.limit = default_limit() if limit is None else limit
        self.taken = 0

    def claim(self) -> CapacityClaim:
        """Return a session's claim; it takes no capacity yet."""
        return CapacityClaim(self)


class CapacityClaim:
    """The capacity that one session takes: one or none."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._held = False

    def listen(self, wanted: bool) -> bool:
        """Take or release capacity; False if there is none. Idempotent."""
        if wanted and not self._held:
            if self._capacity.taken >= self._capacity.limit:
                return False
            self._capacity.taken += 1
        elif self._held and not wanted:
            self._capacity.taken -= 1
        self._held = wanted
        return True
