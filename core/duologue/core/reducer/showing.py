"""An item as the service shows it, folded into the item that we have."""

from __future__ import annotations

from typing import Any

import attrs

from duologue.core import events
from duologue.core.state import FunctionCall, Item, Session
from duologue.core.text import Text

from .content import merge_content, put_item, settle
from .placing import mention

__all__ = ["finish", "show"]

_FINISHED = ("completed", "incomplete")


def show(
    session: Session,
    wire: Any,
    at: float | None,
    *,
    done: bool,
    response_id: str | None = None,
) -> Session:
    """The session with what a wire item says of itself.

    ``done`` says that the service is through with it. A tombstone stays one, and an
    item without an id cannot be kept.
    """
    if not wire.id:
        return session
    type = wire.name if isinstance(wire, events.UnknownItem) else wire.type
    role = (wire.role or None) if isinstance(wire, events.MessageItem) else None
    session = mention(
        session, wire.id, at, role=role, type=type, response_id=response_id
    )
    item = session.items[wire.id]
    if item.status == "deleted":
        return session
    # An item of an epoch before is one that we put into this one again.
    news = done and item.placement.epoch == session.connection.epoch
    shown = _merge(item, wire, type, role, done=done, news=news)
    if done or _is_complete(shown, wire):
        shown = finish(shown, at, _status(item, wire))
    return session if shown == item else put_item(session, shown)


def _is_complete(item: Item, wire: Any) -> bool:
    """Whether an item comes complete, and so needs no ``done`` (the beta had none).

    What the assistant is still to say is not, whatever its status.
    """
    return wire.status in _FINISHED and (item.role != "assistant" or bool(item.parts))


def _merge(
    item: Item, wire: Any, type: str, role: str | None, *, done: bool, news: bool
) -> Item:
    if item.type != type or (role is not None and item.role != role):
        item = attrs.evolve(item, type=type, role=role or item.role)
    if isinstance(wire, events.MessageItem):
        complete = done or wire.status in _FINISHED
        return merge_content(item, wire.content, done=complete, news=news)
    if isinstance(wire, events.FunctionCallItem):
        return attrs.evolve(item, call=_call(item.call, wire, done))
    if isinstance(wire, events.FunctionCallOutputItem):
        call = FunctionCall(wire.call_id, complete=True, output=wire.output)
        return attrs.evolve(item, call=call)
    return item


def _call(
    call: FunctionCall | None, wire: events.FunctionCallItem, done: bool
) -> FunctionCall:
    known = call or FunctionCall()
    keep = known.complete or not wire.arguments
    return FunctionCall(
        wire.call_id or known.call_id,
        wire.name or known.name,
        known.arguments if keep else Text(wire.arguments),
        known.complete or (done and wire.status != "incomplete"),
    )


def _status(item: Item, wire: Any) -> str:
    """Incomplete once is incomplete for good: a late echo does not heal it."""
    if item.status == "incomplete" or wire.status == "incomplete":
        return "incomplete"
    return "completed"


def finish(item: Item, at: float | None, status: str) -> Item:
    """The item, over with this status. A user's words may still come."""
    if item.role == "assistant":
        item = settle(item)
    if item.status == status and item.placement.finished_at is not None:
        return item
    placement = item.placement
    if placement.finished_at is None:
        placement = attrs.evolve(placement, finished_at=at)
    return attrs.evolve(item, status=status, placement=placement)
