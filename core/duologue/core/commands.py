"""What to send: client events with ids that anyone can work out again."""

from __future__ import annotations

from typing import TypeVar

import attrs
import msgspec

from . import events
from .events.base import ClientEvent, Event, Unknown
from .state import Session

__all__ = [
    "Command",
    "command_id",
    "create_response",
    "identified",
    "interrupt",
    "is_client_event",
    "send_text",
    "truncate",
]

_E = TypeVar("_E", bound=ClientEvent)


@attrs.frozen
class Command:
    """A client event that is to be sent on a session."""

    session: str
    event: ClientEvent


def command_id(session: str, seq: int, n: int) -> str:
    """The ``event_id`` of the n-th command because of record ``seq``.

    At most 512 characters, the service's limit.
    """
    return f"{session[:400]}.{seq}.{n}"


def identified(event: _E, event_id: str) -> _E:
    """The event with this id, unless it has one."""
    if event.event_id is not None:
        return event
    return msgspec.structs.replace(event, event_id=event_id)


def send_text(
    text: str, *, item_id: str | None = None
) -> events.ConversationItemCreate:
    """A message that the user typed."""
    return events.ConversationItemCreate(
        item=events.MessageItem(
            id=item_id, role="user", content=(events.InputTextPart(text=text),)
        )
    )


def create_response() -> events.ResponseCreate:
    """Ask the model to respond to what is there."""
    return events.ResponseCreate()


def truncate(item_id: str, audio_end_ms: int) -> events.ConversationItemTruncate:
    """Tell the service how much of an item was heard."""
    return events.ConversationItemTruncate(
        item_id=item_id, content_index=0, audio_end_ms=audio_end_ms
    )


def interrupt(session: Session) -> tuple[ClientEvent, ...]:
    """What stops the assistant now: its response if one is in work, then its audio.

    In this order, because clearing the audio truncates the item (API page,
    ``output_audio_buffer.clear``). Nothing if it is silent.
    """
    stop: list[ClientEvent] = []
    if session.responses.active is not None:
        stop.append(events.ResponseCancel())
    if session.activity.playing is not None:
        stop.append(events.OutputAudioBufferClear())
    return tuple(stop)


def is_client_event(event: Event) -> bool:
    """Whether a client may send this."""
    return isinstance(event, ClientEvent | Unknown)
