"""The output items of each response."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core.log.record import Record
from duologue.core.state.model import Response, Session

from .handler import put_item, put_response
from .ordering import ensure_item

__all__ = ["add_output", "ensure_output", "response_of"]


def response_of(session: Session, event: Any) -> str | None:
    """The id of the response that an event is about.

    Some services give their responses no id: then it is the active response.
    """
    return event.response_id or session.responses.active


def ensure_output(
    session: Session,
    event: Any,
    record: Record,
    *,
    role: str | None = "assistant",
    type: str = "message",
) -> Session:
    """The session with the item that an event of a response names.

    A new item is created; a known item without a response becomes an output of this
    response.
    """
    item_id, response_id = event.item_id, response_of(session, event)
    try:
        item = session.items[item_id]
    except KeyError:
        session = ensure_item(
            session, item_id, record, role=role, type=type, response_id=response_id
        )
        return add_output(session, response_id, item_id, record.epoch)
    if item.placement.response_id is None:
        session = add_output(session, response_id, item_id, record.epoch)
        item = session.items[item_id]
    if role is None or item.role is not None or item.call is not None:
        return session
    if item.status == "deleted":
        return session
    # Some services omit the role. The output of a response is a reply.
    return put_item(session, replace(item, role=role, type=item.type or "message"))


def add_output(
    session: Session, response_id: str | None, item_id: str | None, epoch: int
) -> Session:
    """The session with the item among the outputs of its response."""
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
    item_ids = (*response.item_ids, item.id)
    return put_response(session, replace(response, item_ids=item_ids))
