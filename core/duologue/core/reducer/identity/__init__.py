"""The items and the responses that the ids in an event stand for.

An id of the service is an id in the state too, with these exceptions:

* The service uses the id again, for another item or response: on a later connection, in
  another response, for a message and a call, or for two calls. Each further use gets an
  id of its own in the state (``item_1~2``).
* The service gives a created item another id than this client did, or lists an item
  under two ids. The state has one item.
* The service gives no id.

`identify` gives an event the ids in the state, and the handlers see no others.
`to_wire` gives a sent event the ids of the service.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.base import Event
from duologue.core.log.epochs import epoch_of
from duologue.core.log.record import Record
from duologue.core.state.model import Session

from ..handler import Handler
from ..overlap import is_apart, session_apart
from .conversation_ids import on_copy, on_mcp, on_reference, on_sent_item, on_spoken
from .names import state_ids_of, to_wire
from .output_ids import (
    Resolver,
    is_anonymous,
    on_buffer,
    on_created,
    on_done,
    on_final_text,
    on_output,
    on_output_item,
)

__all__ = [
    "SELF_IDENTIFIED",
    "identified",
    "identify",
    "is_anonymous",
    "state_ids_of",
    "to_wire",
    "with_state_ids",
]


def identify(session: Session, event: Any, record: Record) -> tuple[Session, Any]:
    """The event with the ids in the state, and the session that knows new ids."""
    resolver = _RESOLVERS.get(event.__class__)
    return (session, event) if resolver is None else resolver(session, event, record)


def identified(event: type[Event], handler: Handler) -> Handler:
    """The handler of an event class, for events with the ids of the service."""
    resolver = _RESOLVERS.get(event)
    if resolver is None or event in SELF_IDENTIFIED:
        return handler
    resolve = resolver

    def handle(session: Session, event: Any, record: Record) -> Session | None:
        session, event = resolve(session, event, record)
        return handler(session, event, record)

    return handle


def with_state_ids(before: Session, record: Record, after: Session) -> Record:
    """The record with the ids in the state that its event has for the handlers."""
    if after.conversation.identity is None:
        return record
    seen = replace(record, epoch=epoch_of(before.connection, record))
    if is_apart(before, seen):
        before = session_apart(before, seen)
    _, event = identify(before, record.event, seen)
    return record if event is record.event else replace(record, event=event)


_on_text, _on_any = on_output("message", "assistant"), on_reference()
_on_arguments, _on_reply = on_output("function_call"), on_reference("assistant")

_RESOLVERS: dict[type, Resolver] = {
    events.ConversationItemAdded: on_copy,
    events.ConversationItemCreated: on_copy,
    events.ConversationItemDone: on_copy,
    events.ConversationItemRetrieved: on_copy,
    events.ConversationItemDeleted: _on_any,
    events.ConversationItemTruncated: _on_reply,
    events.ConversationItemInputAudioTranscriptionDelta: on_spoken,
    events.ConversationItemInputAudioTranscriptionCompleted: on_spoken,
    events.ConversationItemInputAudioTranscriptionFailed: on_spoken,
    events.ConversationItemInputAudioTranscriptionSegment: on_spoken,
    events.InputAudioBufferSpeechStarted: on_spoken,
    events.InputAudioBufferSpeechStopped: on_spoken,
    events.InputAudioBufferCommitted: on_spoken,
    events.InputAudioBufferTimeoutTriggered: on_spoken,
    events.ResponseCreated: on_created,
    events.ResponseDone: on_done,
    events.ResponseOutputItemAdded: on_output_item,
    events.ResponseOutputItemDone: on_output_item,
    events.ResponseContentPartAdded: _on_text,
    events.ResponseContentPartDone: _on_text,
    events.ResponseOutputTextDelta: _on_text,
    events.ResponseOutputTextDone: on_final_text,
    events.ResponseOutputAudioTranscriptDelta: _on_text,
    events.ResponseOutputAudioTranscriptDone: on_final_text,
    events.ResponseOutputAudioDelta: _on_text,
    events.ResponseOutputAudioDone: _on_text,
    events.ResponseFunctionCallArgumentsDelta: _on_arguments,
    events.ResponseFunctionCallArgumentsDone: _on_arguments,
    events.ResponseMcpCallArgumentsDelta: on_output("mcp_call"),
    events.ResponseMcpCallArgumentsDone: on_output("mcp_call"),
    events.ResponseMcpCallInProgress: on_mcp,
    events.ResponseMcpCallCompleted: on_mcp,
    events.ResponseMcpCallFailed: on_mcp,
    events.McpListToolsInProgress: on_mcp,
    events.McpListToolsCompleted: on_mcp,
    events.McpListToolsFailed: on_mcp,
    events.OutputAudioBufferStarted: on_buffer,
    events.OutputAudioBufferStopped: on_buffer,
    events.OutputAudioBufferCleared: on_buffer,
    events.ConversationItemCreate: on_sent_item,
    events.ConversationItemDelete: _on_any,
    events.ConversationItemTruncate: _on_reply,
    events.Played: _on_reply,
}

#: The most frequent events: their handlers call `identify` only if they must.
SELF_IDENTIFIED = frozenset(
    {
        events.ResponseOutputTextDelta,
        events.ResponseOutputAudioTranscriptDelta,
    }
)
