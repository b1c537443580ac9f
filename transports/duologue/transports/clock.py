"""Clocks and ids for live sessions."""

from __future__ import annotations

import secrets
import string
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock", "new_id"]

_ALPHABET = string.ascii_lowercase + string.digits


class Clock(Protocol):
    """The clock that gives records their times."""

    def now(self) -> float:
        """Seconds since the Unix epoch, never decreasing."""


class SystemClock:
    """One reading of the wall clock, then the monotonic clock.

    A change of the wall clock during a session affects neither order nor durations.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the Unix epoch, in steps of 1 µs."""
        return round(self._offset + time.monotonic(), 6)


def new_id() -> str:
    """A new session id: 26 characters of a-z and 0-9."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(26))
