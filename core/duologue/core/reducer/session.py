"""The connection status of a session: connecting, open, reconnecting, closed, failed.

The transitions are `transitions.CONNECTION`. Each connection is an epoch of the
session; an audio offset is valid within its epoch. Once there is a newer epoch, events
of older connections do not change the status; the end of an older connection only ends
its own responses and items.
"""

from __future__ import annotations

from typing import Any

from immutables import Map
from msgspec.structs import replace

from duologue.core import events
from duologue.core.events.types import SessionKind, SessionStatus
from duologue.core.log.epochs import add_created_id, is_rejoined, next_connection
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import (
    Connection,
    Dialing,
    Problem,
    Reconnection,
    Session,
)
from duologue.core.wire.json_values import canonical

from .calls import release_calls
from .handler import (
    Handler,
    add_problem,
    put_activity,
    put_connection,
    put_item,
    time_of,
)
from .input_audio import expire_turns
from .items import close_transcript, end_deletions
from .overlap import is_early
from .playback import expire_playing
from .requests.answers import expire_requests
from .requests.configuration import accept_update, unsent_again
from .requests.in_flight import clear_in_flight, drop_queued, requeue_in_flight
from .responses import abandon_responses, end_silent_response

__all__ = [
    "TABLE",
    "begin_epoch",
    "end_connection",
    "greet_successor",
    "open_connection",
]

_Confirmed = events.RealtimeSessionConfig | events.TranscriptionSessionConfig
#: The states in which a session can have a successor.
_HANDED_OVER = (SessionStatus.OPEN, SessionStatus.RECONNECTING)
#: The number of reconnections that a session keeps; older ones are in its log.
MAX_RECONNECTIONS = 100
_EMPTY = (events.RealtimeSessionConfig(), events.TranscriptionSessionConfig())


def _on_connecting(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    # A log with this event numbers its connections: do not count session ids.
    connection = replace(session.connection, created_ids=None)
    session = put_connection(session, connection)
    if record.epoch < connection.epoch:
        return session
    if not event.successor:
        session = _begin_attempt(session, event, record)
    connection = session.connection
    if connection.policy is None:
        return session
    known = connection.dialing or Dialing(record.epoch)
    dialing = Dialing(
        record.epoch,
        event.attempt,
        running=True,
        new_key=known.new_key or event.new_key,
        reason=known.reason or event.reason,
        since=time_of(session, record) if known.since is None else known.since,
        failures=known.failures,
    )
    return put_connection(session, replace(connection, dialing=dialing))


def _begin_attempt(
    session: Session, event: events.Connecting, record: Record
) -> Session:
    """The session without what an earlier attempt or connection has received."""
    is_same = record.epoch == session.connection.epoch
    if event.policy is not None and not is_same:
        session = release_calls(_end_interrupted(session, record), record)
    session = _enter(session, record, transitions.CONNECTING)
    connection = replace(
        unsent_again(session.connection), greeted=False, rejoined=False, expires_at=None
    )
    if event.policy is not None:
        # A live session begins, or goes on after its end.
        connection = replace(
            connection,
            policy=event.policy,
            opened_at=None,
            failures=0,
            closing=connection.closing if is_same else None,
            dialing=None,
        )
    return put_connection(session, connection)


def _end_interrupted(session: Session, record: Record) -> Session:
    """The session with its last connection ended.

    An interrupted process has not recorded that end.
    """
    if session.connection.status.is_over:
        return session
    reason = "the session was interrupted"
    session = requeue_in_flight(session)
    session = end_connection(session, transitions.DISCONNECTED, reason, record)
    return add_problem(session, Problem("disconnected", reason, at=record.at))


def _on_connected(session: Session, event: events.Connected, record: Record) -> Session:
    before = session.connection
    dialing = before.dialing
    if event.successor and record.epoch > before.epoch:
        if dialing is None or not _is_of_attempt(dialing, event, record):
            return session
        dialing = replace(
            dialing,
            running=False,
            connected_at=time_of(session, record),
            rejoined=event.rejoins and (dialing.rejoined or not dialing.greeted),
        )
        return put_connection(session, replace(before, dialing=dialing))
    session = _enter(session, record, transitions.CONNECTED)
    after = session.connection
    is_used = after.status is SessionStatus.OPEN
    if after.policy is None or record.epoch < after.epoch or not is_used:
        return session
    opened = replace(
        after,
        opened_at=time_of(session, record),
        greeted=after.greeted or record.epoch == 0,
        rejoined=event.rejoins and (after.rejoined or not after.greeted),
        failures=0,
        since=None,
        dialing=None,
    )
    if dialing is not None and after.opened_at is not None:
        opened = replace(
            opened,
            # If it ends soon, it counts as a failed attempt too.
            failures=dialing.failures + 1,
            since=dialing.since,
            reconnections=_reconnections(before, record, event.attempt, before.reason),
        )
    return put_connection(session, opened)


def _reconnections(
    connection: Connection, record: Record, attempt: int, reason: str | None
) -> tuple[Reconnection, ...]:
    """The reconnections, with the one that replaces this connection added."""
    hand_over = connection.status is SessionStatus.OPEN
    made = Reconnection(record.epoch, attempt, reason, hand_over, record.at)
    return (*connection.reconnections[1 - MAX_RECONNECTIONS :], made)


def _on_connect_failed(
    session: Session, event: events.ConnectFailed, record: Record
) -> Session:
    connection = session.connection
    dialing = connection.dialing
    if dialing is None or not _is_of_attempt(dialing, event, record):
        return session
    failed = _failed(dialing, event, time_of(session, record))
    return put_connection(session, replace(connection, dialing=failed))


def _is_of_attempt(
    dialing: Dialing, event: events.Connected | events.ConnectFailed, record: Record
) -> bool:
    """Whether an event is the result of the attempt that runs."""
    is_last = dialing.epoch == record.epoch and dialing.attempt == event.attempt
    return dialing.running and is_last


def _failed(
    dialing: Dialing, failure: events.ConnectFailed, at: float | None
) -> Dialing:
    return Dialing(
        dialing.epoch,
        dialing.attempt,
        new_key=dialing.new_key,
        reason=dialing.reason,
        since=dialing.since,
        failures=dialing.failures + 1,
        failure=failure,
        failed_at=at,
    )


def _on_switched(session: Session, event: events.Switched, record: Record) -> Session:
    """The successor takes the place of the connection, with all that it received."""
    before = session.connection
    dialing = before.dialing
    if dialing is None or not before.epoch < record.epoch == dialing.epoch:
        return session
    if dialing.connected_at is None or before.status not in _HANDED_OVER:
        return session
    reason = dialing.reason if before.status is SessionStatus.OPEN else before.reason
    session = _enter(session, record, transitions.SWITCHED)
    connection = session.connection
    confirmed = dialing.confirmed
    if confirmed is not None:
        kind = _kind(confirmed)
        connection = replace(connection, kind=kind, confirmed=confirmed)
    return put_connection(
        session,
        replace(
            connection,
            server_id=dialing.server_id or connection.server_id,
            rejoined=dialing.rejoined,
            replaced=before.epoch if before.status is SessionStatus.OPEN else None,
            expires_at=dialing.expires_at,
            opened_at=dialing.connected_at,
            greeted=dialing.greeted,
            failures=dialing.failures + 1,
            # Patience begins with a loss, not with the attempts of a hand-over.
            since=None if before.status is SessionStatus.OPEN else dialing.since,
            dialing=None,
            reconnections=_reconnections(before, record, dialing.attempt, reason),
            changes=(*connection.changes, *dialing.changes),
            updates_in_flight=dialing.updates_in_flight,
        ),
    )


def begin_epoch(session: Session, record: Record, epoch: int) -> Session:
    """The session with its next connection, which the log does not number.

    See `log.epochs`. Such a log does not contain the end of the previous connection, so
    its pending work ends here.
    """
    session = clear_in_flight(requeue_in_flight(session))
    session = _abandon_work(session, replace(record, epoch=epoch - 1))
    return _enter(session, record, transitions.SESSION_CREATED, epoch)


def _enter(
    session: Session, record: Record, trigger: str, epoch: int | None = None
) -> Session:
    """The session after `trigger`. Items of a new epoch follow all existing ones."""
    connection = session.connection
    epoch = record.epoch if epoch is None else epoch
    if epoch < connection.epoch:
        return session
    if epoch > connection.epoch:
        trigger = f"{trigger} again"
        session = end_deletions(requeue_in_flight(session))
        conversation = session.conversation
        last = conversation.order.last
        anchored = replace(
            conversation,
            epoch_boundary=last,
            restored=Map(),
            restoring=Map(),
            asked_places=Map(),
        )
        if anchored != conversation:
            session = replace(session, conversation=anchored)
        connection = replace(
            next_connection(connection, record, epoch),
            expires_at=None,
            greeted=False,
            rejoined=False,
            replaced=None,
        )
        connection = unsent_again(connection)
    return _move(session, connection, trigger, None)


def _move(
    session: Session, connection: Connection, trigger: str, reason: str | None
) -> Session:
    """The session with the status of its connection after a trigger."""
    status = transitions.next_status(transitions.CONNECTION, connection.status, trigger)
    if status is not connection.status:
        connection = replace(connection, status=status, reason=reason)
    return put_connection(session, connection)


def _on_disconnected(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    connection = session.connection
    if record.epoch < connection.epoch:
        # A newer connection has replaced it: abandon only the older one's pending work.
        if record.epoch == connection.replaced:
            session = put_connection(session, replace(connection, replaced=None))
        return _abandon_work(session, record)
    status = connection.status
    is_open = status is SessionStatus.OPEN
    if record.epoch > connection.epoch and (is_open or status.is_over):
        return _end_successor(session, event, record)
    if event.lost and not is_open and connection.dialing is not None:
        # Its end was recorded before.
        return session
    return _end_current(session, event, record)


def _end_current(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    """The session after the connection that carries it has ended."""
    connection = session.connection
    is_expected = event.expected or connection.closing is not None
    if is_expected:
        trigger = f"{transitions.DISCONNECTED} expected"
    else:
        trigger = (
            f"{transitions.DISCONNECTED} retrying"
            if event.retrying or _is_retried(connection, event)
            else transitions.DISCONNECTED
        )
        session = requeue_in_flight(session)
    session = end_connection(session, trigger, event.reason, record)
    if connection.policy is not None:
        at = time_of(session, record)
        dialing = _dialing_after(session.connection, event, record.epoch, at)
        session = put_connection(session, replace(session.connection, dialing=dialing))
    if is_expected or session.connection.status is connection.status:
        return session
    reason = event.reason or "the connection was lost"
    return add_problem(session, Problem("disconnected", reason, at=record.at))


def _is_retried(connection: Connection, event: events.Disconnected) -> bool:
    """Whether another connection is made after this one was lost."""
    policy, dialing = connection.policy, connection.dialing
    if policy is None or not policy.reconnects:
        return False
    has_successor = dialing is not None and dialing.is_alive
    return event.lost and (event.can_repeat or has_successor)


def _dialing_after(
    connection: Connection, event: events.Disconnected, epoch: int, at: float | None
) -> Dialing | None:
    """The next connection after the current one has ended, in this epoch."""
    known = connection.dialing or Dialing(epoch)
    if connection.status is not SessionStatus.RECONNECTING:
        # The session is over. Keep its successor until that is disconnected too.
        return known if known.is_alive and known.epoch != epoch else None
    opened, policy = connection.opened_at, connection.policy
    is_short = (
        policy is not None
        and opened is not None
        and at is not None
        and at - opened < policy.steady
    )
    since = (connection.since or at) if is_short else at
    failures = max(connection.failures if is_short else 0, known.failures)
    if known.is_alive:
        # The successor is used, even if it is still connecting.
        return replace(known, since=since, failures=failures)
    failed_at, asked = at, None
    if known.failures and known.failure is not None:
        # The delay after the last attempt at a hand-over goes on.
        failed_at, asked = known.failed_at, known.failure.retry_after
    return Dialing(
        epoch + 1,
        attempt=known.attempt,
        since=since,
        failures=failures,
        failure=events.ConnectFailed(
            reason=event.reason,
            retry_after=asked,
            can_repeat=event.can_repeat,
            chance=event.chance,
        ),
        failed_at=failed_at,
    )


def _end_successor(
    session: Session, event: events.Disconnected, record: Record
) -> Session:
    """The session after its successor has ended before it was used."""
    connection = session.connection
    dialing = connection.dialing
    if dialing is None or dialing.epoch != record.epoch:
        return session
    following: Dialing | None = None
    if connection.status is SessionStatus.OPEN:
        failure = events.ConnectFailed(
            reason=event.reason,
            can_repeat=event.expected or (event.lost and event.can_repeat),
            chance=event.chance,
        )
        following = _failed(dialing, failure, time_of(session, record))
        if event.expected:
            # A turn has begun: the attempts begin again, as soon as the turn ends.
            following = replace(following, since=None, failures=0, new_key=False)
    return put_connection(session, replace(connection, dialing=following))


def end_connection(
    session: Session, trigger: str, reason: str | None, record: Record
) -> Session:
    """The session after the end of its connection, with all pending work abandoned."""
    session = _move(session, session.connection, trigger, reason)
    if session.connection.status is SessionStatus.CLOSED:
        session = drop_queued(session)
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


def _on_closing(session: Session, event: events.Closing, record: Record) -> Session:
    return put_connection(session, replace(session.connection, closing=event.by))


def _on_closed(session: Session, event: events.Closed, record: Record) -> Session:
    session = end_connection(
        session, transitions.CLOSED, session.connection.reason, record
    )
    return put_connection(session, replace(session.connection, dialing=None))


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
        session = accept_update(session, event, record)
    if is_early(session, record):
        return greet_successor(session, config, record)
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

    A log of frames alone has no local facts, so these events open the session too. Only
    a fact opens a live session: there these events may be late.
    """
    if session.connection.policy is None:
        session = _enter(session, record, transitions.SESSION_CREATED)
    if is_rejoined(session.connection, record):
        session = _move(session, session.connection, transitions.REJOINED, None)
    connection = session.connection
    if connection.policy is not None and not connection.greeted:
        # Before `duologue.connected`, it is not known whether the transport rejoins.
        may_rejoin = connection.rejoined or connection.status is not SessionStatus.OPEN
        rejoined = may_rejoin and _is_same_session(connection, config)
        connection = replace(connection, greeted=True, rejoined=rejoined)
    if isinstance(config.id, str):
        connection = replace(connection, server_id=config.id)
    expires_at = _expiry(config)
    if expires_at is not None:
        connection = replace(connection, expires_at=expires_at)
    return put_connection(session, add_created_id(connection, record))


def _is_same_session(connection: Connection, config: Any) -> bool:
    """Whether the service can mean its previous session: no other id says otherwise."""
    is_named = isinstance(config.id, str) and config.id != ""
    return not is_named or bool(config.id == connection.server_id)


def _expiry(config: Any) -> float | None:
    """The expiry of a connection, or None: some services send 0 instead."""
    expires = config.expires_at
    if isinstance(expires, float | int) and 0 < expires < 1 << 53:
        return float(expires)
    return None


def greet_successor(session: Session, config: Any, record: Record) -> Session:
    """The session with the configuration of its successor, which is used later."""
    connection = session.connection
    dialing = connection.dialing
    if dialing is None or dialing.epoch != record.epoch:
        # It is late: the successor was not used.
        return session
    may_rejoin = dialing.rejoined or dialing.connected_at is None
    dialing = replace(
        dialing,
        greeted=True,
        rejoined=may_rejoin and _is_same_session(connection, config),
        server_id=config.id if isinstance(config.id, str) else dialing.server_id,
        expires_at=_expiry(config) or dialing.expires_at,
    )
    if isinstance(config, _Confirmed) and config not in _EMPTY:
        dialing = replace(dialing, confirmed=canonical(config))
    return put_connection(session, replace(connection, dialing=dialing))


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
    session = expire_playing(session, record.at)
    return put_activity(session, replace(session.activity, last_tick_at=record.at))


TABLE: dict[type, Handler] = {
    events.Connecting: _on_connecting,
    events.Connected: _on_connected,
    events.ConnectFailed: _on_connect_failed,
    events.Disconnected: _on_disconnected,
    events.Switched: _on_switched,
    events.Closing: _on_closing,
    events.Closed: _on_closed,
    events.Tick: _on_tick,
    events.SessionCreated: _on_session,
    events.SessionUpdated: _on_session,
}
