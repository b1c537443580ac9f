"""The idle timeout: a user who stays silent after a reply is spoken to again.

It runs from the end of a reply, playback included, and stops when the user speaks or
a new response begins (``idle_timeout_ms`` of server VAD).
"""

from __future__ import annotations

from duologue.core.events import InputAudioBufferTimeoutTriggered

from .outbox import Outbox
from .output_buffer import Playout
from .responses import Responses
from .settings import TurnRule

__all__ = ["Idle"]


class Idle:
    """When a session's silence becomes a turn. Times in seconds."""

    def __init__(
        self, outbox: Outbox, responses: Responses, playout: Playout | None
    ) -> None:
        self._outbox = outbox
        self._responses = responses
        self._playout = playout
        self._since: float | None = None
        self._start_ms = 0

    def stop(self) -> None:
        """Something else happens."""
        self._since = None

    def due(self, rule: TurnRule | None) -> float | None:
        """When the silence has lasted too long; None while nobody waits."""
        if self._since is None or rule is None or rule.idle_ms is None:
            return None
        return self._since + rule.idle_ms / 1000

    def watch(
        self, at: float, rule: TurnRule | None, heard_ms: int, *, speaking: bool
    ) -> str | None:
        """Say that the timeout has passed; gives the id of the silence's item."""
        ended_at = self._responses.take_ended_at()
        if self._playout is not None and not self._playout.empty:
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
