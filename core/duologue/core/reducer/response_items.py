"""Responses and what comes out of them: the bookkeeping that their events share."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Item, Response, Session, Turn

from .item_merge import finish
from .items import LONGEST, truncate
from .ordering import mention
from .parts import put_item, settle

__all__ = [
    "cut_off",
    "end_response",
    "finish_items",
    "link",
    "lose_responses",
    "open_item",
    "put",
    "with_turn",
]


def put(session: Session, response: Response) -> Session:
    """The session with this response, the last if it is new."""
    responses = session.responses
    by_id = responses.by_id.set(response.id, response)
    if response.id in responses.by_id:
        return replace(session, responses=replace(responses, by_id=by_id))
    order = responses.order.append(response.id)
    return replace(session, responses=replace(responses, by_id=by_id, order=order))


def with_turn(session: Session, response: Response, turn: Turn) -> Session:
    """The session with these times of a response; itself if it has them."""
    if turn == response.turn:
        return session
    return put(session, replace(response, turn=turn))


def open_item(
    session: Session,
    event: Any,
    record: Record,
    *,
    role: str | None = "assistant",
    type: str = "message",
) -> Session:
    """The session with the item that a part or a delta of a response speaks of."""
    item = session.items.get(event.item_id)
    if item is not None:
        return _claim(session, item, event.response_id, record, role)
    session = mention(
        session,
        event.item_id,
        record,
        role=role,
        type=type,
        response_id=event.response_id or None,
    )
    return link(session, event.response_id, event.item_id, record.epoch)


def _claim(
    session: Session, item: Item, response_id: str, record: Record, role: str | None
) -> Session:
    """The session with an item that is known taken for an output of its response."""
    if item.placement.response_id is None:
        session = link(session, response_id, item.id, record.epoch)
        item = session.items[item.id]
    if role is None or item.role is not None or item.call is not None:
        return session
    # A service that does not say who speaks: what a response puts out is a reply.
    named = replace(item, role=role, type=item.type or "message")
    return session if item.status == "deleted" else put_item(session, named)


def link(
    session: Session, response_id: str, item_id: str | None, epoch: int
) -> Session:
    """The session with the item among the output of its response."""
    item = session.item(item_id)
    if not response_id or item is None:
        return session
    if item.placement.response_id is None:
        placement = replace(item.placement, response_id=response_id)
        session = put_item(session, replace(item, placement=placement))
    response = session.responses.by_id.get(response_id)
    if response is None:
        response = Response(response_id, epoch=epoch)
    if item.id in response.item_ids:
        return session
    return put(session, replace(response, item_ids=(*response.item_ids, item.id)))


def end_response(
    session: Session, response_id: str, trigger: str, reason: str | None
) -> Session:
    """The session with a response that is over and no longer active."""
    responses = session.responses
    response = responses.by_id[response_id]
    status = transitions.next_status(transitions.RESPONSE, response.status, trigger)
    ended = replace(response, status=status, reason=reason)
    active = None if responses.active == response_id else responses.active
    by_id = responses.by_id.set(response_id, ended)
    return replace(session, responses=replace(responses, by_id=by_id, active=active))


def finish_items(session: Session, response_id: str, at: float | None) -> Session:
    """The session with no item of a finished response left open, nor a part of one.

    Where a cancelled response forgot one of its items, that one is incomplete.
    """
    response = session.responses.by_id[response_id]
    ended = "completed" if response.status == "completed" else "incomplete"
    for item_id in response.item_ids:
        item = session.items.get(item_id)
        if item is None or item.status == "deleted":
            continue
        over = finish(item, at, ended) if item.status == "in_progress" else settle(item)
        if over is not item:
            session = put_item(session, over)
    return session


def lose_responses(
    session: Session, epoch: int, at: float | None, playing: str | None = None
) -> Session:
    """The session without the responses that a lost connection was at work on.

    Their items keep the words that came, and are incomplete. What was being said, and
    what was still ``playing``, is cut off where the clock says that it was.
    """
    for response_id in session.responses.order:
        response = session.responses.by_id[response_id]
        lost = response.status == "in_progress" and response.epoch <= epoch
        if lost:
            session = end_response(
                session, response_id, transitions.DISCONNECTED, "disconnected"
            )
            session = finish_items(session, response_id, at)
        if lost or response_id == playing:
            session = cut_off(session, response, at)
    return session


def cut_off(session: Session, response: Response, at: float | None) -> Session:
    """The session with the audio of a response cut off ``at`` this time.

    How much of it was played is what we know of it, or else what the clock says.
    Nothing is said of words without audio, or where the times tell nothing.
    """
    item = _last_message(session, response)
    if item is None:
        return session
    played: float | None = item.placement.played_ms
    if played is None:
        played = _ran_for(response, item, at)
    if played is None:
        return session
    return truncate(session, item.id, round(played), confirmed=False)


def _ran_for(response: Response, item: Item, at: float | None) -> float | None:
    """For how many ms an item's audio has run ``at`` this time."""
    began = response.turn.first_audio_at
    if at is None:
        return None
    if began is None:
        return 0 if any(part.type == "output_audio" for part in item.parts) else None
    # Times of one session never decrease; others do not tell how long it was.
    ran = (at - began) * 1000
    return ran if 0 <= ran <= LONGEST else None


def _last_message(session: Session, response: Response) -> Item | None:
    """The item that a response spoke last."""
    for item_id in reversed(response.item_ids):
        item = session.items.get(item_id)
        if item is not None and item.role == "assistant" and item.status != "deleted":
            return item
    return None
