"""The connection status of a session: connecting, open, reconnecting, closed, failed.

The transitions are `transitions.CONNECTION`. Each connection is an epoch of the
session; an audio offset is valid within its epoch. Once there is a newer epoch, events
of older connections do not change the status; the end of an older connection only ends
its own responses and items.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import SessionKind, SessionStatus
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Problem, Session
from duologue.core.wire.json_values import canonical

from .handler import Handler, add_problem, put_activity, put_connection, put_item
from .input_audio import expire_turns
from .items import close_transcript
from .requests import (
    clear_in_flight,
    confirm_update,
    expire_requests,
    requeue_in_flight,
)
from .responses import abandon_responses, end_silent_response

__all__ = ["TABLE", "end_connection", "open_connection"]

_EMPTY = (events.RealtimeSessionConfig(), events.TranscriptionSessionConfig())


def _on_connecting(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    return _enter(session, record, transitions.CONNECTING)


def _on_connected(session: Session, event: events.Connected, record: Record) -> Session:
    return _enter(session, record, transitions.CONNECTED)


def _enter(session: Session, record: Record, trigger: str) -> Session:
    """The session after `trigger`. Items of a new epoch follow all existing ones."""
    connection = session.connection
    if record.epoch < connection.epoch:
        return session
    if record.epoch > connection.epoch:
        trigger = f"{trigger} again"
        session = requeue_in_flight(session)
        conversation = session.conversation
        if conversation.epoch_boundary != conversation.order.last:
            anchored = replace(conversation, epoch_boundary=conversation.order.last)
            session = replace(session, conversation=anchored)
        connection = replace(
            connection,
            epoch=record.epoch,
            expires_at=None,
            updates_in_flight=(),
        )
    return _move(session, connection, trigger, None)


def _move(
    session: Session, connection: Any, trigger: str, reason: str | None
) -> Session:
    """The session with the status of its connection after a trigger."""
    status = transitions.next_status(transitions.CONNECTION, connection.status, trigger)
    if status is not connection.status:
        connection = replace(connection, status=status, reason=reason)
    return put_connection(session, connection)


def _on_disconnected(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    if record.epoch < session.connection.epoch:
        # A newer connection has replaced it: abandon only the older one's pending work.
        return _abandon_work(session, record)
    before = session.connection.status
    if event.expected:
        trigger = f"{transitions.DISCONNECTED} expected"
    else:
        trigger = (
            f"{transitions.DISCONNECTED} retrying"
            if event.retrying
            else transitions.DISCONNECTED
        )
        session = requeue_in_flight(session)
    session = end_connection(session, trigger, event.reason, record)
    if event.expected or session.connection.status is before:
        return session
    reason = event.reason or "the connection was lost"
    return add_problem(session, Problem("disconnected", reason, at=record.at))


def end_connection(
    session: Session, trigger: str, reason: str | None, record: Record
) -> Session:
    """The session after the end of its connection, with all pending work abandoned."""
    session = _move(session, session.connection, trigger, reason)
    return _abandon_work(clear_in_flight(session), record)


def _abandon_work(session: Session, record: Record) -> Session:
    """The session with the pending work of an ended connection abandoned.

    During a hand-over two connections overlap; the work of the newer one continues.
    """
    epoch = min(record.epoch, session.connection.epoch)
    activity = session.activity
    speaking = session.item(activity.speaking_item)
    if speaking is None or speaking.placement.epoch <= epoch:
        silent = replace(activity, speaking_item=None, speech_started_at=None)
        session = put_activity(session, silent)
    playing = session.response(activity.playing)
    if playing is None or playing.epoch <= epoch:
        session = put_activity(session, replace(session.activity, playing=None))
    session = _close_user_items(session, epoch, record.at)
    return abandon_responses(
        session, epoch, record.at, playing.id if playing is not None else None
    )


def _close_user_items(session: Session, epoch: int, at: float | None) -> Session:
    """The session with the user items of an ended connection closed.

    Their transcripts will not arrive. They are among the last items: the items of
    earlier connections are closed already.
    """
    for item_id in reversed(session.conversation.order):
        item = session.items[item_id]
        if item.placement.epoch < epoch:
            break
        if item.role != "user" or item.placement.epoch > epoch:
            continue
        silent = close_transcript(item)
        status = transitions.next_status(
            transitions.ITEM, item.status, transitions.DISCONNECTED
        )
        if silent is item and status == item.status:
            continue
        placement = item.placement
        if placement.finished_at is None:
            placement = replace(placement, finished_at=at)
        closed = replace(silent, status=status, placement=placement)
        session = put_item(session, closed)
    return session


def _on_closed(session: Session, event: events.Closed, record: Record) -> Session:
    return end_connection(
        session, transitions.CLOSED, session.connection.reason, record
    )


def _on_session(
    session: Session,
    event: events.SessionCreated | events.SessionUpdated,
    record: Record,
) -> Session:
    """``session.created`` and ``session.updated`` carry the whole configuration."""
    if record.epoch < session.connection.epoch:
        return session
    config = event.session
    if isinstance(event, events.SessionUpdated):
        session = confirm_update(session)
    session = open_connection(session, config, record)
    # A null configuration confirms nothing.
    if config in _EMPTY:
        return session
    connection = replace(
        session.connection, kind=_kind(config), confirmed=canonical(config)
    )
    return put_connection(session, connection)


def open_connection(session: Session, config: Any, record: Record) -> Session:
    """The session with its id and expiry from the service, and open.

    A log of frames alone has no local facts, so these events open the session too.
    """
    session = _enter(session, record, transitions.SESSION_CREATED)
    connection = session.connection
    if isinstance(config.id, str):
        connection = replace(connection, server_id=config.id)
    # Some services repeat the 0 of ``client_secrets``, which is no expiry.
    expires = config.expires_at
    if isinstance(expires, float | int) and 0 < expires < 1 << 53:
        connection = replace(connection, expires_at=float(expires))
    return put_connection(session, connection)


def _kind(config: events.AnySessionConfig) -> SessionKind:
    if isinstance(config, events.TranscriptionSessionConfig):
        return SessionKind.TRANSCRIPTION
    return SessionKind.REALTIME


def _on_tick(session: Session, event: events.Tick, record: Record) -> Session:
    """Record the time, which never decreases, and end the waits that are due."""
    before = session.activity.last_tick_at
    if record.at is None or (before is not None and record.at <= before):
        return session
    if session.connection.status is SessionStatus.OPEN:
        session = expire_requests(session, record.at)
        session = end_silent_response(session, record.at)
        session = expire_turns(session, record.at)
    return put_activity(session, replace(session.activity, last_tick_at=record.at))


TABLE: dict[type, Handler] = {
    events.Connecting: _on_connecting,
    events.Connected: _on_connected,
    events.Disconnected: _on_disconnected,
    events.Closed: _on_closed,
    events.Tick: _on_tick,
    events.SessionCreated: _on_session,
    events.SessionUpdated: _on_session,
}
