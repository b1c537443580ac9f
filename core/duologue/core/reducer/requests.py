"""Requests of the application: queued, in flight, answered.

`duologue.requested` queues a ``response.create`` that cannot be sent yet. Once sent it
is in flight until the service answers it: with ``response.created``, or an error. It is
queued again if the service refuses it because another response is active, or if the
connection is lost before the answer. Out-of-band responses are never queued.
`duologue.interrupted` withdraws what is queued and marks what is in flight. The
requested configuration is the merge of all ``session.update``.

The ids of the last sent events are kept, so that an error can be matched to its cause.
An error that names a sent event refuses that event. An error that names none refuses
the ``response.create`` or ``session.update`` in flight if it can concern nothing else.
A request without any answer is given up after `REQUEST_TIMEOUT`: this adds a problem,
and the next request can be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.base import ClientEvent, Event
from duologue.core.events.types import RealtimeEventType, SessionStatus
from duologue.core.log.record import Record
from duologue.core.state.model import (
    ConfigChange,
    Connection,
    Problem,
    Responses,
    RestoredItem,
    SentEvent,
    Session,
    UnconfirmedItem,
)
from duologue.core.wire.audio_fields import is_append
from duologue.core.wire.codec import decode
from duologue.core.wire.json_values import canonical_json, is_object, merged

from .handler import Handler, add_problem, put_connection, put_response, time_of

__all__ = [
    "FIXED_FIELDS",
    "MAX_SENT",
    "MAX_UNCONFIRMED",
    "REQUEST_TIMEOUT",
    "TABLE",
    "add_sent",
    "answer_update",
    "clear_in_flight",
    "expire_requests",
    "keep_restored",
    "keep_unconfirmed",
    "request_deadlines",
    "requeue_in_flight",
    "restored_by",
    "wanted_config",
]

#: The number of sent events that a session keeps, to find the cause of an error.
MAX_SENT = 64

#: The number of sent items that a session keeps until the service confirms them, one
#: by one and in order.
MAX_UNCONFIRMED = 256

#: Fields that a session does not accept in an update.
FIXED_FIELDS = ("id", "object", "model", "expires_at")

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


def add_sent(sent: tuple[SentEvent, ...], event: Event) -> tuple[SentEvent, ...]:
    """The sent events, with this one added if it has an id and is not audio."""
    if not isinstance(event, ClientEvent) or event.event_id is None:
        return sent
    if is_append(event):
        return sent
    added = SentEvent(event.event_id, event.type, _is_out_of_band(event))
    return (*sent[1 - MAX_SENT :], added)


def _is_out_of_band(event: Event) -> bool:
    return (
        isinstance(event, events.ResponseCreate)
        and isinstance(event.response, events.ResponseCreateParams)
        and event.response.conversation == "none"
    )


def _on_requested(session: Session, event: events.Requested, record: Record) -> Session:
    request = event.event
    if request.get("type") == "session.update" and is_object(request.get("session")):
        change = ConfigChange(canonical_json(request["session"]))
        changes = session.connection.changes
        if changes[-1:] != (change,):
            session = _put_changes(session, (*changes, change))
        return _request_config(session, request["session"])
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
    return _put_responses(session, responses)


def _request_config(session: Session, config: Any) -> Session:
    """The session with this change merged into the requested configuration."""
    before = session.connection.requested
    if before is not None:
        change = msgspec.json.decode(msgspec.json.encode(config))
        config = merged(msgspec.json.decode(before), change)
    # As text, because the state is immutable.
    requested = canonical_json(config)
    return put_connection(session, replace(session.connection, requested=requested))


def _on_update(
    session: Session,
    event: events.SessionUpdate | events.TranslationSessionUpdate,
    record: Record,
) -> Session:
    session = _change_sent(session, event)
    session = _request_config(session, event.session)
    at = time_of(session, record)
    if at is None:
        return session
    updates = (*session.connection.updates_in_flight[1 - MAX_SENT :], at)
    return _put_updates(session, updates)


def _put_updates(session: Session, updates: tuple[float, ...]) -> Session:
    connection = replace(session.connection, updates_in_flight=updates)
    return put_connection(session, connection)


def _change_sent(
    session: Session, event: events.SessionUpdate | events.TranslationSessionUpdate
) -> Session:
    """The session with this change in flight, which may have been requested before."""
    connection = session.connection
    config = canonical_json(event.session)
    key, changes = _comparable(config, connection), connection.changes
    number = session.dedup.events + 1
    for index, known in enumerate(changes):
        if not known.sent and _comparable(known.config, connection) == key:
            sent = replace(known, sent=number, event_id=event.event_id)
            return _put_changes(
                session, (*changes[:index], sent, *changes[index + 1 :])
            )
    restored = (connection.base, wanted_config(connection))
    is_restored = key in [_comparable(each, connection) for each in restored]
    sent = ConfigChange(config, number, event.event_id, is_restored)
    return _put_changes(session, (*changes, sent))


def _put_changes(session: Session, changes: tuple[ConfigChange, ...]) -> Session:
    # The first one may be the configuration of the session.
    kept = (*changes[:1], *changes[1:][1 - MAX_SENT :])
    return put_connection(session, replace(session.connection, changes=kept))


def _comparable(config: str, connection: Connection) -> str:
    """A configuration without the fields that an update cannot change."""
    values = msgspec.json.decode(config)
    frame = msgspec.json.encode({"type": _UPDATE, "session": values})
    event = decode(frame, kind=connection.kind)
    if isinstance(event, events.SessionUpdate | events.TranslationSessionUpdate):
        values = msgspec.json.decode(msgspec.json.encode(event.session))
    return canonical_json(
        {key: values[key] for key in values if key not in (*FIXED_FIELDS, "type")}
    )


def answer_update(
    session: Session, *, is_accepted: bool = True, event_id: str | None = None
) -> Session:
    """The session after the answer to a ``session.update`` in flight.

    Without an ``event_id`` to the first: a service answers in order.
    """
    session = _put_updates(session, session.connection.updates_in_flight[1:])
    connection = session.connection
    changes, accepted = connection.changes, connection.accepted
    sent = [
        change
        for change in changes
        if change.sent and event_id in (None, change.event_id)
    ]
    if not sent:
        return session
    found = min(sent, key=lambda change: change.sent)
    index = changes.index(found)
    first, rest = changes[:index], changes[index + 1 :]
    if is_accepted and accepted is None:
        # Earlier ones that were not sent were a part of the request to connect.
        delivered = [change.config for change in first if not change.sent]
        first = tuple(change for change in first if change.sent)
        accepted = _merge_configs(*delivered, found.config)
    elif is_accepted:
        accepted = _merge_configs(accepted or "{}", found.config)
    elif accepted is None and index == 0:
        # The session still needs its model to connect.
        values = msgspec.json.decode(found.config)
        identity = {key: values[key] for key in ("type", "model") if key in values}
        accepted = canonical_json(identity)
    connection = replace(connection, accepted=accepted, changes=(*first, *rest))
    return put_connection(session, connection)


def wanted_config(connection: Connection) -> str:
    """The accepted configuration with all changes that were not refused, as JSON."""
    changes = [each.config for each in connection.changes if not each.is_restored]
    return _merge_configs(connection.base, *changes)


def _merge_configs(*configs: str) -> str:
    first, *changes = map(msgspec.json.decode, configs)
    for change in changes:
        first = merged(first, change)
    return canonical_json(first)


def _on_create(
    session: Session, event: events.ResponseCreate, record: Record
) -> Session:
    if _is_out_of_band(event):
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
    return _put_responses(session, responses)


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
    return _put_responses(session, responses)


def keep_unconfirmed(
    session: Session, event: events.ConversationItemCreate, record: Record
) -> Session:
    """The session with a sent item, in case its connection is lost too early."""
    item_id, conversation = event.item.id, session.conversation
    if session.connection.policy is None or not item_id or item_id in session.items:
        return session
    kept = tuple(
        each
        for each in conversation.unconfirmed[1 - MAX_UNCONFIRMED :]
        if each.item_id != item_id and each.item_id not in session.items
    )
    sent = UnconfirmedItem(item_id, event.event_id, record.frame.decode())
    conversation = replace(conversation, unconfirmed=(*kept, sent))
    return replace(session, conversation=conversation)


def keep_restored(session: Session, event: events.ConversationItemCreate) -> Session:
    """The session with an item sent that restores one of an earlier connection."""
    item, previous = session.item(event.item.id), event.previous_item_id
    if item is None or item.placement.epoch >= session.connection.epoch:
        return session
    if event.event_id is None or not isinstance(previous, str):
        return session
    restored = session.conversation.restored
    before, known = restored.get(previous), restored.get(item.id)
    sent = RestoredItem(
        event.event_id,
        None if before is None else previous,
        None if before is None else before.event_id,
        () if known is None else known.refused,
    )
    return _put_restored(session, item.id, sent)


def restored_by(session: Session, event_id: str | None) -> str | None:
    """The id of the item that this event restored last."""
    for item_id, sent in session.conversation.restored.items():
        if sent.event_id == event_id:
            return item_id
    return None


def _put_restored(session: Session, item_id: str, sent: RestoredItem) -> Session:
    restored = session.conversation.restored.set(item_id, sent)
    conversation = replace(session.conversation, restored=restored)
    return replace(session, conversation=conversation)


def _refuse_restored(session: Session, item_id: str) -> Session:
    """The session after an error has refused an item that was to be restored.

    If its predecessor was refused, `react` sends it again.
    """
    sent = session.conversation.restored[item_id]
    before = session.conversation.restored.get(sent.previous or "")
    refused = replace(
        sent,
        refused=(*sent.refused, sent.event_id),
        dropped=before is None or sent.after not in before.refused,
    )
    return _put_restored(session, item_id, refused)


def _drop_refused(session: Session, event_id: str | None) -> Session:
    """The session without the sent item that an error refuses."""
    conversation = session.conversation
    kept = tuple(
        each
        for each in conversation.unconfirmed
        if event_id is None or each.event_id != event_id
    )
    if kept == conversation.unconfirmed:
        return session
    return replace(session, conversation=replace(conversation, unconfirmed=kept))


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
    return _put_responses(session, responses)


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
    return clear_in_flight(_put_responses(session, responses))


def _put_responses(session: Session, responses: Responses) -> Session:
    if responses == session.responses:
        return session
    return replace(session, responses=responses)


def _on_error(session: Session, event: events.Error, record: Record) -> Session:
    """An error is a problem; most errors do not end the session."""
    error = event.error
    if (item_id := restored_by(session, error.event_id)) is not None:
        session = _refuse_restored(session, item_id)
        if not session.conversation.restored[item_id].dropped:
            # Not a problem: it is sent again.
            return session
    message = error.message or error.code or error.type or "unknown error"
    cause = _cause(session, error.event_id)
    problem = Problem(
        "error",
        message,
        error.code,
        at=record.at,
        event_id=error.event_id,
        origin=cause.type if cause else None,
    )
    session = _expire(add_problem(session, problem), error, record.at)
    session = _drop_refused(session, error.event_id)
    refused = _refused_type(session, error, cause)
    if refused == _UPDATE:
        name = error.event_id if cause is not None else None
        return answer_update(session, is_accepted=False, event_id=name)
    return _refused(session, error) if refused == _CREATE else session


def _refused(session: Session, error: events.ErrorDetail) -> Session:
    """The session after an error has refused the ``response.create`` in flight.

    If another response is active, the request is queued again.
    """
    responses = session.responses
    is_later = responses.active is not None or responses.queued is not None
    if _BUSY in (error.code, error.type) and is_later:
        return requeue_in_flight(session)
    return clear_in_flight(session)


def _cause(session: Session, event_id: str | None) -> SentEvent | None:
    for sent in reversed(session.dedup.sent):
        if sent.id == event_id:
            return sent
    return None


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
        return (
            None if cause.type == _CREATE and cause not in created[-1:] else cause.type
        )
    if error.event_id is not None:
        # The event of another client, or one that was sent long ago.
        return None
    if error.code in _REFUSALS or error.type in _REFUSALS:
        return _CREATE
    return _PARAMS.get((error.param or "").partition(".")[0])


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
            session = _put_responses(session, replace(responses, waiting_since=at))
        elif at >= since + REQUEST_TIMEOUT:
            session = clear_in_flight(_add_unanswered(session, _CREATE, at))
            # A late response is still cancelled.
            late = replace(session.responses, cancelling=responses.cancelling)
            session = _put_responses(session, late)
    waiting = tuple(sent for sent in updates if at < sent + REQUEST_TIMEOUT)
    if len(waiting) == len(updates):
        return session
    return _put_updates(_add_unanswered(session, _UPDATE, at), waiting)


def _add_unanswered(session: Session, type: str, at: float) -> Session:
    message = f"the service did not answer {type} within {REQUEST_TIMEOUT:g} s"
    problem = Problem("request_unanswered", message, at=at, origin=type)
    return add_problem(session, problem)


TABLE: dict[type, Handler] = {
    events.Requested: _on_requested,
    events.Interrupted: _on_interrupted,
    events.SessionUpdate: _on_update,
    events.TranslationSessionUpdate: _on_update,
    events.ResponseCreate: _on_create,
    events.Error: _on_error,
}
