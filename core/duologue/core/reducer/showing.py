"""An item as the service shows it, folded into the item that we have."""

from __future__ import annotations

from typing import Any

import attrs

from duologue.core import events, phases
from duologue.core.state import Item, Problem, Session

from .calling import connect, end_call, merge_call
from .content import merge_content, put_item, settle
from .ledger import blame
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
    news: bool = True,
) -> Session:
    """The session with what a wire item says of itself.

    ``done`` says that the service is through with it; where it is not ``news``, the
    words that are final stay. A tombstone stays one, and an item without an id cannot
    be kept.
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
    news = news and done and item.placement.epoch == session.connection.epoch
    shown = _merge(item, wire, type, role, done=done, news=news)
    if done or _is_complete(shown, wire):
        shown = finish(shown, at, _status(wire))
    if shown != item:
        session = put_item(session, shown)
    session = connect(session, item.id)
    return _complain(session, item, wire, at)


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
    if not isinstance(wire, events.MessageItem):
        return merge_call(item, wire, done=done)
    if wire.phase is not None and wire.phase != item.placement.phase:
        placement = attrs.evolve(item.placement, phase=wire.phase)
        item = attrs.evolve(item, placement=placement)
    complete = done or wire.status in _FINISHED
    return merge_content(item, wire.content, done=complete, news=news)


def _status(wire: Any) -> str:
    if isinstance(wire, events.McpCallItem) and wire.error is not None:
        return "failed"
    return "incomplete" if wire.status == "incomplete" else "completed"


def finish(item: Item, at: float | None, ended: str) -> Item:
    """The item, over; ``ended`` is how. A user's words may still come."""
    if item.role == "assistant":
        item = settle(item)
    status = phases.after(phases.ITEM, item.status, f"{phases.ITEM_DONE} {ended}")
    item = end_call(item, status)
    placement = item.placement
    if item.status == status and placement.finished_at is not None:
        return item
    if placement.finished_at is None:
        placement = attrs.evolve(placement, finished_at=at)
    return attrs.evolve(item, status=status, placement=placement)


def _complain(session: Session, before: Item, wire: Any, at: float | None) -> Session:
    """The session with the reason why an MCP call failed, once it is known."""
    call = session.items[before.id].call
    if call is None or call.error is None or not isinstance(wire, events.McpCallItem):
        return session
    if before.call is not None and before.call.error == call.error:
        return session
    code = wire.error.type if wire.error else None
    return blame(session, Problem("mcp_failed", call.error, code, before.id, at))
