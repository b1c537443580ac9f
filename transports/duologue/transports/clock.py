"""Time and ids for live sessions; both can be handed in."""

from __future__ import annotations

import secrets
import string
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock", "new_id"]

_ALPHABET = string.ascii_lowercase + string.digits


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> float:
        """Seconds since the Unix epoch, never less than before."""


class SystemClock:
    """One reading of the wall clock, and the monotonic clock from there on.

    So a wall clock that is set while a session runs changes neither order nor
    durations.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the Unix epoch, to the µs."""
        return round(self._offset + time.monotonic(), 6)


def new_id() -> str:
    """A new session id: 26 characters of a-z and 0-9."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(26))
