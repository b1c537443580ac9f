"""The life of a session: connecting, open, reconnecting, closed, failed.

The transitions are `phases.CONNECTION`. Reconnecting begins a new epoch of the same
session; audio offsets belong to theirs. What an older connection says once a newer one
is there changes nothing here, but for the responses that it takes with it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events, phases
from duologue.core.canonical import canonical
from duologue.core.record import Record
from duologue.core.state import Problem, Session
from duologue.core.types import SessionKind

from .handler import Handler
from .ledger import add_problem
from .nodes import with_activity, with_connection
from .outputs import lose_responses
from .requests import answered, asked_in_vain

__all__ = ["TABLE", "end", "greet"]

_EMPTY = (events.RealtimeSessionConfig(), events.TranscriptionSessionConfig())


def _on_connecting(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    return _enter(session, record, phases.BEGINS)


def _on_connected(session: Session, event: events.Connected, record: Record) -> Session:
    return _enter(session, record, phases.STANDS)


def _enter(session: Session, record: Record, trigger: str) -> Session:
    """The session after a beginning; what a new epoch brings stands behind what is."""
    connection = session.connection
    if record.epoch < connection.epoch:
        return session
    if record.epoch > connection.epoch:
        trigger = f"{trigger} again"
        session = asked_in_vain(session)
        conversation = session.conversation
        if conversation.anchor != conversation.order.last:
            anchored = replace(conversation, anchor=conversation.order.last)
            session = replace(session, conversation=anchored)
        connection = replace(connection, epoch=record.epoch, expires_at=None)
    return _move(session, connection, trigger, None)


def _move(
    session: Session, connection: Any, trigger: str, reason: str | None
) -> Session:
    """The session with a connection that goes to where the trigger leads."""
    status = phases.after(phases.CONNECTION, connection.status, trigger)
    if status is not connection.status:
        connection = replace(connection, status=status, reason=reason)
    return with_connection(session, connection)


def _on_disconnected(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    if record.epoch < session.connection.epoch:
        # It has handed over to the next one; only what it was saying is lost.
        return lose_responses(session, record.epoch, record.at)
    before = session.connection.status
    if event.expected:
        trigger = f"{phases.LOST} expected"
    else:
        trigger = f"{phases.LOST} retrying" if event.retrying else phases.LOST
        session = asked_in_vain(session)
    session = end(session, trigger, event.reason, record)
    if event.expected or session.connection.status is before:
        return session
    reason = event.reason or "the connection was lost"
    return add_problem(session, Problem("disconnected", reason, at=record.at))


def end(session: Session, trigger: str, reason: str | None, record: Record) -> Session:
    """The session after an end: nobody is heard, and no answer comes any more."""
    session = _move(session, session.connection, trigger, reason)
    silent = replace(
        session.activity, speaking_item=None, speech_started_at=None, playing=None
    )
    playing = session.activity.playing
    session = answered(with_activity(session, silent))
    return lose_responses(session, session.connection.epoch, record.at, playing)


def _on_closed(session: Session, event: events.Closed, record: Record) -> Session:
    return end(session, phases.OVER, session.connection.reason, record)


def _on_session(
    session: Session,
    event: events.SessionCreated | events.SessionUpdated,
    record: Record,
) -> Session:
    """``session.created`` and ``session.updated`` carry the configuration whole."""
    if record.epoch < session.connection.epoch:
        return session
    config = event.session
    session = greet(session, config, record)
    # An empty one is what is left of a null: it confirms nothing.
    if config in _EMPTY:
        return session
    connection = replace(
        session.connection, kind=_kind(config), confirmed=canonical(config)
    )
    return with_connection(session, connection)


def greet(session: Session, config: Any, record: Record) -> Session:
    """The session with what the service says of it beside the configuration.

    A log of frames alone has no local facts: the service's word opens the session.
    """
    session = _enter(session, record, phases.GREETED)
    connection = session.connection
    if isinstance(config.id, str):
        connection = replace(connection, server_id=config.id)
    # Zero is what an echo of client_secrets says, and means nothing.
    expires = config.expires_at
    if isinstance(expires, float | int) and 0 < expires < 1 << 53:
        connection = replace(connection, expires_at=float(expires))
    return with_connection(session, connection)


def _kind(config: events.AnySessionConfig) -> SessionKind:
    if isinstance(config, events.TranscriptionSessionConfig):
        return SessionKind.TRANSCRIPTION
    return SessionKind.REALTIME


TABLE: dict[type, Handler] = {
    events.Connecting: _on_connecting,
    events.Connected: _on_connected,
    events.Disconnected: _on_disconnected,
    events.Closed: _on_closed,
    events.SessionCreated: _on_session,
    events.SessionUpdated: _on_session,
}
