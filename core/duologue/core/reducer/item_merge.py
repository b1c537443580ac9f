"""An item as the service shows it, folded into the item that we have."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Item, Problem, Session

from .call_items import GROWING, connect, end_call, merge_call
from .ordering import mention
from .parts import merge_content, put_item, settle
from .usage import blame

__all__ = ["finish", "show"]

_FINISHED = ("completed", "incomplete")


def show(
    session: Session,
    wire: Any,
    record: Record,
    *,
    done: bool,
    response_id: str | None = None,
    ended: str | None = None,
    news: bool = True,
) -> Session:
    """The session with what a wire item says of itself.

    ``done`` says that the service is through with it, ``ended`` how that is where the
    item does not say; where it is not ``news``, the words that are final stay. A
    tombstone stays one, and an item without an id cannot be kept.
    """
    if not wire.id:
        return session
    type, role = _kind(wire, response_id)
    item = session.items.get(wire.id)
    if item is None:
        session = mention(
            session, wire.id, record, role=role, type=type, response_id=response_id
        )
        item = session.items[wire.id]
    if item.status == "deleted":
        return session
    shown = item
    if (type and item.type != type) or (role is not None and item.role != role):
        shown = replace(item, type=type or item.type, role=role or item.role)
    # An item of an epoch before is one that we put into this one again.
    news = news and item.placement.epoch == record.epoch
    shown = _filled(shown, wire, record.at, done=done, ended=ended, news=news)
    if shown is not item:
        session = put_item(session, shown)
    if shown.call is None:
        return session
    session = connect(session, item.id)
    return _complain(session, item, wire, record.at)


def _kind(wire: Any, response_id: str | None) -> tuple[str, str | None]:
    """The type of a wire item, and whose it is; "" and None where it does not say."""
    if isinstance(wire, events.MessageItem):
        # What a response puts out and nobody claims is a reply.
        return wire.type, wire.role or (None if response_id is None else "assistant")
    return wire.name if isinstance(wire, events.UnknownItem) else wire.type, None


def _filled(
    item: Item,
    wire: Any,
    at: float | None,
    *,
    done: bool,
    ended: str | None,
    news: bool,
) -> Item:
    """The item with what is shown of it, and over if that says so."""
    if ended is None and wire.status == "in_progress":
        # It contradicts itself: whether a call is whole, its response will tell.
        done = done and not isinstance(wire, events.FunctionCallItem)
    complete = done or wire.status in _FINISHED
    if isinstance(wire, events.MessageItem):
        item = _merge_message(item, wire, done=complete, news=news and done)
    else:
        item = merge_call(item, wire, done=done)
    if done or (complete and _has_come(item)):
        item = finish(item, at, _status(wire, ended or "completed"))
    return item


def _merge_message(
    item: Item, wire: events.MessageItem, *, done: bool, news: bool
) -> Item:
    if wire.phase is not None and wire.phase != item.placement.phase:
        placement = replace(item.placement, phase=wire.phase)
        item = replace(item, placement=placement)
    return merge_content(item, wire.content, done=done, news=news)


def _has_come(item: Item) -> bool:
    """Whether an item that calls itself complete can be.

    One that comes complete needs no ``done`` (the beta had none); but what is still to
    be said, or to be written into a call, is not complete, whatever its status.
    """
    if item.type in GROWING:
        return item.call is not None and bool(item.call.arguments)
    return item.role != "assistant" or bool(item.parts)


def _status(wire: Any, ended: str) -> str:
    if wire.status == "incomplete":
        return "incomplete"
    if isinstance(wire, events.McpCallItem) and wire.error is not None:
        return "failed"
    return "completed" if wire.status == "completed" else ended


def finish(item: Item, at: float | None, ended: str) -> Item:
    """The item, over; ``ended`` is how. A user's words may still come."""
    if item.role == "assistant":
        item = settle(item)
    status = transitions.next_status(
        transitions.ITEM, item.status, transitions.ITEM_ENDS[ended]
    )
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
