"""The session's two timeouts: its maximum duration, and the user's silence."""

from __future__ import annotations

from duologue.core.events import InputAudioBufferTimeoutTriggered

from ..schema.refusal import Refusal
from .audio_buffers import OutputBuffer
from .effects import CloseConnection
from .outbox import Outbox
from .responses import Responses
from .turn_detection import TurnRule

__all__ = ["GOING_AWAY", "Expiry", "IdleTimeout", "expiry_message"]

#: The close code of a WebSocket whose session has expired.
GOING_AWAY = 1001


def expiry_message(life: float) -> str:
    """The error message of a session that expires after ``life`` seconds."""
    return f"Your session hit the maximum duration of {life / 60:g} minutes."


class Expiry:
    """Ends a session ``life`` seconds after its start."""

    def __init__(self, outbox: Outbox, life: float) -> None:
        self.at: float | None = None
        self.over = False
        self._outbox = outbox
        self._life = life

    def start(self, at: float) -> float:
        """Start the timeout; return the time of expiry."""
        self.at = at + self._life
        return self.at

    def check(self, at: float) -> bool:
        """Whether the session has expired; emit the error when it does."""
        if not self.over and self.at is not None and self.at <= at:
            self.over = True
            message = expiry_message(self._life)
            self._outbox.refuse(Refusal("session_expired", message), None)
            self._outbox.request(CloseConnection(GOING_AWAY, message))
        return self.over


class IdleTimeout:
    """The idle timeout (``idle_timeout_ms`` of server VAD). Times in seconds.

    It runs from the end of a response, playback included, until the user speaks or a
    new response begins. When it expires, the silence becomes a turn of the user.
    """

    def __init__(
        self, outbox: Outbox, responses: Responses, output: OutputBuffer | None
    ) -> None:
        self._outbox = outbox
        self._responses = responses
        self._output = output
        self._since: float | None = None
        self._start_ms = 0

    def stop(self) -> None:
        """Cancel the timeout."""
        self._since = None

    def due(self, rule: TurnRule | None) -> float | None:
        """When the timeout expires; None if it is not running."""
        if self._since is None or rule is None or rule.idle_ms is None:
            return None
        return self._since + rule.idle_ms / 1000

    def advance(
        self, at: float, rule: TurnRule | None, heard_ms: int, *, speaking: bool
    ) -> str | None:
        """Start or expire the timeout; return the silence's item id if it expires."""
        ended_at = self._responses.take_ended_at()
        if self._output is not None and not self._output.empty:
            ended_at = at if ended_at or self._since else None
        if ended_at is not None and not speaking:
            self._since, self._start_ms = ended_at, heard_ms
        due = self.due(rule)
        if due is None or due > at or self._responses.active is not None:
            return None
        self.stop()
        item_id = self._outbox.new_id("item")
        self._outbox.emit(
            InputAudioBufferTimeoutTriggered,
            audio_start_ms=self._start_ms,
            audio_end_ms=max(heard_ms, self._start_ms),
            item_id=item_id,
        )
        return item_id
