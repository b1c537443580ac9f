"""Client events: a table with one handler for each type.

A handler that raises `Refusal` has changed nothing.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from duologue.core.events import (
    AnyItem,
    ClientEvent,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemDeleted,
    ConversationItemRetrieve,
    ConversationItemRetrieved,
    ConversationItemTruncate,
    ConversationItemTruncated,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudioBufferClear,
    InputAudioBufferCleared,
    InputAudioPart,
    ItemReference,
    McpApprovalRequestItem,
    McpCallItem,
    MessageItem,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdated,
)

from ..schema.checks import one_of, record
from ..schema.client_events import EVENT_ID, EVENTS, TRANSLATION_EVENTS
from ..schema.refusal import Refusal
from .audio_buffers import MOST_FRAME, decoded
from .conversation import words_of
from .turn_taking import TurnTaking

__all__ = ["handle"]

_log = logging.getLogger(__name__)

#: Size in bytes above which parsing an event takes milliseconds.
_LARGE = 1024 * 1024
#: Bytes of audio that one step processes: 100 ms of PCM.
_BYTES_PER_STEP = 4_800


def handle(engine: TurnTaking, frame: str | bytes, at: float) -> Iterator[None]:
    """Handle a client event or emit an ``error`` event; yield during long work."""
    event_id = None
    try:
        fields = _object(frame)
        if len(frame) > _LARGE:
            yield
        event_id = _event_id(fields)
        yield from _dispatch(engine, _checked(engine, fields), at)
    except Refusal as refusal:
        engine.outbox.refuse(refusal, event_id)
    except Exception:
        _fail(engine, event_id)
    try:
        engine.tick(at)
    except Exception:
        _fail(engine, event_id)


def _dispatch(engine: TurnTaking, fields: dict[str, Any], at: float) -> Iterator[None]:
    kind = fields["type"]
    if kind == "input_audio_buffer.append":
        yield from _append(engine, fields, at)
    elif kind == "input_audio_buffer.commit":
        yield from engine.commit()
    elif kind == "session.update":
        _session_update(engine, fields)
    else:
        yield from _handle(engine, fields, at)


def _fail(engine: TurnTaking, event_id: str | None) -> None:
    """Report a bug of the engine: the event is lost, the session continues."""
    _log.exception("the engine failed on a client event")
    fault = Refusal(
        "server_error", "The server had an error while processing your request."
    )
    engine.outbox.refuse(fault, event_id, kind="server_error")


def _checked(engine: TurnTaking, fields: dict[str, Any]) -> dict[str, Any]:
    """The event without the nulls that mean "not given". Raises `Refusal`."""
    kind = fields.get("type")
    if kind is None:
        record({}, required=("type",))({}, "")
    _TYPES[engine.options.media](kind, "type")
    if kind in TRANSLATION_EVENTS:
        raise Refusal(
            "invalid_event",
            f"'{kind}' is an event of translation sessions.",
            param="type",
        )
    checked: dict[str, Any] = EVENTS[str(kind)](fields, "")
    return checked


def _object(frame: str | bytes) -> dict[str, Any]:
    if len(frame) > MOST_FRAME:
        raise Refusal("invalid_event", f"An event has up to {MOST_FRAME} bytes.")
    try:
        fields = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        message = "Invalid event: it could not be read as JSON."
        raise Refusal("invalid_json", message) from error
    if not isinstance(fields, dict):
        raise Refusal("invalid_event", "An event is a JSON object.")
    return fields


def _event_id(fields: dict[str, Any]) -> str | None:
    """The client's id of an event, if any. Raises `Refusal` if it is invalid."""
    given = fields.get("event_id")
    if given is None:
        return None
    EVENT_ID(given, "event_id")
    return str(given)


def _handle(engine: TurnTaking, fields: dict[str, Any], at: float) -> Iterator[None]:
    event_class, handler = _TABLE[fields["type"]]
    data = msgspec.json.encode(fields)
    if len(data) > _LARGE:
        yield
    yield from handler(engine, msgspec.json.decode(data, type=event_class), at) or ()


def _session_update(engine: TurnTaking, fields: dict[str, Any]) -> None:
    # Use the JSON, not a decoded event: a setting whose key is absent must not change.
    changes = fields["session"]
    detected_turns = engine.settings.turn_rule is not None
    changed = copy.copy(engine.settings)
    changed.update(changes)
    engine.reserve(changed)
    engine.settings = changed
    if detected_turns is not (engine.settings.turn_rule is not None):
        engine.clear_input()
    engine.outbox.emit(SessionUpdated, session=engine.settings.shown())


def _append(engine: TurnTaking, fields: dict[str, Any], at: float) -> Iterator[None]:
    # Decode everything first: an event is accepted or refused as a whole.
    pieces = []
    for piece in decoded(fields["audio"]):
        pieces.append(piece)
        if len(pieces) > 1:
            yield
    for piece in pieces:
        for start in range(0, len(piece), _BYTES_PER_STEP):
            if start or piece is not pieces[0]:
                yield
            engine.append(piece[start : start + _BYTES_PER_STEP], at)


def _clear(engine: TurnTaking, _: InputAudioBufferClear, _at: float) -> None:
    engine.clear_input()
    engine.outbox.emit(InputAudioBufferCleared)


def _clear_output(engine: TurnTaking, _: OutputAudioBufferClear, _at: float) -> None:
    engine.clear_output()


def _item_create(
    engine: TurnTaking, event: ConversationItemCreate, _: float
) -> Iterator[None]:
    item = event.item
    if isinstance(item, FunctionCallOutputItem):
        engine.conversation.check_call(item.call_id)
    item_id = item.id or engine.outbox.new_id("item")
    item = msgspec.structs.replace(item, id=item_id, status="completed")
    audio = []
    for piece in _audio_in(item):
        audio.append(piece)
        yield
    item = _without_audio(item)
    previous = event.previous_item_id
    engine.conversation.add(item, previous if isinstance(previous, str) else None)
    engine.conversation.done(item)
    engine.tokens.add_text(_text_of(item))
    if audio:
        yield from engine.hear_item(item_id, audio)


def _audio_in(item: AnyItem) -> Iterator[bytes]:
    """The user's audio in an item without a transcript, piece by piece."""
    if isinstance(item, MessageItem) and item.role == "user":
        for part in item.content:
            if isinstance(part, InputAudioPart) and part.audio and not part.transcript:
                yield from decoded(part.audio)


def _without_audio(item: AnyItem) -> AnyItem:
    """The item as the conversation stores it, without audio."""
    if not isinstance(item, MessageItem) or item.role != "user":
        return item
    parts = tuple(
        InputAudioPart(transcript=part.transcript or None)
        if isinstance(part, InputAudioPart)
        else part
        for part in item.content
    )
    return msgspec.structs.replace(item, content=parts)


def _text_of(item: AnyItem) -> str:
    """The text of an item, for the token count."""
    match item:
        case MessageItem():
            return words_of(item)
        case FunctionCallItem() | McpApprovalRequestItem():
            return item.arguments
        case FunctionCallOutputItem():
            return item.output
        case McpCallItem():
            return item.arguments or item.output or ""
        case _:
            return ""


def _item_delete(engine: TurnTaking, event: ConversationItemDelete, _: float) -> None:
    engine.conversation.find(event.item_id, "delete")
    engine.conversation.remove(event.item_id)
    engine.outbox.emit(ConversationItemDeleted, item_id=event.item_id)


def _item_retrieve(
    engine: TurnTaking, event: ConversationItemRetrieve, _: float
) -> None:
    item = engine.conversation.find(event.item_id, "retrieve")
    engine.outbox.emit(ConversationItemRetrieved, item=item)


def _item_truncate(
    engine: TurnTaking, event: ConversationItemTruncate, _: float
) -> None:
    engine.conversation.find(event.item_id, "truncate")
    made = engine.responses.audio_of(event.item_id)
    if made is None:
        raise Refusal(
            "unsupported_content_type",
            "Only model output audio messages can be truncated",
        )
    if event.content_index != 0:
        raise Refusal(
            "invalid_value",
            f"Item '{event.item_id}' has no content at {event.content_index}.",
            param="content_index",
        )
    if not 0 <= event.audio_end_ms <= made:
        raise Refusal(
            "invalid_value",
            f"Audio content of {made}ms is already shorter than {event.audio_end_ms}ms",
            param="audio_end_ms",
        )
    engine.responses.truncate(event.item_id, event.audio_end_ms)
    engine.outbox.emit(
        ConversationItemTruncated,
        item_id=event.item_id,
        content_index=event.content_index,
        audio_end_ms=event.audio_end_ms,
    )


def _response_create(engine: TurnTaking, event: ResponseCreate, _: float) -> None:
    params = event.response
    if isinstance(params, msgspec.UnsetType):
        engine.respond({})
        return
    changes: dict[str, Any] = {
        name: value
        for name, value in msgspec.structs.asdict(params).items()
        if value is not msgspec.UNSET
    }
    given = changes.pop("input", None)
    source = None if given is None else _resolved(engine, given)
    engine.respond(msgspec.json.decode(msgspec.json.encode(changes)), source)


def _resolved(engine: TurnTaking, items: tuple[AnyItem, ...]) -> tuple[AnyItem, ...]:
    """The items, with each reference replaced by its item."""
    return tuple(
        engine.conversation.get(item.id or "")
        if isinstance(item, ItemReference)
        else item
        for item in items
    )


def _response_cancel(engine: TurnTaking, event: ResponseCancel, _: float) -> None:
    named = event.response_id
    responses = engine.responses
    reply = responses.active if named is None else responses.get(named)
    if reply is None:
        raise Refusal(
            "response_cancel_not_active",
            "Cancellation failed: no active response found",
        )
    responses.cancel(reply, "client_cancelled")


#: The types that a client may send, without and with a media connection. The real
#: service lists those of translation sessions too, and does not list
#: ``output_audio_buffer.clear`` on a WebSocket.
_TYPES = {
    False: one_of(
        *sorted({*EVENTS, *TRANSLATION_EVENTS} - {"output_audio_buffer.clear"})
    ),
    True: one_of(*sorted({*EVENTS, *TRANSLATION_EVENTS})),
}

_Handler = Callable[[TurnTaking, Any, float], Iterator[None] | None]

_TABLE: dict[str, tuple[type[ClientEvent], _Handler]] = {
    str(event.__struct_config__.tag): (event, handler)
    for event, handler in (
        (ConversationItemCreate, _item_create),
        (ConversationItemDelete, _item_delete),
        (ConversationItemRetrieve, _item_retrieve),
        (ConversationItemTruncate, _item_truncate),
        (InputAudioBufferClear, _clear),
        (OutputAudioBufferClear, _clear_output),
        (ResponseCancel, _response_cancel),
        (ResponseCreate, _response_create),
    )
}
