"""The life of a session: connecting, open, reconnecting, closed, failed.

::

    connecting ──connected──▶ open ──disconnected──▶ reconnecting ──connected──▶ open
        │                       │                         │
        └──────── closed / failed, by ``duologue.closed`` or an expected end ────────┘

Reconnecting begins a new epoch of the same session; audio offsets belong to theirs.
"""

from __future__ import annotations

import attrs
from msgspec import UNSET

from duologue.core import events
from duologue.core.record import Record
from duologue.core.state import Activity, Problem, Session
from duologue.core.types import SessionKind, SessionStatus

from .handler import Handler
from .ledger import add_problem

__all__ = ["TABLE"]

_OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)


def _on_connecting(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    connection = session.connection
    again = record.epoch > connection.epoch
    conversation = session.conversation
    if again:
        conversation = attrs.evolve(conversation, anchor=conversation.order.last)
    return attrs.evolve(
        session,
        conversation=conversation,
        connection=attrs.evolve(
            connection,
            status=SessionStatus.RECONNECTING if again else SessionStatus.CONNECTING,
            epoch=record.epoch,
            reason=None,
        ),
    )


def _on_connected(session: Session, event: events.Connected, record: Record) -> Session:
    return _with_status(session, SessionStatus.OPEN, None)


def _on_disconnected(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    if session.connection.status in _OVER:
        return session
    status = SessionStatus.CLOSED if event.expected else SessionStatus.FAILED
    session = attrs.evolve(
        _with_status(session, status, event.reason),
        activity=Activity(
            last_spoken=session.activity.last_spoken,
            muted=session.activity.muted,
            volume=session.activity.volume,
        ),
    )
    if event.expected:
        return session
    reason = event.reason or "the connection was lost"
    return add_problem(session, Problem("disconnected", reason, at=record.at))


def _on_closed(session: Session, event: events.Closed, record: Record) -> Session:
    if session.connection.status is SessionStatus.FAILED:
        return session
    return _with_status(session, SessionStatus.CLOSED, session.connection.reason)


def _with_status(
    session: Session, status: SessionStatus, reason: str | None
) -> Session:
    connection = session.connection
    if connection.status is status and connection.reason == reason:
        return session
    return attrs.evolve(
        session, connection=attrs.evolve(connection, status=status, reason=reason)
    )


def _on_session(
    session: Session,
    event: events.SessionCreated | events.SessionUpdated,
    record: Record,
) -> Session:
    """``session.created`` and ``session.updated`` carry the configuration whole."""
    config = event.session
    expires_at = config.expires_at
    connection = attrs.evolve(
        session.connection,
        # A log of frames alone has no local facts: the service's word will do.
        status=SessionStatus.OPEN,
        kind=_kind(config),
        server_id=session.connection.server_id if config.id is UNSET else config.id,
        # Zero is what an echo of client_secrets says, and means nothing.
        expires_at=session.connection.expires_at
        if expires_at is UNSET or not expires_at
        else expires_at,
        confirmed=config,
        reason=None,
    )
    if session.connection.status in _OVER:
        connection = attrs.evolve(connection, status=session.connection.status)
    if connection == session.connection:
        return session
    return attrs.evolve(session, connection=connection)


def _kind(config: events.AnySessionConfig) -> SessionKind:
    if isinstance(config, events.TranscriptionSessionConfig):
        return SessionKind.TRANSCRIPTION
    return SessionKind.REALTIME


def _on_requested(session: Session, event: events.Requested, record: Record) -> Session:
    if event.event.get("type") != "session.update":
        return session
    requested = event.event.get("session")
    if not isinstance(requested, dict) or requested == session.connection.requested:
        return session
    return attrs.evolve(
        session, connection=attrs.evolve(session.connection, requested=requested)
    )


def _on_error(session: Session, event: events.Error, record: Record) -> Session:
    error = event.error
    message = error.message or error.code or error.type or "unknown error"
    problem = Problem("error", message, code=error.code, at=record.at)
    return add_problem(session, problem)


TABLE: dict[type, Handler] = {
    events.Connecting: _on_connecting,
    events.Connected: _on_connected,
    events.Disconnected: _on_disconnected,
    events.Closed: _on_closed,
    events.Requested: _on_requested,
    events.SessionCreated: _on_session,
    events.SessionUpdated: _on_session,
    events.Error: _on_error,
}
