"""Requested responses: queued, in flight, answered.

`duologue.requested` queues a ``response.create`` that cannot be sent yet. Once sent it
is in flight until the service answers it: with ``response.created``, or an error. It is
queued again if the service refuses it because another response is active, or if the
connection is lost before the answer. Out-of-band responses are never queued.
`duologue.interrupted` withdraws what is queued and marks what is in flight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import SessionStatus
from duologue.core.log.record import Record
from duologue.core.state.model import Responses, Session, UnconfirmedItem
from duologue.core.wire.json_values import canonical_json, is_object

from ..handler import Handler, put_response, put_responses, time_of
from .configuration import request_change
from .sent_events import is_out_of_band, keep_item

__all__ = ["TABLE", "clear_in_flight", "requeue_in_flight"]


def _on_requested(session: Session, event: events.Requested, record: Record) -> Session:
    request = event.event
    if request.get("type") == "session.update" and is_object(request.get("session")):
        return request_change(session, request["session"])
    if request.get("type") == "conversation.item.create":
        return _request_item(session, request)
    if request.get("type") != "response.create":
        return session
    response = request.get("response")
    if is_object(response) and response.get("conversation") == "none":
        return session
    items = session.responses.queued_items
    if event.item_id is not None:
        items = (*items, event.item_id)
    queued = canonical_json(request)
    responses = replace(session.responses, queued=queued, queued_items=items)
    return put_responses(session, responses)


def _request_item(session: Session, request: Mapping[str, Any]) -> Session:
    """The session with an item to send; it is sent again until it is confirmed."""
    item, event_id = request.get("item"), request.get("event_id")
    item_id = item.get("id") if is_object(item) else None
    if not isinstance(item_id, str) or not isinstance(event_id, str | None):
        return session
    kept = UnconfirmedItem(item_id, event_id, canonical_json(request), sent=False)
    return keep_item(session, kept)


def _on_create(
    session: Session, event: events.ResponseCreate, record: Record
) -> Session:
    if is_out_of_band(event):
        return session
    if session.conversation.last_output is not None:
        # The outputs so far need no other request, even if this one is refused.
        conversation = replace(session.conversation, last_output=None)
        session = replace(session, conversation=conversation)
    responses = session.responses
    responses = replace(
        responses,
        queued=None,
        queued_items=(),
        # Without its id: if the event is sent again, it needs a new one.
        in_flight=canonical_json(replace(event, event_id=None)),
        in_flight_items=_requested_items(responses),
        waiting_since=time_of(session, record),
        cancelling=responses.cancelling and responses.in_flight is not None,
        dismissed_item=None,
    )
    return put_responses(session, responses)


def _on_interrupted(
    session: Session, event: events.Interrupted, record: Record
) -> Session:
    """Mark everything of the assistant that is in progress or pending.

    `react` cancels it: a response in flight as soon as it is created. A queued request
    is withdrawn.
    """
    for response_id in (session.responses.active, session.activity.playing):
        response = session.response(response_id)
        if response is not None and not response.stopping:
            session = put_response(session, replace(response, stopping=True))
    responses, activity = session.responses, session.activity
    turns = (activity.speaking_item, activity.unanswered_item, responses.active)
    is_open = session.connection.status is SessionStatus.OPEN
    if responses.in_flight is None and is_open and not any(turns):
        # Nothing delayed the queued request: the command to send it was given.
        responses = replace(
            responses,
            in_flight=responses.queued,
            in_flight_items=responses.queued_items,
            waiting_since=time_of(session, record),
        )
    responses = replace(
        responses,
        queued=None,
        queued_items=(),
        cancelling=responses.cancelling or responses.in_flight is not None,
        # A user who is still speaking gets an answer.
        dismissed_item=None if activity.speaking_item else activity.unanswered_item,
    )
    return put_responses(session, responses)


def clear_in_flight(session: Session) -> Session:
    """The session with no ``response.create`` in flight."""
    responses = session.responses
    since = None if responses.active is None else responses.waiting_since
    responses = replace(
        responses,
        in_flight=None,
        in_flight_items=(),
        waiting_since=since,
        cancelling=False,
    )
    return put_responses(session, responses)


def _requested_items(responses: Responses) -> tuple[str, ...]:
    """The messages that the requests in flight and queued are to answer."""
    return responses.in_flight_items + responses.queued_items


def requeue_in_flight(session: Session) -> Session:
    """The session with the ``response.create`` in flight queued again.

    An interrupted one is not queued.
    """
    responses = session.responses
    if not responses.cancelling:
        responses = replace(
            responses,
            queued=responses.queued or responses.in_flight,
            queued_items=_requested_items(responses),
        )
    return clear_in_flight(put_responses(session, responses))


TABLE: dict[type, Handler] = {
    events.Requested: _on_requested,
    events.Interrupted: _on_interrupted,
    events.ResponseCreate: _on_create,
}
