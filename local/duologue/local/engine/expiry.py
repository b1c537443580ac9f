"""The end of a session by its age: an error, then the connection is closed."""

from __future__ import annotations

from .effects import Close
from .outbox import Outbox, Refusal

__all__ = ["GOING_AWAY", "Expiry", "last_words"]

#: The close code of a WebSocket whose session has expired.
GOING_AWAY = 1001


def last_words(life: float) -> str:
    """What a session says that ends after ``life`` seconds."""
    return f"Your session hit the maximum duration of {life / 60:g} minutes."


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
            message = last_words(self._life)
            self._outbox.refuse(Refusal("session_expired", message), None)
            self._outbox.ask(Close(GOING_AWAY, message))
        return self.over
