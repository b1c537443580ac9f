"""The life of a session: connecting, open, reconnecting, closed, failed.

::

    connecting ──connected──▶ open ──disconnected──▶ closed, or failed if unexpected
                               ▲                        │
                           connected        connecting, of the next epoch
                               │                        ▼
                               └───────────────── reconnecting

Reconnecting begins a new epoch of the same session; audio offsets belong to theirs.
What an older connection says once a newer one is there changes nothing here. A session
that is over stays so until it connects again.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from duologue.core import events
from duologue.core.record import Record
from duologue.core.state import Problem, Session
from duologue.core.types import SessionKind, SessionStatus

from .handler import Handler
from .ledger import add_problem
from .nodes import with_activity, with_connection

__all__ = ["TABLE"]

_OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)
_EMPTY = (events.RealtimeSessionConfig(), events.TranscriptionSessionConfig())


def _on_connecting(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    if record.epoch < session.connection.epoch:
        return session
    again = record.epoch > session.connection.epoch
    status = SessionStatus.RECONNECTING if again else SessionStatus.CONNECTING
    return _with_status(_enter(session, record.epoch), status, None)


def _on_connected(session: Session, event: events.Connected, record: Record) -> Session:
    if _is_past(session, record):
        return session
    return _with_status(_enter(session, record.epoch), SessionStatus.OPEN, None)


def _is_past(session: Session, record: Record) -> bool:
    """Whether a record tells of a connection that is over.

    What happens to one that has handed over to the next is none of our concern.
    """
    connection = session.connection
    if record.epoch != connection.epoch:
        return record.epoch < connection.epoch
    return connection.status in _OVER


def _enter(session: Session, epoch: int) -> Session:
    """The session in this epoch; what the next one brings stands behind what is."""
    connection, conversation = session.connection, session.conversation
    if epoch <= connection.epoch:
        return session
    return attrs.evolve(
        session,
        connection=attrs.evolve(connection, epoch=epoch),
        conversation=attrs.evolve(conversation, anchor=conversation.order.last),
    )


def _on_disconnected(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    if _is_past(session, record):
        return session
    status = SessionStatus.CLOSED if event.expected else SessionStatus.FAILED
    silent = attrs.evolve(
        session.activity, speaking_item=None, speech_started_at=None, playing=None
    )
    session = with_activity(_with_status(session, status, event.reason), silent)
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
    return with_connection(
        session, attrs.evolve(session.connection, status=status, reason=reason)
    )


def _on_session(
    session: Session,
    event: events.SessionCreated | events.SessionUpdated,
    record: Record,
) -> Session:
    """``session.created`` and ``session.updated`` carry the configuration whole."""
    if record.epoch < session.connection.epoch:
        return session
    session = _enter(session, record.epoch)
    config = event.session
    # An empty one is what is left of a null: it confirms nothing.
    if config not in _EMPTY:
        session = with_connection(
            session,
            attrs.evolve(session.connection, kind=_kind(config), confirmed=config),
        )
    return _greet(session, config)


def _on_translation(
    session: Session,
    event: events.TranslationSessionCreated | events.TranslationSessionUpdated,
    record: Record,
) -> Session:
    """The same of a translation, whose configuration is not kept yet."""
    if record.epoch < session.connection.epoch:
        return session
    session = _enter(session, record.epoch)
    connection = attrs.evolve(session.connection, kind=SessionKind.TRANSLATION)
    return _greet(with_connection(session, connection), event.session)


def _greet(session: Session, config: Any) -> Session:
    """The session with what the service says of it beside the configuration."""
    connection = session.connection
    if isinstance(config.id, str):
        connection = attrs.evolve(connection, server_id=config.id)
    # Zero is what an echo of client_secrets says, and means nothing.
    if isinstance(config.expires_at, float | int) and config.expires_at:
        connection = attrs.evolve(connection, expires_at=config.expires_at)
    if connection.status not in _OVER:
        # A log of frames alone has no local facts: the service's word will do.
        connection = attrs.evolve(connection, status=SessionStatus.OPEN, reason=None)
    return with_connection(session, connection)


def _kind(config: events.AnySessionConfig) -> SessionKind:
    if isinstance(config, events.TranscriptionSessionConfig):
        return SessionKind.TRANSCRIPTION
    return SessionKind.REALTIME


def _on_requested(session: Session, event: events.Requested, record: Record) -> Session:
    wish = event.event.get("session")
    if event.event.get("type") != "session.update" or not isinstance(wish, dict):
        return session
    # As text: what is in the state is nobody's to change.
    requested = msgspec.json.encode(wish, order="sorted").decode()
    return with_connection(
        session, attrs.evolve(session.connection, requested=requested)
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
    events.TranslationSessionCreated: _on_translation,
    events.TranslationSessionUpdated: _on_translation,
    events.Error: _on_error,
}
