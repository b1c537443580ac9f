"""What a client may ask for: one function for each client event, in a table.

A function gets the engine and the event; it raises `Refusal` where the event cannot
be done, and has then changed nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
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
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCleared,
    InputAudioBufferCommit,
    ItemReference,
    MessageItem,
    OutputAudioBufferClear,
    ResponseCancel,
    ResponseCreate,
    SessionUpdated,
)

from .conversation import lines_of
from .outbox import Refusal
from .settings import refusal_of, typed

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["handle"]


def handle(engine: Engine, frame: str | bytes, at: float) -> None:
    """Do what a frame asks, or answer with an ``error`` event."""
    event_id = None
    try:
        fields = _object(frame)
        given = fields.get("event_id")
        event_id = given if isinstance(given, str) else None
        _dispatch(engine, fields, at)
    except Refusal as refusal:
        engine.outbox.refuse(refusal, event_id)


def _object(frame: str | bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refusal("invalid_json", f"The event is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refusal("invalid_event", "An event is a JSON object.")
    return fields


def _dispatch(engine: Engine, fields: dict[str, Any], at: float) -> None:
    kind = fields.get("type")
    if kind == "session.update":
        _session_update(engine, fields)
    elif isinstance(kind, str) and kind in _TABLE:
        event_class, do = _TABLE[kind]
        try:
            event = typed(fields, event_class)
        except msgspec.ValidationError as error:
            raise refusal_of(error) from error
        do(engine, event, at)
    else:
        raise Refusal("invalid_value", f"Invalid value: {kind!r}.", param="type")


def _session_update(engine: Engine, fields: dict[str, Any]) -> None:
    # As JSON, not as an event: only the keys that are there change.
    changes = fields.get("session")
    if not isinstance(changes, dict):
        raise Refusal(
            "missing_required_parameter",
            "Missing required parameter: 'session'.",
            param="session",
        )
    listened = engine.settings.turn_rule is not None
    engine.settings.update(changes)
    if listened is not (engine.settings.turn_rule is not None):
        engine.clear_input()
    engine.outbox.emit(SessionUpdated, session=engine.settings.shown())


def _append(engine: Engine, event: InputAudioBufferAppend, at: float) -> None:
    try:
        pcm = base64.b64decode(event.audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(
            "invalid_value", "The audio is not valid base64.", param="audio"
        ) from error
    engine.hear(pcm, at)


def _commit(engine: Engine, _: InputAudioBufferCommit, _at: float) -> None:
    engine.commit()


def _clear(engine: Engine, _: InputAudioBufferClear, _at: float) -> None:
    engine.clear_input()
    engine.outbox.emit(InputAudioBufferCleared)


def _clear_output(engine: Engine, _: OutputAudioBufferClear, _at: float) -> None:
    engine.clear_output()


def _item_create(engine: Engine, event: ConversationItemCreate, _: float) -> None:
    item = event.item
    if isinstance(item, ItemReference):
        raise Refusal(
            "invalid_value",
            "An item_reference is allowed in the input of a response only.",
            param="item.type",
        )
    item_id = item.id or engine.outbox.new_id("item")
    item = msgspec.structs.replace(item, id=item_id, status="completed")
    previous = event.previous_item_id
    engine.conversation.add(item, previous if isinstance(previous, str) else None)
    engine.conversation.done(item)
    for line in lines_of((item,)):
        engine.meter.wrote(line.text)


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
    if not 0 <= event.audio_end_ms <= made:
        raise Refusal(
            "invalid_value",
            f"Audio content of {made}ms is already shorter than {event.audio_end_ms}ms",
            param="audio_end_ms",
        )
    engine.responses.truncate(event.item_id, event.audio_end_ms)
    engine.conversation.silence(event.item_id)
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
    changes = {
        name: value
        for name in params.__struct_fields__
        if (value := getattr(params, name)) is not msgspec.UNSET
    }
    if changes.get("input") is not None:
        changes["input"] = _resolved(engine, changes["input"])
    engine.respond(changes)


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


_Do = Callable[["Engine", Any, float], None]

_TABLE: dict[str, tuple[type[ClientEvent], _Do]] = {
    str(event.__struct_config__.tag): (event, do)
    for event, do in (
        (ConversationItemCreate, _item_create),
        (ConversationItemDelete, _item_delete),
        (ConversationItemRetrieve, _item_retrieve),
        (ConversationItemTruncate, _item_truncate),
        (InputAudioBufferAppend, _append),
        (InputAudioBufferClear, _clear),
        (InputAudioBufferCommit, _commit),
        (OutputAudioBufferClear, _clear_output),
        (ResponseCancel, _response_cancel),
        (ResponseCreate, _response_create),
    )
}
