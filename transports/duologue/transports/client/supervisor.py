"""Keeps a session connected: sends, receives, reconnects, and replaces a connection.

All tasks of a session run in one task group. After a connection is lost, the supervisor
opens another one if the close code allows it (`is_recoverable`). A connection that is
about to expire is replaced while it is still open, so that no event is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

import attrs
import msgspec

from duologue.core import Session, SessionStatus, State, encode, react
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.effects.backoff import is_recoverable
from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.handover import may_hand_over
from duologue.core.log.record import Direction, Record

from ..contract import OWN, Audible, Flushable, Reporting, Sourced, Transport
from ..errors import ConnectError, ConnectionLost, DuologueError, NotConnected
from .connector import Connector, is_retryable
from .outbox import Outbox
from .session_records import SessionRecords
from .unconfirmed_items import UnconfirmedItems, with_ids

__all__ = ["Supervisor"]

_log = logging.getLogger("duologue")

#: The normal close code: the service ended the session (RFC 6455, 7.4.1).
_NORMAL = 1000
#: Seconds to wait for the first frame of a new connection before events are sent on it.
_GREETING = 2.0


@attrs.define(eq=False)
class _Connection:
    """One connection, and the time of the event loop at which it opened."""

    transport: Transport
    epoch: int
    opened: float = 0.0
    is_greeted: bool = False


class Supervisor:
    """Runs the connections of one session."""

    def __init__(self, records: SessionRecords, connector: Connector) -> None:
        self._records = records
        records.on_record = self._react
        self._connector = connector
        connector.prepare = self._prepare
        self._outbox = Outbox(self._deliver)
        self._unconfirmed = UnconfirmedItems()
        self._connection: _Connection | None = None
        #: The task that connects the successor of the current connection.
        self._successor: asyncio.Task[_Connection | None] | None = None
        #: The connected successor.
        self._ready: _Connection | None = None
        self._lost_at: float | None = None
        #: The start of the current series of attempts to connect, and their number.
        self._attempts_since = _now()
        self._attempts = 0
        self._reason = ""
        #: The error with which a transport refused one of the session's events.
        self._refused: DuologueError | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: float | None = None
        #: Set when the first connection is open or has failed.
        self._opened = asyncio.Event()
        #: The timeout of the first connection; `close` lets it expire.
        self._opening: asyncio.Timeout | None = None
        self._closing = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def transport(self) -> Transport:
        """The transport of the current connection, or of the last one."""
        connection = self._connection
        return connection.transport if connection else self._connector.transport

    async def put(self, event: ev.Event) -> None:
        """Send an event of the application.

        It is queued while there is no connection. Raises `NotConnected` if the session
        is over.
        """
        if self._records.is_over:
            raise NotConnected(self._not_connected())
        await self._outbox.put(event)

    def flush_audio(self, response_id: str | None = None) -> None:
        """Discard received audio that has not been played yet."""
        if isinstance(self.transport, Flushable):
            self.transport.flush_audio()

    def apply_volume(self, transport: Transport | None = None) -> None:
        """Set mute and volume of a transport (default: the current one)."""
        transport = transport or self.transport
        if isinstance(transport, Audible):
            activity = self._records.state.activity
            transport.set_muted(activity.muted)
            transport.set_volume(activity.volume)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Run ``work`` as a task, cancelled at the end of the session.

        Returns None if the session is over.
        """
        if self._group is None:
            work.close()
            return None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Start and end of the session.

    async def start(self, configuration: Mapping[str, Any]) -> None:
        """Make the first connection and supervise it in a task.

        Raises a `ConnectError`, and `NotConnected` if `close` was called.
        """
        records = self._records
        records.start_log()
        try:
            records.note(ev.Connecting())
            update = {"type": "session.update", "session": dict(configuration)}
            records.note(ev.Requested(event=update))
            await self._open(configuration)
        except BaseException as error:
            closed = self._ending is not None
            records.note(ev.Disconnected(reason=_message(error), expected=closed))
            self._outbox.end(self._not_connected())
            records.end_log()
            raise
        else:
            records.note(ev.Connected())
            self._outbox.open()
            name = f"duologue {records.id}"
            self._running = asyncio.create_task(self._run(), name=name)
        finally:
            self._opened.set()

    async def _open(self, configuration: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(None) as self._opening:
                transport = await self._connector.first(configuration)
        except TimeoutError:
            raise NotConnected("the session was closed while it connected") from None
        finally:
            self._opening = None
        self._connection = _Connection(transport, 0, _now(), is_greeted=True)
        if self._closing.is_set():
            # `close` was called in the same iteration of the event loop.
            await transport.close()

    async def close(self) -> None:
        """End the session. Idempotent; every caller waits until it has ended."""
        if self._ending is None:
            name = f"close {self._records.id}"
            self._ending = asyncio.create_task(self._close(), name=name)
        await asyncio.shield(self._ending)

    async def _close(self) -> None:
        self._closing.set()
        if self._opening is not None:
            self._opening.reschedule(_now())
        if self._successor is not None:
            self._successor.cancel()
        if self._connection is not None:
            await self._connection.transport.close()
        await self._opened.wait()
        if self._running is None:
            # The first connection failed; `start` has ended the log.
            return
        try:
            # Do not cancel them: that could interrupt the writing of a record.
            await self._running
        finally:
            self._records.note(ev.Closed())
            self._records.end_log()

    async def _run(self) -> None:
        """Supervise; record an unexpected error as the reason for the end."""
        unexpected: str | None = "the session was interrupted"
        try:
            await self._supervise()
            unexpected = None
        except Exception as error:
            _log.exception("session %s failed", self._records.id)
            unexpected = f"unexpected: {type(_first_of(error)).__name__}"
            self._records.fail(DuologueError(unexpected))
        finally:
            if unexpected is not None:
                self._records.note(ev.Disconnected(reason=unexpected))
            self._finish()

    async def _supervise(self) -> None:
        connection = self._connection
        assert connection is not None
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self.spawn(self._send())
                self._schedule()
                await self._follow(connection)
                self._group = None
                for task in self._tasks:
                    task.cancel()
        finally:
            self._group = None
            for each in (self._connection, self._ready):
                if each is not None:
                    await each.transport.close()

    def _finish(self) -> None:
        """End the outbox; record a gap if events were not sent or not confirmed."""
        state = self._records.state
        unsent = len(self._outbox)
        self._outbox.end(self._not_connected())
        missing = len(self._unconfirmed.missing(state))
        if unsent or (missing and state.connection.status is SessionStatus.FAILED):
            reason = f"{unsent} events were not sent"
            if missing:
                reason += f", {missing} were sent and not confirmed"
            self._records.note(ev.Gap(reason=reason))

    def _not_connected(self) -> str:
        return f"session {self._records.id} is not connected"

    # Sending.

    def _react(self, before: State, record: Record, after: State) -> None:
        """Carry out the commands that follow from a record."""
        self._unconfirmed.received(record)
        for command in react(before, record, after):
            if isinstance(command, commands.Send):
                self._outbox.put_own(command.event)
            else:
                self._hand_over()
        session_id = self._records.id
        self._schedule(before.sessions.get(session_id), after.sessions[session_id])

    async def _send(self) -> None:
        try:
            await self._outbox.run()
        except DuologueError as error:
            # The transport (a replay, for example) refused one of the session's events.
            self._records.fail(error)
            self._refused = error
            if self._connection is not None:
                await self._connection.transport.close()

    async def _deliver(self, event: ev.Event) -> None:
        """Record one event and send it; a `Requested` fact is only recorded."""
        records = self._records
        if isinstance(event, ev.Requested):
            records.note(event)
            return
        if records.state.connection.status is not SessionStatus.OPEN:
            raise NotConnected(self._not_connected())
        transport = self.transport
        number = records.state.dedup.events + 1
        event = with_ids(event, commands.command_id(records.id, number, 0))
        frame = encode(event).decode()
        records.feed(frame, "out")
        await transport.send(frame)
        self._unconfirmed.sent(event, records.state)

    # Receiving.

    def _prepare(self, transport: Transport) -> None:
        """Record the reports of a transport; called before it connects."""
        if isinstance(transport, Reporting):

            def report(frame: str, direction: Direction) -> None:
                epoch = self._epoch_of(transport)
                self._records.feed(frame, direction, epoch=epoch, src=OWN)

            transport.report_to(report)

    def _epoch_of(self, transport: Transport) -> int:
        """The epoch of a transport, even while it is still connecting."""
        for each in (self._connection, self._ready):
            if each is not None and each.transport is transport:
                return each.epoch
        is_first = self._connection is None or self._lost_at is not None
        return self._records.epoch if is_first else self._records.epoch + 1

    async def _follow(self, connection: _Connection) -> None:
        """Receive on this connection, and then on each of its successors."""
        following: _Connection | None = connection
        while following is not None:
            self._connection = following
            end = await self._receive(following)
            self._outbox.hold()
            following = await self._after(following, end)

    async def _receive(self, connection: _Connection) -> ev.Disconnected:
        """Record received frames until the connection ends; return that fact."""
        transport = connection.transport
        src = transport.src if isinstance(transport, Sourced) else None
        try:
            async for frame in transport.frames():
                self._records.feed(frame, "in", epoch=connection.epoch, src=src)
                self._greet(connection)
                if self._outbox.is_busy:
                    # Send the events that this frame causes before reading the next.
                    await asyncio.sleep(0)
        except ConnectionLost as error:
            code = error.code
            may_retry = is_recoverable(code)
            return ev.Disconnected(code=code, reason=str(error), retrying=may_retry)
        except DuologueError as error:
            self._records.fail(error)
            return ev.Disconnected(reason=str(error))
        finally:
            await transport.close()
        if self._refused is not None:
            return ev.Disconnected(reason=str(self._refused))
        code = None if self._closing.is_set() else _NORMAL
        return ev.Disconnected(code=code, expected=True)

    def _greet(self, connection: _Connection) -> None:
        """Open the outbox after the first frame of a connection."""
        if not connection.is_greeted and self._connection is connection:
            connection.is_greeted = True
            self._outbox.open()

    async def _greet_late(self, connection: _Connection) -> None:
        """Open the outbox after a delay: a sideband may receive no first frame."""
        await asyncio.sleep(_GREETING)
        self._greet(connection)

    async def _after(
        self, connection: _Connection, end: ev.Disconnected
    ) -> _Connection | None:
        """Record the end of a connection; return the next one, if there is one."""
        epoch = connection.epoch
        if self._ready is not None:
            self._records.note(ev.Disconnected(expected=True), epoch=epoch)
        elif self._closing.is_set():
            # The application closed the session: the close code does not matter.
            self._records.note(ev.Disconnected(expected=True), epoch=epoch)
            return None
        else:
            retrying = end.retrying and self._connector.has_next
            end = msgspec.structs.replace(end, retrying=retrying)
            self._records.note(end, epoch=epoch)
            if not retrying:
                return None
            await self._reconnect(connection, end.reason or "the connection was lost")
        following, self._ready, self._successor = self._ready, None, None
        return await self._begin(following) if following is not None else None

    async def _begin(self, connection: _Connection) -> _Connection | None:
        """Make this connection the current one."""
        self._connection, self._lost_at = connection, None
        if self._closing.is_set():
            await connection.transport.close()
            fact = ev.Disconnected(expected=True)
            self._records.note(fact, epoch=connection.epoch)
            return None
        self._outbox.start_over(self._unconfirmed.missing(self._records.state))
        self.apply_volume(connection.transport)
        connection.opened = _now()
        self._records.note(ev.Connected(), epoch=connection.epoch)
        self.spawn(self._greet_late(connection))
        return connection

    # The successor.

    async def _reconnect(self, connection: _Connection, reason: str) -> None:
        """Wait until a lost connection has a successor or all attempts have failed."""
        records = self._records
        if self._successor is not None and not self._successor.done():
            # A hand-over can wait for the end of a turn; a lost connection cannot.
            self._successor.cancel()
            await asyncio.wait({self._successor})
            if self._ready is not None:
                return
        self._lost_at, self._reason = _now(), reason
        self._start_counting(connection)
        records.epoch += 1
        records.note(ev.Connecting())
        successor = self._successor = self.spawn(self._connect())
        assert successor is not None
        await asyncio.wait({successor})
        if successor.cancelled():
            records.note(ev.Disconnected(expected=True))
            return
        self._ready = successor.result()
        if self._ready is None:
            records.note(ev.Disconnected(reason=self._reason))

    def _start_counting(self, connection: _Connection) -> None:
        """Count attempts from zero, unless this connection ended too soon."""
        backoff, now = self._connector.backoff, _now()
        is_steady = backoff is None or now - connection.opened >= backoff.steady
        if not self._attempts or is_steady:
            self._attempts_since, self._attempts = now, 0

    def _hand_over(self) -> None:
        """Replace the connection before it expires, if another one can be made."""
        connection, wait = self._connection, self._half_life_left()
        if connection is None or wait is None or not self._connector.has_next:
            return
        if self._successor is None or self._successor.done():
            self._successor = self.spawn(self._replace(connection, wait))

    async def _replace(
        self, connection: _Connection, wait: float
    ) -> _Connection | None:
        """Connect the successor while the connection is open, then close that one."""
        records = self._records
        await asyncio.sleep(wait)
        while True:
            await records.until(may_hand_over)
            self._attempts = 0
            successor = await self._connect()
            if successor is None:
                return None
            if may_hand_over(records.state):
                break
            # A turn began meanwhile, and both connections would share the microphone.
            await successor.transport.close()
        self._outbox.hold()
        records.epoch += 1
        successor.epoch = records.epoch
        self._ready = successor
        records.note(ev.Connecting())
        await connection.transport.close()
        return successor

    def _half_life_left(self) -> float | None:
        """Seconds until half of the connection's lifetime is over.

        A hand-over waits at least this long. Otherwise a short lifetime, or a clock
        that differs from the service's, would cause one hand-over after another. None
        if the expiry is in the past: then the clocks differ, and there is no hand-over
        until the service closes the connection.
        """
        connection, at = self._connection, self._records.at
        expires = self._records.state.connection.expires_at
        if expires is None or connection is None or expires <= at:
            return None
        return max(0.0, (expires - at - (_now() - connection.opened)) / 2)

    async def _connect(self) -> _Connection | None:
        """Try until an attempt succeeds; None after a final error or a timeout."""
        backoff = self._connector.backoff
        assert backoff is not None
        retry_after: float | None = None
        while True:
            if self._attempts:
                chance = self._connector.chance()
                wait = backoff.delay(self._attempts, chance, retry_after)
                if self._time_left() <= wait:
                    return None
                await asyncio.sleep(wait)
            self._attempts += 1
            try:
                return await self._attempt()
            except DuologueError as error:
                self._reason = str(error)
                details = (self._records.id, self._attempts, error)
                _log.info("session %s: attempt %d: %s", *details)
                if not isinstance(error, ConnectError) or not is_retryable(error):
                    return None
                retry_after = error.retry_after

    async def _attempt(self) -> _Connection:
        transport = self._connector.next()
        if transport is None:
            raise DuologueError("this transport cannot be made again")
        requested = self._records.state.connection.requested
        configuration = msgspec.json.decode(requested or b"{}")
        timeout = min(self._connector.timeout, max(0.1, self._time_left()))
        connected = await self._connector.connect(transport, configuration, timeout)
        return _Connection(connected, self._records.epoch)

    def _time_left(self) -> float:
        """Seconds left for attempts; no limit while the old connection is open."""
        backoff = self._connector.backoff
        if self._lost_at is None or backoff is None:
            return float("inf")
        return self._attempts_since + backoff.patience - _now()

    # Time.

    def _schedule(
        self, before: Session | None = None, after: Session | None = None
    ) -> None:
        """Schedule the next tick; do nothing if no deadline changed."""
        if before is not None and after is not None and _same(before, after):
            return
        records = self._records
        is_off = self._group is None or records.is_timed
        due = None if is_off else tick_at(records.state)
        if due == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, due
        if due is not None:
            self._alarm = self.spawn(self._ring(max(0.0, due - records.at)))

    async def _ring(self, wait: float) -> None:
        await asyncio.sleep(wait)
        self._alarm = self._alarm_at = None
        if self._records.state.connection.status is SessionStatus.OPEN:
            self._records.note(ev.Tick())
        self._schedule()


def _same(before: Session, after: Session) -> bool:
    """Whether all nodes on which a deadline depends are unchanged."""
    return (
        before.connection is after.connection
        and before.activity is after.activity
        and before.responses is after.responses
        and before.conversation is after.conversation
    )


def _message(error: BaseException) -> str:
    """The reason why a session did not open."""
    if isinstance(error, asyncio.CancelledError):
        return "interrupted while connecting"
    return str(error) if isinstance(error, DuologueError) else type(error).__name__


def _first_of(error: BaseException) -> BaseException:
    """The first error in nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _now() -> float:
    """The event loop's time, for durations. Records have the time of the clock."""
    return asyncio.get_running_loop().time()
