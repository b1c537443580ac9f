"""What leaves the engine: events as frames, and jobs, in the order they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from duologue.core import encode
from duologue.core.events import (
    ConversationItemInputAudioTranscriptionDelta,
    Error,
    ErrorDetail,
    ResponseCreated,
    ResponseDone,
    ServerEvent,
)

from .effects import Job

__all__ = ["NewId", "Outbox", "Refusal", "frame_of", "told"]

#: Makes an id from its prefix: ``item`` gives ``item_…``.
NewId = Callable[[str], str]


_RESPONSE = {"response": dict.fromkeys(("status_details", "usage", "metadata"))}
#: What the service writes even where it has nothing to say, and the catalogue's
#: classes leave out as their default.
_ALWAYS: dict[type[ServerEvent], dict[str, Any]] = {
    Error: {"error": dict.fromkeys(("code", "param", "event_id"))},
    ResponseCreated: _RESPONSE,
    ResponseDone: _RESPONSE,
    ConversationItemInputAudioTranscriptionDelta: {"content_index": 0},
}


def frame_of(event: ServerEvent) -> str:
    """An event as JSON text, with all keys that the service writes in it."""
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


class Refusal(Exception):
    """A client asked for what cannot be done; becomes an ``error`` event.

    ``code`` and ``param`` are those of the service ("Error events" of the API).
    """

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def told(
    refusal: Refusal,
    event_id: str | None = None,
    kind: str = "invalid_request_error",
) -> ErrorDetail:
    """A refusal as the inside of an ``error`` event; ``event_id`` is the client's."""
    return ErrorDetail(
        type=kind,
        code=refusal.code,
        message=refusal.message,
        param=refusal.param,
        event_id=event_id,
    )


class Outbox:
    """Collects what the parts of the engine say until the driver takes it."""

    def __init__(self, new_id: NewId) -> None:
        self.new_id = new_id
        self._frames: list[str] = []
        self._jobs: list[Job] = []

    def emit(self, kind: type[ServerEvent], **fields: object) -> None:
        """Send an event of this kind under a new event id."""
        event = kind(event_id=self.new_id("event"), **fields)
        self._frames.append(frame_of(event))

    def refuse(
        self,
        refusal: Refusal,
        event_id: str | None,
        kind: str = "invalid_request_error",
    ) -> None:
        """Send the error for a client's event."""
        self.emit(Error, error=told(refusal, event_id, kind))

    def ask(self, job: Job) -> None:
        """Have the driver do something."""
        self._jobs.append(job)

    def take_frames(self) -> list[str]:
        """The events since the last call, as JSON text."""
        frames, self._frames = self._frames, []
        return frames

    def take_jobs(self) -> list[Job]:
        """The jobs since the last call."""
        jobs, self._jobs = self._jobs, []
        return jobs
