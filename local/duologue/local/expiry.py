"""The end of a session by its age: an error, then the connection is closed."""

from __future__ import annotations

from .jobs import Close
from .outbox import Outbox, Refusal

__all__ = ["Expiry"]

#: The close code of a WebSocket whose session has expired.
_GOING_AWAY = 1001


class Expiry:
    """When a session ends: ``life`` seconds after its start."""

    def __init__(self, outbox: Outbox, life: float) -> None:
        self.at: float | None = None
        self.over = False
        self._outbox = outbox
        self._life = life

    def start(self, at: float) -> float:
        """The session begins; gives its end."""
        self.at = at + self._life
        return self.at

    def check(self, at: float) -> bool:
        """Whether the session is over; says so when it ends."""
        if not self.over and self.at is not None and self.at <= at:
            self.over = True
            minutes = self._life / 60
            message = f"Your session hit the maximum duration of {minutes:g} minutes."
            self._outbox.refuse(Refusal("session_expired", message), None)
            self._outbox.ask(Close(_GOING_AWAY, message))
        return self.over
