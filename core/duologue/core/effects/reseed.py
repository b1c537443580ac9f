"""What a new connection must be told so that the conversation goes on.

The configuration that was asked for, then every item in its order under its own id,
each behind the one before. What cannot be given again is given as what was understood:
audio as its words, a reply that was cut off as what was heard of it. Left out are the
deleted, what was out of band, what has no words, outputs without a call, calls whose
arguments are not whole, and what belongs to MCP servers, which list and call anew. A
whole call is given again before it has its output: that may still come.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .. import events
from ..events.base import ClientEvent
from ..events.types import SessionKind
from ..state.model import Call, Connection, Item, Session
from ..wire.codec import decode
from .commands import create_item

__all__ = ["reseed"]

#: The place in front of all (API page, ``conversation.item.create``).
_FRONT = "root"
#: What cannot be changed once a session stands.
_FIXED = ("id", "object", "model", "expires_at")
_CALLS = ("function_call", "function_call_output")


def reseed(session: Session) -> Iterator[ClientEvent]:
    """The events that bring a new connection to where the ones before it were."""
    configuration = _configuration(session.connection)
    if configuration is not None:
        yield configuration
    if session.connection.kind is not SessionKind.REALTIME:
        return
    previous = _FRONT
    for item_id in session.conversation.order:
        item = session.items[item_id]
        wire = _wire(session, item)
        if wire is not None:
            yield create_item(wire, previous_item_id=previous)
            previous = item_id


def _configuration(connection: Connection) -> ClientEvent | None:
    """The ``session.update`` for what was last asked for."""
    if connection.requested is None:
        return None
    asked = msgspec.json.decode(connection.requested)
    session = {key: asked[key] for key in asked if key not in _FIXED}
    if connection.kind is SessionKind.TRANSLATION:
        session.pop("type", None)
    else:
        session["type"] = connection.kind.value
    frame = msgspec.json.encode({"type": "session.update", "session": session})
    event = decode(frame, kind=connection.kind)
    return event if isinstance(event, ClientEvent) else None


def _wire(session: Session, item: Item) -> events.AnyItem | None:
    """An item as it can be given again; None for one that is not."""
    is_new = item.placement.epoch == session.connection.epoch
    if is_new or item.status == "deleted":
        return None
    if item.type == "message":
        return _message(session, item)
    if item.type not in _CALLS or item.call is None:
        return None
    if not _has_call(session, item.call):
        return None
    if item.type == "function_call":
        return events.FunctionCallItem(
            id=item.id,
            call_id=item.call.call_id,
            name=item.call.name,
            arguments=str(item.call.arguments),
        )
    return events.FunctionCallOutputItem(
        id=item.id, call_id=item.call.call_id, output=item.call.output or ""
    )


def _has_call(session: Session, call: Call) -> bool:
    """Whether the conversation has the whole call that this is, or is the output of."""
    link = session.conversation.calls.get(call.call_id or "")
    asks = session.item(link.call) if link else None
    if asks is None or asks.status == "deleted" or asks.call is None:
        return False
    return asks.call.complete


def _message(session: Session, item: Item) -> events.MessageItem | None:
    """A message with its words; None where there are none, or nobody's."""
    content: tuple[events.AnyPart, ...]
    if item.role == "assistant":
        heard = _heard(session, item)
        content = (events.OutputTextPart(text=heard),) if heard else ()
    else:
        texts = [str(part.text) for part in item.parts]
        content = tuple(events.InputTextPart(text=text) for text in texts if text)
    if not content or item.role is None:
        return None
    return events.MessageItem(id=item.id, role=item.role, content=content)


def _heard(session: Session, item: Item) -> str:
    """What the user knows of a reply."""
    cut = item.truncation
    if cut is not None and cut.heard is not None:
        return cut.heard
    return "".join(str(part.text) for part in item.parts)
