"""What a client may ask for: one function for each client event, in a table.

A function gets the engine and the event; it raises `Refusal` where the event cannot
be done, and has then changed nothing.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

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
    InputAudioBufferClear,
    InputAudioBufferCleared,
    InputAudioPart,
    ItemReference,
    MessageItem,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdated,
)

from ..schema.checks import one_of, record
from ..schema.client_events import EVENT_ID, EVENTS
from .audio_buffers import MOST_FRAME, decoded
from .conversation import words_of
from .outbox import Refusal

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["handle"]

_log = logging.getLogger(__name__)

#: Bytes of an event that takes milliseconds to read.
_LARGE = 1024 * 1024
#: Bytes of audio that are listened to without a pause: 100 ms as PCM.
_HEARD_AT_ONCE = 4_800


def handle(engine: Engine, frame: str | bytes, at: float) -> Iterator[None]:
    """Do what a frame asks, or answer with an ``error`` event.

    Pauses where there is much to do.
    """
    event_id = None
    try:
        fields = _object(frame)
        if len(frame) > _LARGE:
            yield
        event_id = _event_id(fields)
        _check(fields)
        yield from _dispatch(engine, fields, at)
    except Refusal as refusal:
        engine.outbox.refuse(refusal, event_id)
    except Exception:
        _broke(engine, event_id)
    try:
        engine.tick(at)
    except Exception:
        _broke(engine, event_id)


def _dispatch(engine: Engine, fields: dict[str, Any], at: float) -> Iterator[None]:
    kind = fields["type"]
    if kind == "input_audio_buffer.append":
        yield from _append(engine, fields, at)
    elif kind == "input_audio_buffer.commit":
        yield from engine.commit()
    elif kind == "session.update":
        _session_update(engine, fields)
    else:
        yield from _do(engine, fields, at)


def _broke(engine: Engine, event_id: str | None) -> None:
    """A fault of ours: it costs the client this event, never the connection."""
    _log.exception("an event of the client broke the engine")
    fault = Refusal(
        "server_error", "The server had an error while processing your request."
    )
    engine.outbox.refuse(fault, event_id, kind="server_error")


def _check(fields: dict[str, Any]) -> None:
    """An event has a known type, and what belongs to it."""
    kind = fields.get("type")
    if kind is None:
        record({}, required=("type",))({}, "")
    one_of(*EVENTS)(kind if isinstance(kind, str) else repr(kind), "type")
    EVENTS[str(kind)](fields, "")


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
    """The client's id of an event. Raises `Refusal` where it is none."""
    given = fields.get("event_id")
    if given is None:
        return None
    EVENT_ID(given, "event_id")
    return str(given)


def _do(engine: Engine, fields: dict[str, Any], at: float) -> Iterator[None]:
    event_class, do = _TABLE[fields["type"]]
    data = msgspec.json.encode(fields)
    if len(data) > _LARGE:
        yield
    yield from do(engine, msgspec.json.decode(data, type=event_class), at) or ()


def _session_update(engine: Engine, fields: dict[str, Any]) -> None:
    # As JSON, not as an event: only the keys that are there change.
    changes = fields["session"]
    listened = engine.settings.turn_rule is not None
    changed = copy.copy(engine.settings)
    changed.update(changes)
    engine.reserve(changed)
    engine.settings = changed
    if listened is not (engine.settings.turn_rule is not None):
        engine.clear_input()
    engine.outbox.emit(SessionUpdated, session=engine.settings.shown())


def _append(engine: Engine, fields: dict[str, Any], at: float) -> Iterator[None]:
    # All of it is decoded before any of it is heard: it is refused whole.
    pieces = []
    for piece in decoded(fields["audio"]):
        pieces.append(piece)
        if len(pieces) > 1:
            yield
    for piece in pieces:
        for start in range(0, len(piece), _HEARD_AT_ONCE):
            if start or piece is not pieces[0]:
                yield
            engine.append(piece[start : start + _HEARD_AT_ONCE], at)


def _clear(engine: Engine, _: InputAudioBufferClear, _at: float) -> None:
    engine.clear_input()
    engine.outbox.emit(InputAudioBufferCleared)


def _clear_output(engine: Engine, _: OutputAudioBufferClear, _at: float) -> None:
    engine.clear_output()


def _item_create(
    engine: Engine, event: ConversationItemCreate, _: float
) -> Iterator[None]:
    item = event.item
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
    engine.meter.wrote(_written(item))
    if audio:
        yield from engine.hear_item(item_id, audio)


def _audio_in(item: AnyItem) -> Iterator[bytes]:
    """The user's audio in an item that has no words yet, piece by piece."""
    if isinstance(item, MessageItem) and item.role == "user":
        for part in item.content:
            if isinstance(part, InputAudioPart) and part.audio and not part.transcript:
                yield from decoded(part.audio)


def _without_audio(item: AnyItem) -> AnyItem:
    """An item as it is kept."""
    if not isinstance(item, MessageItem) or item.role != "user":
        return item
    parts = tuple(
        InputAudioPart(transcript=part.transcript or None)
        if isinstance(part, InputAudioPart)
        else part
        for part in item.content
    )
    return msgspec.structs.replace(item, content=parts)


def _written(item: AnyItem) -> str:
    """The text that an item brings into the conversation."""
    if isinstance(item, MessageItem):
        return words_of(item)
    return str(getattr(item, "arguments", None) or getattr(item, "output", None) or "")


def _item_delete(engine: Engine, event: ConversationItemDelete, _: float) -> None:
    engine.conversation.remove(event.item_id)
    engine.outbox.emit(ConversationItemDeleted, item_id=event.item_id)


def _item_retrieve(engine: Engine, event: ConversationItemRetrieve, _: float) -> None:
    item = engine.conversation.get(event.item_id)
    engine.outbox.emit(ConversationItemRetrieved, item=item)


def _item_truncate(engine: Engine, event: ConversationItemTruncate, _: float) -> None:
    item = engine.conversation.get(event.item_id)
    made = engine.responses.audio_of(event.item_id)
    if not isinstance(item, MessageItem) or made is None:
        raise Refusal(
            "invalid_value",
            "Only audio of the assistant can be truncated.",
            param="item_id",
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


def _response_create(engine: Engine, event: ResponseCreate, _: float) -> None:
    params = event.response
    if isinstance(params, msgspec.UnsetType):
        engine.respond({})
        return
    changes: dict[str, Any] = {
        name: value
        for name in params.__struct_fields__
        if (value := getattr(params, name)) is not msgspec.UNSET
    }
    given = changes.pop("input", None)
    source = None if given is None else _resolved(engine, given)
    engine.respond(msgspec.json.decode(msgspec.json.encode(changes)), source)


def _resolved(engine: Engine, items: tuple[AnyItem, ...]) -> tuple[AnyItem, ...]:
    """References replaced by the items they stand for."""
    return tuple(
        engine.conversation.get(item.id or "")
        if isinstance(item, ItemReference)
        else item
        for item in items
    )


def _response_cancel(engine: Engine, event: ResponseCancel, _: float) -> None:
    named = event.response_id
    responses = engine.responses
    reply = responses.active if named is None else responses.get(named)
    if reply is None:
        raise Refusal(
            "response_cancel_not_active",
            "Cancellation failed: no active response found",
        )
    responses.cancel(reply, "client_cancelled")


_Doing = Callable[["Engine", Any, float], Iterator[None] | None]

_TABLE: dict[str, tuple[type[ClientEvent], _Doing]] = {
    str(event.__struct_config__.tag): (event, do)
    for event, do in (
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
