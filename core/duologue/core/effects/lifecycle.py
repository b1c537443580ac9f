"""The life of a session's connections: when to connect, switch, wait and give up.

The driver of a live session (`duologue.transports.client.driver`, or yours) carries out
the commands and records the results as facts; every decision is made here, from the
state alone. The rules:

* **First connection**: at most three attempts within ``policy.timeout``, if the service
  answers that it is busy (`backoff.is_worth_repeating`).
* **Lost connection**: attempts with increasing delays for ``policy.patience`` seconds.
  If a later connection ends within ``policy.steady`` seconds, it counts as a failed
  attempt.
* **Refused key**: a 401 for a key that can be renewed is tried once more with another
  key. A 401 while the key is fetched is final.
* **Hand-over**: see `handover`. While the current connection is open, attempts go on
  whatever the service answers. If a turn began while the successor was connected, the
  successor is closed and the hand-over begins again later.
* **Greeting**: on a later connection, events are sent after the service has sent its
  configuration, or after two seconds; then the session is restored.
* **Closing**: ends every connection and every attempt.

At most one attempt is in flight for an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import attrs
import msgspec

from .. import events
from ..events.base import ClientEvent, Event, Unknown
from ..events.types import SessionStatus
from ..log.record import Record
from ..state.model import Connection, Dialing, Session, UnconfirmedItem
from .backoff import delay, is_worth_repeating
from .commands import Connect, Disconnect, SwitchTo, client_event, is_queued
from .handover import (
    hand_over_reason,
    hand_over_times,
    is_near_expiry,
    may_hand_over,
)

__all__ = [
    "FIRST_ATTEMPTS",
    "GREETING",
    "becomes_usable",
    "connection_deadlines",
    "first_attempt",
    "is_due",
    "is_resent",
    "latest_time",
    "lifecycle",
    "lost_events",
    "may_send",
    "resend_unconfirmed",
    "unconfirmed_items",
    "unsent_count",
]

#: Maximum attempts at the first connection.
FIRST_ATTEMPTS = 3
#: Seconds to wait for the first event of a new connection: a sideband may get none.
GREETING = 2.0
#: The shortest timeout of an attempt, in seconds.
_SHORTEST = 0.1
#: The HTTP status of an invalid or expired key.
_UNAUTHORIZED = 401

_Lifecycle: TypeAlias = Connect | Disconnect | SwitchTo


def first_attempt(
    session: Session | None, session_id: str, policy: events.ConnectPolicy
) -> Connect:
    """The first attempt; in the next epoch if the store already has the session."""
    known = session is not None and session.dedup.events > 0
    epoch = session.connection.epoch + 1 if session is not None and known else 0
    return Connect(session_id, epoch=epoch, timeout=policy.timeout, policy=policy)


def may_send(session: Session) -> bool:
    """Whether events can be sent now."""
    connection = session.connection
    if connection.status is not SessionStatus.OPEN:
        return False
    if connection.policy is None or connection.greeted or connection.opened_at is None:
        return True
    ticked = session.activity.last_tick_at
    return ticked is not None and ticked >= connection.opened_at + GREETING


def lifecycle(before: Session, record: Record, after: Session) -> Iterator[_Lifecycle]:
    """The commands for the connections that this record calls for."""
    connection = after.connection
    is_same = connection is before.connection and connection.dialing is None
    if is_same and not is_near_expiry(after):
        # Most records end here.
        return
    known = {_key(command) for command in _commands(before)}
    for command in _commands(after):
        if _key(command) not in known:
            yield command


def resend_unconfirmed(
    before: Session, record: Record, after: Session
) -> Iterator[ClientEvent | Unknown]:
    """Send the unconfirmed items, as soon as a connection can be used."""
    if becomes_usable(before, after):
        for sent in unconfirmed_items(after):
            yield client_event(msgspec.json.decode(sent.event))


def becomes_usable(before: Session, after: Session) -> bool:
    """Whether events can be sent on a connection from this record on."""
    is_same = before.connection.epoch == after.connection.epoch
    return may_send(after) and not (is_same and may_send(before))


def unconfirmed_items(session: Session) -> list[UnconfirmedItem]:
    """The accepted items that the service has neither confirmed nor refused."""
    sent = session.conversation.unconfirmed
    return [each for each in sent if each.item_id not in session.items]


def unsent_count(session: Session) -> int:
    """The number of accepted events that the state keeps and that were not sent."""
    items = sum(not item.sent for item in unconfirmed_items(session))
    return items + (session.responses.queued is not None)


def lost_events(session: Session, waiting: int) -> events.Gap | None:
    """The fact to record at the end of a session that did not send everything.

    ``waiting`` is the number of unsent events that the state does not keep. If the
    session failed, items that the service did not confirm may be lost, too.
    """
    unsent = waiting + unsent_count(session)
    missing = sum(item.sent for item in unconfirmed_items(session))
    is_failed = session.connection.status is SessionStatus.FAILED
    if not unsent and not (is_failed and missing):
        return None
    lost: list[str] = []
    if unsent:
        lost.append(f"{_number(unsent, 'event')} not sent")
    if missing:
        lost.append(f"{_number(missing, 'event')} sent but not confirmed")
    return events.Gap(reason=", ".join(lost))


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def is_resent(event: Event) -> bool:
    """Whether a sent event is sent again if its connection is lost before the answer.

    The state keeps such an event until the answer: an item as unconfirmed, a response
    as in flight, a configuration as requested.
    """
    if isinstance(event, events.ConversationItemCreate):
        return bool(event.item.id)
    return is_queued(event) or isinstance(event, events.SessionUpdate)


def connection_deadlines(session: Session) -> Iterator[float]:
    """When `lifecycle` needs a tick."""
    connection = session.connection
    if (following := _next_attempt(session)) is not None:
        yield following[0]
    if connection.status is not SessionStatus.OPEN:
        return
    yield from hand_over_times(session)
    if not may_send(session) and connection.opened_at is not None:
        yield connection.opened_at + GREETING


def latest_time(session: Session) -> float:
    """The latest time that the state has, in seconds since the Unix epoch.

    0 if it has none. Later records must not be earlier than that.
    """
    item = session.item(session.conversation.order.last)
    response = session.response(session.responses.order.last)
    nodes = (
        session.activity,
        session.connection,
        session.connection.dialing,
        None if item is None else item.placement,
        None if response is None else response.turn,
    )
    times = (
        getattr(node, name)
        for node in nodes
        if node is not None
        for name in node.__struct_fields__
        if name.endswith("_at") and name != "expires_at"
    )
    return max((at for at in times if at is not None), default=0.0)


def is_due(session: Session, command: _Lifecycle) -> bool:
    """Whether a command that has waited is still to be carried out."""
    if isinstance(command, Connect) and command.policy is not None:
        return True
    return _key(command) in map(_key, _commands(session))


def _key(command: _Lifecycle) -> tuple[type, int, int]:
    attempt = command.attempt if isinstance(command, Connect) else 0
    return type(command), command.epoch, attempt


def _commands(session: Session) -> Iterator[_Lifecycle]:
    """The commands that the state calls for and that are not carried out yet."""
    connection = session.connection
    dialing = connection.dialing
    if connection.replaced is not None:
        yield Disconnect(session.id, connection.replaced, "it has a successor")
    if connection.status.is_over:
        if dialing is not None:
            yield Disconnect(session.id, dialing.epoch)
    elif connection.closing is not None:
        yield from _closing(session)
    elif dialing is None:
        yield from _hand_over(session)
    elif dialing.connected_at is not None:
        # The successor is connected.
        if connection.status is not SessionStatus.OPEN or may_hand_over(session):
            yield SwitchTo(session.id, dialing.epoch)
        else:
            yield Disconnect(session.id, dialing.epoch, "a turn has begun")
    elif not dialing.running:
        yield from _dial(session, dialing)


def _closing(session: Session) -> Iterator[Disconnect]:
    connection = session.connection
    dialing = connection.dialing
    is_open = connection.status is SessionStatus.OPEN
    if is_open or dialing is None:
        yield Disconnect(session.id, connection.epoch)
    if dialing is not None and (dialing.is_alive or not is_open):
        yield Disconnect(session.id, dialing.epoch)


def _hand_over(session: Session) -> Iterator[Connect]:
    connection = session.connection
    policy = connection.policy
    if policy is not None and not policy.reconnects:
        return
    reason = hand_over_reason(session)
    if reason is not None:
        connect = Connect(session.id, reason, connection.epoch + 1, successor=True)
        if policy is not None:
            connect = attrs.evolve(connect, timeout=policy.timeout)
        yield connect


def _dial(session: Session, dialing: Dialing) -> Iterator[Connect | Disconnect]:
    """The next attempt if it is due; the end of the session if no attempt is left."""
    connection = session.connection
    is_successor = connection.status is SessionStatus.OPEN
    following = _next_attempt(session)
    if following is None:
        if not is_successor:
            failure = dialing.failure
            reason = failure.reason if failure is not None else None
            yield Disconnect(session.id, dialing.epoch, reason, expected=False)
        return
    at, connect = following
    known = (dialing.failed_at, dialing.since, session.activity.last_tick_at)
    now = max(each for each in (*known, 0.0) if each is not None)
    if now >= at and (connect.reason is not None or not is_successor):
        yield connect


def _next_attempt(session: Session) -> tuple[float, Connect] | None:
    """The next attempt and its time in seconds since the Unix epoch.

    None if no attempt is left, or while one runs. Without a reason for a hand-over.
    """
    connection = session.connection
    dialing, policy = connection.dialing, connection.policy
    if dialing is None or dialing.running or policy is None:
        return None
    failure, failed_at = dialing.failure, dialing.failed_at
    if failure is None or failed_at is None or not failure.can_repeat:
        return None
    at, new_key = failed_at, _needs_key(dialing, failure)
    if not new_key:
        if not policy.reconnects or not _is_worth_it(connection, dialing, failure):
            return None
        if dialing.failures:
            chance, asked = failure.chance, failure.retry_after
            at += delay(policy, dialing.failures, chance, asked)
    left = policy.timeout
    is_successor = connection.status is SessionStatus.OPEN
    if not is_successor:
        since = failed_at if dialing.since is None else dialing.since
        is_first = connection.opened_at is None
        left = since + (policy.timeout if is_first else policy.patience) - at
        if left <= 0:
            return None
    return at, Connect(
        session.id,
        hand_over_reason(session) if is_successor else failure.reason,
        dialing.epoch,
        dialing.attempt + 1,
        successor=is_successor,
        timeout=min(policy.timeout, max(_SHORTEST, left)),
        new_key=new_key,
    )


def _needs_key(dialing: Dialing, failure: events.ConnectFailed) -> bool:
    """Whether the key was refused and another one may be accepted."""
    is_refused = failure.stage == "connect" and failure.status == _UNAUTHORIZED
    return is_refused and failure.renews and not dialing.new_key


def _is_worth_it(
    connection: Connection, dialing: Dialing, failure: events.ConnectFailed
) -> bool:
    """Whether to try again with the same key; always while a connection is open."""
    if connection.status is SessionStatus.OPEN:
        return True
    if connection.opened_at is None and (
        failure.status is None or dialing.attempt >= FIRST_ATTEMPTS
    ):
        return False
    return is_worth_repeating(failure.status)
