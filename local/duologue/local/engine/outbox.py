"""The engine's output: events for the client and effects for the driver, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from duologue.core import encode
from duologue.core.events import (
    ConversationItemInputAudioTranscriptionDelta,
    Error,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
    ServerEvent,
)

from ..schema.refusal import Refusal
from .effects import Effect

__all__ = ["NewId", "Outbox", "frame_of"]

#: Makes an id from its prefix: ``item`` gives ``item_…``.
NewId = Callable[[str], str]

_RESPONSE = {"response": dict.fromkeys(("status_details", "usage", "metadata"))}
#: Keys that the service always writes, but that the event classes leave out when the
#: value is the default.
_ALWAYS: dict[type[ServerEvent], dict[str, Any]] = {
    Error: {"error": dict.fromkeys(("code", "param", "event_id"))},
    ResponseCreated: _RESPONSE,
    ResponseDone: _RESPONSE,
    ConversationItemInputAudioTranscriptionDelta: {"content_index": 0},
}


#: Deltas that the service pads to a multiple of `_BLOCK` characters, so that the size
#: of an encrypted packet does not reveal the text (seen in recorded traffic).
_PADDED = (
    ConversationItemInputAudioTranscriptionDelta,
    ResponseFunctionCallArgumentsDelta,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputTextDelta,
)
_BLOCK = 16


def frame_of(event: ServerEvent) -> str:
    """An event as JSON text, with every key that the service writes."""
    data = encode(event)
    always = _ALWAYS.get(type(event))
    if always is None:
        return data.decode()
    fields = msgspec.json.decode(data)
    for key, value in always.items():
        if isinstance(value, dict):
            fields[key] = value | fields[key]
        else:
            fields.setdefault(key, value)
    return msgspec.json.encode(fields).decode()


class Outbox:
    """Queues the engine's events and effects until the driver takes them."""

    def __init__(self, new_id: NewId) -> None:
        self.new_id = new_id
        self._frames: list[str] = []
        self._effects: list[Effect] = []

    def emit(self, kind: type[ServerEvent], **fields: object) -> None:
        """Queue an event of this kind with a new event id."""
        event_id = self.new_id("event")
        frame = frame_of(kind(event_id=event_id, **fields))
        if kind in _PADDED:
            padding = event_id.rpartition("_")[2] * _BLOCK
            padding = padding[: _BLOCK - len(str(fields["delta"])) % _BLOCK]
            frame = f'{frame[:-1]},"obfuscation":"{padding}"}}'
        self._frames.append(frame)

    def refuse(
        self,
        refusal: Refusal,
        event_id: str | None,
        kind: str = "invalid_request_error",
    ) -> None:
        """Queue the ``error`` event for a client's event."""
        self.emit(Error, error=refusal.detail(event_id, kind))

    def request(self, effect: Effect) -> None:
        """Queue an effect for the driver."""
        self._effects.append(effect)

    def take_frames(self) -> list[str]:
        """The events since the last call, as JSON text."""
        frames, self._frames = self._frames, []
        return frames

    def take_effects(self) -> list[Effect]:
        """The effects since the last call."""
        effects, self._effects = self._effects, []
        return effects
