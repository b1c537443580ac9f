"""An item as the service shows it, folded into the item that we have."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

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
    message = isinstance(wire, events.MessageItem)
    type = wire.name if isinstance(wire, events.UnknownItem) else wire.type
    role = (wire.role or None) if message else None
    item = session.items.get(wire.id)
    if item is None:
        session = mention(
            session, wire.id, at, role=role, type=type, response_id=response_id
        )
        item = session.items[wire.id]
    if item.status == "deleted":
        return session
    # An item of an epoch before is one that we put into this one again.
    news = news and done and item.placement.epoch == session.connection.epoch
    shown = item
    if item.type != type or (role is not None and item.role != role):
        shown = replace(item, type=type, role=role or item.role)
    complete = done or wire.status in _FINISHED
    if message:
        shown = _merge_message(shown, wire, done=complete, news=news)
    else:
        shown = merge_call(shown, wire, done=done)
    # One that comes complete needs no ``done`` (the beta had none); but what the
    # assistant is still to say is not complete, whatever its status.
    if done or (complete and (shown.role != "assistant" or shown.parts)):
        shown = finish(shown, at, _status(wire))
    if shown is not item:
        session = put_item(session, shown)
    if shown.call is None:
        return session
    session = connect(session, item.id)
    return _complain(session, item, wire, at)


def _merge_message(
    item: Item, wire: events.MessageItem, *, done: bool, news: bool
) -> Item:
    if wire.phase is not None and wire.phase != item.placement.phase:
        placement = replace(item.placement, phase=wire.phase)
        item = replace(item, placement=placement)
    return merge_content(item, wire.content, done=done, news=news)


def _status(wire: Any) -> str:
    if wire.status == "incomplete":
        return "incomplete"
    failed = isinstance(wire, events.McpCallItem) and wire.error is not None
    return "failed" if failed else "completed"


def finish(item: Item, at: float | None, ended: str) -> Item:
    """The item, over; ``ended`` is how. A user's words may still come."""
    if item.role == "assistant":
        item = settle(item)
    status = phases.after(phases.ITEM, item.status, phases.ITEM_ENDS[ended])
    item = end_call(item, status)
    placement = item.placement
    if placement.finished_at is None and at is not None:
        placement = replace(placement, finished_at=at)
    if item.status == status and placement is item.placement:
        return item
    return replace(item, status=status, placement=placement)


def _complain(session: Session, before: Item, wire: Any, at: float | None) -> Session:
    """The session with the reason why an MCP call failed, once it is known."""
    call = session.items[before.id].call
    if call is None or call.error is None or not isinstance(wire, events.McpCallItem):
        return session
    if before.call is not None and before.call.error == call.error:
        return session
    code = wire.error.type if wire.error else None
    return blame(session, Problem("mcp_failed", call.error, code, before.id, at))
