"""The life of a session: connecting, open, reconnecting, closed, failed.

The transitions are `transitions.CONNECTION`. Reconnecting begins a new epoch of the
same session; audio offsets belong to theirs. Once a newer connection exists, an older
one changes nothing here, except that its end also ends its responses.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import SessionKind
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Problem, Session
from duologue.core.wire.json_values import canonical

from .handler import Handler
from .items import be_silent
from .nodes import with_activity, with_connection
from .parts import put_item
from .requests import answered, asked_in_vain
from .response_items import lose_responses
from .usage import add_problem

__all__ = ["TABLE", "end", "greet"]

_EMPTY = (events.RealtimeSessionConfig(), events.TranscriptionSessionConfig())


def _on_connecting(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    return _enter(session, record, transitions.CONNECTING)


def _on_connected(session: Session, event: events.Connected, record: Record) -> Session:
    return _enter(session, record, transitions.CONNECTED)


def _enter(session: Session, record: Record, trigger: str) -> Session:
    """The session after a beginning; what a new epoch brings stands behind what is."""
    connection = session.connection
    if record.epoch < connection.epoch:
        return session
    if record.epoch > connection.epoch:
        trigger = f"{trigger} again"
        session = asked_in_vain(session)
        conversation = session.conversation
        if conversation.epoch_boundary != conversation.order.last:
            anchored = replace(conversation, epoch_boundary=conversation.order.last)
            session = replace(session, conversation=anchored)
        connection = replace(connection, epoch=record.epoch, expires_at=None)
    return _move(session, connection, trigger, None)


def _move(
    session: Session, connection: Any, trigger: str, reason: str | None
) -> Session:
    """The session with a connection that goes to where the trigger leads."""
    status = transitions.next_status(transitions.CONNECTION, connection.status, trigger)
    if status is not connection.status:
        connection = replace(connection, status=status, reason=reason)
    return with_connection(session, connection)


def _on_disconnected(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    if record.epoch < session.connection.epoch:
        # It has handed over to the next one; only what it was at is lost.
        return _break_off(session, record)
    before = session.connection.status
    if event.expected:
        trigger = f"{transitions.DISCONNECTED} expected"
    else:
        trigger = (
            f"{transitions.DISCONNECTED} retrying"
            if event.retrying
            else transitions.DISCONNECTED
        )
        session = asked_in_vain(session)
    session = end(session, trigger, event.reason, record)
    if event.expected or session.connection.status is before:
        return session
    reason = event.reason or "the connection was lost"
    return add_problem(session, Problem("disconnected", reason, at=record.at))


def end(session: Session, trigger: str, reason: str | None, record: Record) -> Session:
    """The session after an end: nobody is heard, and no answer comes any more."""
    session = _move(session, session.connection, trigger, reason)
    return _break_off(answered(session), record)


def _break_off(session: Session, record: Record) -> Session:
    """The session without what a connection that is gone was at.

    What the next one is at already goes on: two overlap while one hands over.
    """
    epoch = min(record.epoch, session.connection.epoch)
    activity = session.activity
    speaking = session.item(activity.speaking_item)
    if speaking is None or speaking.placement.epoch <= epoch:
        silent = replace(activity, speaking_item=None, speech_started_at=None)
        session = with_activity(session, silent)
    playing = session.response(activity.playing)
    if playing is None or playing.epoch <= epoch:
        session = with_activity(session, replace(session.activity, playing=None))
    session = _leave_unwritten(session, epoch, record.at)
    return lose_responses(
        session, epoch, record.at, playing.id if playing is not None else None
    )


def _leave_unwritten(session: Session, epoch: int, at: float | None) -> Session:
    """The session with the user's lines closed that a lost connection was to write.

    They are among the last: those of the connections before are closed.
    """
    for item_id in reversed(session.conversation.order):
        item = session.items[item_id]
        if item.placement.epoch < epoch:
            break
        if item.role != "user" or item.placement.epoch > epoch:
            continue
        silent = be_silent(item)
        status = transitions.next_status(
            transitions.ITEM, item.status, transitions.DISCONNECTED
        )
        if silent is item and status == item.status:
            continue
        placement = item.placement
        if placement.finished_at is None:
            placement = replace(placement, finished_at=at)
        over = replace(silent, status=status, placement=placement)
        session = put_item(session, over)
    return session


def _on_closed(session: Session, event: events.Closed, record: Record) -> Session:
    return end(session, transitions.CLOSED, session.connection.reason, record)


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
    session = _enter(session, record, transitions.SESSION_CREATED)
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
