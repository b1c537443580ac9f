"""What the application asks for: wished, sent, answered.

A ``response.create`` that cannot be sent now is wished for by `duologue.requested`.
When it goes out it is no wish any more, and the service is asked; ``response.created``
or an error that it caused is the answer. One that is refused because the service was
quicker with a response of its own is a wish again, and so is one whose connection was
lost before the answer. One out of band waits for nobody and is not counted here. The
configuration asked for is what all ``session.update`` together say.

`reduce` keeps the ids of the last events that went out, so that an error can be
traced to the one that caused it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.base import ClientEvent, Event
from duologue.core.log.record import Record
from duologue.core.state.model import Problem, Responses, SentEvent, Session
from duologue.core.wire.audio_fields import is_append
from duologue.core.wire.json_values import canonical_json, is_object, merged

from .handler import Handler
from .nodes import with_connection
from .usage import add_problem

__all__ = ["MAX_SENT", "TABLE", "answered", "asked_in_vain", "note_sent"]

#: Events that went out, kept so that an error can name them.
MAX_SENT = 64

#: The error that says that another response is in work.
_BUSY = "conversation_already_has_active_response"
#: Errors that answer a ``response.create`` although they do not name it.
_REFUSALS = (_BUSY, "bad_response_create")


def note_sent(sent: tuple[SentEvent, ...], event: Event) -> tuple[SentEvent, ...]:
    """The events sent, this one too if it has an id. Audio has nothing to refuse."""
    if not isinstance(event, ClientEvent) or event.event_id is None:
        return sent
    if is_append(event):
        return sent
    noted = SentEvent(event.event_id, event.type, _is_out_of_band(event))
    return (*sent[1 - MAX_SENT :], noted)


def _is_out_of_band(event: Any) -> bool:
    response = getattr(event, "response", None)
    return (
        isinstance(response, events.ResponseCreateParams)
        and response.conversation == "none"
    )


def _on_requested(session: Session, event: events.Requested, record: Record) -> Session:
    wish = event.event
    if wish.get("type") == "session.update" and is_object(wish.get("session")):
        return _ask(session, wish["session"])
    if wish.get("type") != "response.create":
        return session
    response = wish.get("response")
    if is_object(response) and response.get("conversation") == "none":
        return session
    return _with(session, replace(session.responses, queued=canonical_json(wish)))


def _ask(session: Session, config: Any) -> Session:
    """The session with the configuration asked for, this change of it included."""
    before = session.connection.requested
    if before is not None:
        change = msgspec.json.decode(msgspec.json.encode(config))
        config = merged(msgspec.json.decode(before), change)
    # As text: what is in the state is nobody's to change.
    requested = canonical_json(config)
    return with_connection(session, replace(session.connection, requested=requested))


def _on_update(
    session: Session,
    event: events.SessionUpdate | events.TranslationSessionUpdate,
    record: Record,
) -> Session:
    return _ask(session, event.session)


def _on_create(
    session: Session, event: events.ResponseCreate, record: Record
) -> Session:
    if _is_out_of_band(event):
        return session
    # Without its id: asked once more it is another event.
    asked = canonical_json(msgspec.structs.replace(event, event_id=None))
    return _with(session, replace(session.responses, queued=None, in_flight=asked))


def answered(session: Session) -> Session:
    """The session with its ``response.create`` answered, if one was out."""
    if session.responses.in_flight is None:
        return session
    return _with(session, replace(session.responses, in_flight=None))


def asked_in_vain(session: Session) -> Session:
    """The session whose connection is gone: what it was asked for is a wish again."""
    responses = session.responses
    wished = responses.queued or responses.in_flight
    return _with(session, replace(responses, queued=wished, in_flight=None))


def _with(session: Session, responses: Responses) -> Session:
    if responses == session.responses:
        return session
    return replace(session, responses=responses)


def _on_error(session: Session, event: events.Error, record: Record) -> Session:
    """A problem, traced to our event if it names it; the session mostly lives on."""
    error = event.error
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
    return _refused(session, error) if _refuses(error, cause) else session


def _refused(session: Session, error: events.ErrorDetail) -> Session:
    """The session with its ``response.create`` answered by an error.

    Where the service was quicker with a response of its own, it is wished for again.
    """
    asked = session.responses.in_flight
    session = answered(session)
    responses = session.responses
    if error.code != _BUSY or responses.active is None or responses.queued is not None:
        return session
    return _with(session, replace(responses, queued=asked))


def _cause(session: Session, event_id: str | None) -> SentEvent | None:
    for sent in reversed(session.dedup.sent):
        if sent.id == event_id:
            return sent
    return None


def _refuses(error: events.ErrorDetail, cause: SentEvent | None) -> bool:
    """Whether an error answers the ``response.create`` that is out."""
    if cause is not None:
        return cause.type == "response.create" and not cause.out_of_band
    return error.code in _REFUSALS


def _expire(session: Session, error: events.ErrorDetail, at: float | None) -> Session:
    """The session with its end, where the error says that it has come."""
    if error.code != "session_expired" or at is None:
        return session
    return with_connection(session, replace(session.connection, expires_at=at))


TABLE: dict[type, Handler] = {
    events.Requested: _on_requested,
    events.SessionUpdate: _on_update,
    events.TranslationSessionUpdate: _on_update,
    events.ResponseCreate: _on_create,
    events.Error: _on_error,
}
