"""Answers to requests: an error refuses one, and a time limit gives one up.

An error that names a sent event refuses that event. An error that names none refuses
the ``response.create`` or ``session.update`` in flight if it can concern nothing else.
A request without any answer is given up after `REQUEST_TIMEOUT`: this adds a problem,
and the next request can be sent. A ``response.create`` that is refused because another
response is active is queued again. If that response is not known, it is sent when any
response ends or after `REQUEST_TIMEOUT`, at most `BUSY_RETRIES` times.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import RealtimeEventType
from duologue.core.log.record import Record
from duologue.core.state.model import Problem, SentEvent, Session
from duologue.core.wire.json_values import is_object

from ..handler import Handler, add_problem, put_connection, put_responses, time_of
from .configuration import (
    changes_of_field,
    give_up_updates,
    put_updates,
    refuse_update,
)
from .in_flight import (
    fail_in_flight,
    fail_messages,
    requeue_answered,
    requeue_in_flight,
)
from .inputs import drop_inputs
from .sent_events import cause_of, drop_refused, first_restoring, refuse_restored
from .tool_outputs import find_call, refuse_output, refused_call

__all__ = [
    "BUSY_RETRIES",
    "REQUEST_TIMEOUT",
    "TABLE",
    "expire_requests",
    "refused_item",
    "request_deadlines",
    "retry_at",
]

#: Seconds to wait for the answer to a ``response.create`` or a ``session.update``. A
#: service answers before it generates anything, in recorded traffic within a second.
#: An answer after that time still takes effect.
REQUEST_TIMEOUT = 10.0
#: How often a request is sent again that an unknown response has kept from its answer.
BUSY_RETRIES = 2

#: The code of an error: another response is active. Some services send it as the type.
_BUSY = "conversation_already_has_active_response"
#: Codes of errors that refuse a ``response.create`` even without its ``event_id``.
_REFUSALS = {_BUSY, "bad_response_create"}
_CREATE, _UPDATE = (
    RealtimeEventType.RESPONSE_CREATE.value,
    RealtimeEventType.SESSION_UPDATE.value,
)
#: By the first name in the ``param`` of an error, the request that it concerns.
_PARAMS = {"response": _CREATE, "session": _UPDATE}


def _on_error(session: Session, event: events.Error, record: Record) -> Session:
    """An error is a problem; most errors do not end the session."""
    error = event.error
    if (item_id := refused_item(session, error)) is not None:
        session = refuse_restored(session, item_id)
        if not session.conversation.restored[item_id].dropped:
            # Not a problem: it is sent again.
            return session
    message = error.message or error.code or error.type or "unknown error"
    cause = cause_of(session, error.event_id)
    event_id, item_id = error.event_id, None
    if (key := _refused_output(session, error)) is not None:
        event_id = session.conversation.calls[key].output_event
        session = refuse_output(session, key, message)
        item_id = session.conversation.calls[key].call
        message = f"the output of {_named(session, key)} was refused: {message}"
    problem = Problem(
        "error",
        message,
        error.code,
        item_id,
        record.at,
        event_id=error.event_id,
        origin=cause.type if cause else None,
    )
    session = _expire(add_problem(session, problem), error, record.at)
    if not session.connection.rejoined:
        # A session of the service that was joined again may have the message already.
        unconfirmed = session.conversation.unconfirmed
        names = (
            each.item_id
            for each in unconfirmed
            if each.event_id == event_id is not None
        )
        session = fail_messages(session, tuple(names), message)
    session = drop_inputs(drop_refused(session, event_id), (), event_id)
    refused = _refused_type(session, error, cause)
    if refused == _UPDATE:
        return refuse_update(session, error.event_id, _field_of(error))
    if refused != _CREATE:
        return session
    waiting = session.responses.out_of_band
    if waiting and session.responses.in_flight is None and error.event_id is None:
        responses = replace(session.responses, out_of_band=waiting[1:])
        return put_responses(session, responses)
    is_busy = _BUSY in (error.code, error.type)
    at = time_of(session, record) or 0.0
    return _busy(session, message, at) if is_busy else fail_in_flight(session, message)


def refused_item(session: Session, error: events.ErrorDetail) -> str | None:
    """The restored item that an error refuses.

    Without the id of an event, the first one that the service has not answered, if the
    error can concern no other request: a service answers in order.
    """
    if error.event_id is not None:
        return session.conversation.restoring.get(error.event_id)
    is_other = _refused_type(session, error, None) is not None
    if is_other or error.type != "invalid_request_error":
        return None
    return first_restoring(session)


def _refused_output(session: Session, error: events.ErrorDetail) -> str | None:
    """The key of the call whose output an error refuses.

    Without the id of an event, it must be about an item, or about no other request.
    """
    if error.event_id is None:
        is_other = _refused_type(session, error, None) is not None
        is_of_item = (error.param or "").partition(".")[0] == "item"
        if is_other or not (is_of_item or error.type == "invalid_request_error"):
            return None
    return refused_call(session, error.event_id)


def _named(session: Session, key: str) -> str:
    item = find_call(session, key)
    call = None if item is None else item.call
    return key if call is None else f"{call.name} ({call.call_id or key})"


def _busy(session: Session, reason: str, at: float) -> Session:
    """The session after the ``response.create`` in flight was refused as too early.

    It is queued again, even if the active response was taken for its answer.
    """
    responses = session.responses
    if responses.in_flight is None:
        return requeue_answered(session)
    refused_at = (*responses.refused_at, at)
    if responses.active is not None:
        return requeue_in_flight(session)
    if len(refused_at) > BUSY_RETRIES:
        return fail_in_flight(session, reason)
    session = requeue_in_flight(session)
    responses = replace(session.responses, refused_at=refused_at)
    return put_responses(session, responses)


def retry_at(session: Session) -> float | None:
    """When a queued request is sent again that was refused; None for no such time."""
    responses, ticked = session.responses, session.activity.last_tick_at
    if responses.queued is None or not responses.refused_at:
        return None
    at = responses.refused_at[-1] + REQUEST_TIMEOUT
    return at if ticked is None or ticked < at else None


def _refused_type(
    session: Session, error: events.ErrorDetail, cause: SentEvent | None
) -> str | None:
    """The type of the request in flight that an error refuses; None for no request."""
    if cause is not None:
        created = [
            sent
            for sent in session.dedup.sent
            if sent.type == _CREATE and not sent.out_of_band
        ]
        # Only the last one is in flight.
        is_earlier = cause.type == _CREATE and cause not in created[-1:]
        return None if is_earlier else cause.type
    if error.event_id is not None:
        # The event of another client, or one that was sent long ago.
        return None
    if error.code in _REFUSALS or error.type in _REFUSALS:
        return _CREATE
    first = (error.param or "").partition(".")[0]
    if first in _PARAMS:
        return _PARAMS[first]
    response = msgspec.json.decode(session.responses.in_flight or "{}").get("response")
    is_of_update = bool(changes_of_field(session.connection, _field_of(error)))
    is_of_create = is_object(response) and _field_of(error) in response
    if is_of_update == is_of_create:
        return None
    return _UPDATE if is_of_update else _CREATE


def _field_of(error: events.ErrorDetail) -> str:
    """The field of the configuration, or of the response, that an error names."""
    path = (error.param or "").replace("[", ".").split(".")
    return path[1] if path[0] in _PARAMS and len(path) > 1 else path[0]


def _expire(session: Session, error: events.ErrorDetail, at: float | None) -> Session:
    """The session with its expiry time, if the error reports that it has expired."""
    if error.code != "session_expired" or at is None:
        return session
    return put_connection(session, replace(session.connection, expires_at=at))


def request_deadlines(session: Session) -> Iterator[float]:
    """When the waits for the answers to requests end, in seconds since the epoch."""
    responses, updates = session.responses, session.connection.updates_in_flight
    if responses.in_flight is not None and responses.waiting_since is not None:
        yield responses.waiting_since + REQUEST_TIMEOUT
    if updates:
        yield updates[0] + REQUEST_TIMEOUT
    if (again := retry_at(session)) is not None:
        yield again


def expire_requests(session: Session, at: float) -> Session:
    """The session at a time, with the requests given up that are due.

    After a tick that is much too late the waits begin anew: this process slept, so the
    answers may be waiting.
    """
    responses, updates = session.responses, session.connection.updates_in_flight
    if responses.in_flight is not None:
        since = responses.waiting_since
        if since is None or _is_overslept(since, at):
            session = put_responses(session, replace(responses, waiting_since=at))
        elif at >= since + REQUEST_TIMEOUT:
            session = _add_unanswered(session, _CREATE, at)
            session = fail_in_flight(session, session.problems[-1].message)
            # A late response is still cancelled.
            late = replace(session.responses, cancelling=responses.cancelling)
            session = put_responses(session, late)
    if any(_is_overslept(sent, at) for sent in updates):
        return put_updates(session, (at,) * len(updates))
    waiting = tuple(sent for sent in updates if at < sent + REQUEST_TIMEOUT)
    if len(waiting) == len(updates):
        return session
    return give_up_updates(_add_unanswered(session, _UPDATE, at), waiting)


def _is_overslept(since: float, at: float) -> bool:
    return at > since + 2 * REQUEST_TIMEOUT


def _add_unanswered(session: Session, type: str, at: float) -> Session:
    message = f"the service did not answer {type} within {REQUEST_TIMEOUT:g} s"
    problem = Problem("request_unanswered", message, at=at, origin=type)
    return add_problem(session, problem)


TABLE: dict[type, Handler] = {events.Error: _on_error}
