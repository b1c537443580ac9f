"""Requested responses: queued, in flight, answered.

`duologue.requested` queues a ``response.create`` that cannot be sent yet. Once sent it
is in flight until the service answers it: with ``response.created``, or an error. It is
queued again if the service refuses it because another response is active, or if the
connection is lost before the answer. Out-of-band responses are never queued.
`duologue.interrupted` withdraws what is queued and marks what is in flight; the
messages without an answer are kept as ``withdrawn``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import (
    Input,
    Response,
    Responses,
    Session,
    UnconfirmedItem,
)
from duologue.core.wire.json_values import canonical_json, is_object

from ..handler import Handler, put_response, put_responses, time_of
from ..playback import end_heard
from .configuration import request_change
from .inputs import drop_inputs, drop_outputs, mark_requested, put_unanswered
from .sent_events import is_out_of_band, keep_item, keep_out_of_band
from .tool_outputs import mark_call, mark_output

__all__ = [
    "MAX_WITHDRAWN",
    "TABLE",
    "clear_in_flight",
    "drop_queued",
    "fail_in_flight",
    "fail_messages",
    "requeue_answered",
    "requeue_in_flight",
]

#: The number of messages that a session keeps whose request was withdrawn, or failed.
MAX_WITHDRAWN = 64


def _on_requested(session: Session, event: events.Requested, record: Record) -> Session:
    request = event.event
    if request.get("type") == "session.update" and is_object(request.get("session")):
        return request_change(session, request["session"])
    if request.get("type") == "conversation.item.create":
        return _request_item(session, request, record.at)
    if request.get("type") != "response.create":
        return session
    response = request.get("response")
    if is_object(response) and response.get("conversation") == "none":
        return session
    items = session.responses.queued_items
    if event.item_id is not None:
        items = (*items, event.item_id)
    queued = canonical_json(request)
    responses = replace(
        session.responses, queued=queued, queued_items=items, withdrawing=False
    )
    return put_responses(session, responses)


def _request_item(
    session: Session, request: Mapping[str, Any], at: float | None
) -> Session:
    """The session with an item to send; it is sent again until it is confirmed."""
    item, event_id = request.get("item"), request.get("event_id")
    item_id = item.get("id") if is_object(item) else None
    if not isinstance(item_id, str) or not isinstance(event_id, str | None):
        return session
    assert is_object(item)
    call_id = item.get("call_id")
    if isinstance(call_id, str) and item_id not in session.items:
        if item.get("type") == "function_call":
            session = mark_call(session, call_id)
        elif item.get("type") == "function_call_output":
            session, _ = mark_output(session, call_id, event_id)
    kept = UnconfirmedItem(item_id, event_id, canonical_json(request), sent=False)
    conversation = session.conversation
    conversation = replace(conversation, requested=conversation.requested + 1)
    return keep_item(replace(session, conversation=conversation), kept, at)


def _on_create(
    session: Session, event: events.ResponseCreate, record: Record
) -> Session:
    if is_out_of_band(event):
        return keep_out_of_band(session, event, record)
    before, last_output = session.responses, session.conversation.last_output
    # If it was not due, its command was returned before the interruption.
    was_due = before.queued is not None or last_output is not None
    is_withdrawn = before.withdrawing and not was_due
    outputs = () if last_output is None else (last_output,)
    was_cancelling = before.cancelling and before.in_flight is not None
    # The outputs so far need no other request, even if this one is refused.
    session = mark_requested(drop_queued(session))
    responses = replace(
        session.responses,
        withdrawing=False,
        # Without its id: if the event is sent again, it needs a new one.
        in_flight=canonical_json(replace(event, event_id=None)),
        in_flight_items=before.in_flight_items + before.queued_items + outputs,
        waiting_since=time_of(session, record),
        cancelling=was_cancelling or is_withdrawn,
        dismissed_item=None,
        out_of_band=tuple(
            replace(each, is_second=False) for each in before.out_of_band
        ),
    )
    return put_responses(session, responses)


def _on_interrupted(
    session: Session, event: events.Interrupted, record: Record
) -> Session:
    """Mark everything of the assistant that is in progress, withdraw what is pending.

    `react` cancels a response in flight as soon as it is created. A queued request is
    not sent any more, even if `react` has returned its command (see `Machine`); if it
    is sent all the same, its response is cancelled.
    """
    for response_id in (session.responses.active, session.activity.playing):
        response = session.response(response_id)
        if response is not None and not response.stopping:
            session = put_response(session, replace(response, stopping=True))
    session = end_heard(session, session.activity.playing, record.at)
    responses, activity = session.responses, session.activity
    pending, output = responses.queued_items, session.conversation.last_output
    if output is not None:
        pending = (*pending, output)
    session = drop_outputs(drop_inputs(drop_queued(session), pending))
    responses = replace(
        _withdrawn(session.responses, pending),
        withdrawing=responses.withdrawing or responses.queued is not None,
        cancelling=responses.cancelling or responses.in_flight is not None,
        # A user who is still speaking gets an answer.
        dismissed_item=None if activity.speaking_item else activity.unanswered_item,
    )
    return put_responses(session, responses)


def _withdrawn(responses: Responses, item_ids: tuple[str, ...]) -> Responses:
    withdrawn = (*responses.withdrawn, *item_ids)[-MAX_WITHDRAWN:]
    return replace(responses, withdrawn=withdrawn)


def drop_queued(session: Session) -> Session:
    """The session without a response that is due: requested, or to answer outputs."""
    responses = replace(session.responses, queued=None, queued_items=())
    session = put_responses(session, responses)
    if session.conversation.last_output is None:
        return session
    conversation = replace(session.conversation, last_output=None)
    return replace(session, conversation=conversation)


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
        refused_at=(),
    )
    return put_responses(session, responses)


def fail_in_flight(session: Session, reason: str) -> Session:
    """The session after the ``response.create`` in flight has failed."""
    items = session.responses.in_flight_items
    return clear_in_flight(fail_messages(session, items, reason))


def fail_messages(session: Session, item_ids: tuple[str, ...], reason: str) -> Session:
    """The session after these messages have failed: no response answers them."""
    if not item_ids:
        return session

    def others(items: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each for each in items if each not in item_ids)

    active = session.response(session.responses.active)
    if active is not None:
        inputs = active.inputs and tuple(
            one for one in active.inputs if one.item_id not in item_ids
        )
        active = replace(active, answers=others(active.answers), inputs=inputs)
        session = put_response(session, active)
    session = drop_inputs(session, item_ids)
    responses = session.responses
    failed = (*responses.failed, *((each, reason) for each in item_ids))
    responses = replace(
        responses,
        failed=failed[-MAX_WITHDRAWN:],
        queued_items=others(responses.queued_items),
        in_flight_items=others(responses.in_flight_items),
    )
    return put_responses(session, responses)


def requeue_in_flight(session: Session) -> Session:
    """The session with the ``response.create`` in flight queued again.

    An interrupted one is withdrawn.
    """
    before = session.responses
    if before.cancelling:
        session = drop_inputs(session, before.in_flight_items)
    responses = _requeued(
        before, before.in_flight, before.in_flight_items, before.cancelling
    )
    return clear_in_flight(put_responses(session, responses))


def requeue_answered(session: Session) -> Session:
    """The session with the request queued again that the active response answered.

    The service refused it, so another client or the service itself began the response.
    """
    responses = session.responses
    active = session.response(responses.active)
    if active is None or responses.answered is None:
        return session
    mine = [one for one in active.inputs or () if _is_mine(active, one)]
    others = tuple(one for one in active.inputs or () if one not in mine)
    session = put_response(session, replace(active, answers=(), inputs=others or None))
    session = put_unanswered(session, (*mine, *session.activity.unanswered))
    responses = _requeued(
        session.responses, responses.answered, active.answers, active.stopping
    )
    if active.stopping:
        session = drop_inputs(session, [one.item_id for one in mine])
    return put_responses(session, replace(responses, answered=None))


def _is_mine(response: Response, one: Input) -> bool:
    """Whether this client sent an input, or requested the response for it."""
    return one.sent or one.item_id in response.answers


def _requeued(
    responses: Responses, request: str | None, item_ids: tuple[str, ...], stopped: bool
) -> Responses:
    """The responses with a request, for these messages, queued again or withdrawn."""
    if stopped:
        return _withdrawn(responses, item_ids)
    return replace(
        responses,
        queued=responses.queued or request,
        queued_items=item_ids + responses.queued_items,
    )


TABLE: dict[type, Handler] = {
    events.Requested: _on_requested,
    events.Interrupted: _on_interrupted,
    events.ResponseCreate: _on_create,
}
