"""Answers to requests: an error refuses one, and a time limit gives one up.

An error that names a sent event refuses that event. An error that names none refuses
the ``response.create`` or ``session.update`` in flight if it can concern nothing else.
A request without any answer is given up after `REQUEST_TIMEOUT`: this adds a problem,
and the next request can be sent.
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

from ..handler import Handler, add_problem, put_connection, put_responses
from .configuration import changes_of_field, give_up_updates, refuse_update
from .in_flight import clear_in_flight, requeue_answered, requeue_in_flight
from .sent_events import cause_of, drop_refused, first_restoring, refuse_restored

__all__ = [
    "REQUEST_TIMEOUT",
    "TABLE",
    "expire_requests",
    "refused_item",
    "request_deadlines",
]

#: Seconds to wait for the answer to a ``response.create`` or a ``session.update``. A
#: service answers before it generates anything, in recorded traffic within a second.
#: An answer after that time still takes effect.
REQUEST_TIMEOUT = 10.0

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
    problem = Problem(
        "error",
        message,
        error.code,
        at=record.at,
        event_id=error.event_id,
        origin=cause.type if cause else None,
    )
    session = _expire(add_problem(session, problem), error, record.at)
    session = drop_refused(session, error.event_id)
    refused = _refused_type(session, error, cause)
    if refused == _UPDATE:
        return refuse_update(session, error.event_id, _field_of(error))
    return _refused(session, error) if refused == _CREATE else session


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


def _refused(session: Session, error: events.ErrorDetail) -> Session:
    """The session after an error has refused the ``response.create`` in flight.

    If another response is active, the request is queued again, even if that response
    was taken for its answer.
    """
    responses = session.responses
    is_busy = _BUSY in (error.code, error.type)
    if is_busy and responses.in_flight is None and responses.answered is not None:
        return requeue_answered(session)
    is_later = responses.active is not None or responses.queued is not None
    if is_busy and is_later:
        return requeue_in_flight(session)
    return clear_in_flight(session)


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


def expire_requests(session: Session, at: float) -> Session:
    """The session at a time, with the requests given up that are due."""
    responses, updates = session.responses, session.connection.updates_in_flight
    if responses.in_flight is not None:
        since = responses.waiting_since
        if since is None:
            session = put_responses(session, replace(responses, waiting_since=at))
        elif at >= since + REQUEST_TIMEOUT:
            session = clear_in_flight(_add_unanswered(session, _CREATE, at))
            # A late response is still cancelled.
            late = replace(session.responses, cancelling=responses.cancelling)
            session = put_responses(session, late)
    waiting = tuple(sent for sent in updates if at < sent + REQUEST_TIMEOUT)
    if len(waiting) == len(updates):
        return session
    return give_up_updates(_add_unanswered(session, _UPDATE, at), waiting)


def _add_unanswered(session: Session, type: str, at: float) -> Session:
    message = f"the service did not answer {type} within {REQUEST_TIMEOUT:g} s"
    problem = Problem("request_unanswered", message, at=at, origin=type)
    return add_problem(session, problem)


TABLE: dict[type, Handler] = {events.Error: _on_error}
