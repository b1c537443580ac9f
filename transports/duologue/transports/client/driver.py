"""The driver of a session: carries out the commands of `react`, records the results.

It makes no decision: when to connect, to switch, to wait and to give up is decided by
`duologue.core.effects.lifecycle`. All tasks of a session end with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import attrs
import msgspec

from duologue.core import Session, SessionStatus
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.log.record import Direction
from duologue.core.reducer.requests.configuration import wanted_config

from ..contract import OWN, Audible, Flushable, Rejoining, Reporting, Sourced, Transport
from ..errors import ConnectionLost, DuologueError, NotConnected
from .connector import Connector
from .outbox import Outbox
from .session_records import SessionRecords

__all__ = ["Driver"]

_log = logging.getLogger("duologue")

#: The normal close code: the service ended the session (RFC 6455, 7.4.1).
_NORMAL = 1000


@attrs.define(eq=False)
class _Connection:
    """One connection and the task that connects it and receives on it."""

    epoch: int
    transport: Transport | None = None
    task: asyncio.Task[Any] | None = None
    #: Whether `close` of the transport was called here.
    is_closed_here: bool = False


class Driver:
    """Runs the connections of one session."""

    def __init__(self, records: SessionRecords, connector: Connector) -> None:
        self._records = records
        records.on_record = self._carry_out
        self._connector = connector
        self._outbox = Outbox(records, lambda: self.transport)
        #: The connections that are open or being opened, by epoch.
        self._connections: dict[int, _Connection] = {}
        #: The connection that carries the session, or carried it last.
        self._current: _Connection | None = None
        self._is_carrying_out = False
        #: Whether `interrupt` has discarded the received audio.
        self._is_flushed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alarm: asyncio.Task[None] | None = None
        #: The error of the last attempt to connect.
        self._error: Exception | None = None
        #: The error with which a transport refused one of the session's events.
        self._refused: DuologueError | None = None
        #: An error in the driver or in the application's middleware.
        self._crash: BaseException | None = None
        self._has_opened = False
        #: `_opened` is set when the session is open or over, `_over` when it is over.
        self._opened, self._over = asyncio.Event(), asyncio.Event()
        #: Called when the session is over.
        self.on_end: Callable[[], None] = lambda: None
        #: Runs the tool of the call with this ``call_id``.
        self.run_tool: Callable[[str], None] = lambda call_id: None
        self._running: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def transport(self) -> Transport:
        """The transport of the current connection, or of the last one."""
        current = self._current.transport if self._current is not None else None
        return current or self._connector.transport

    async def put(
        self,
        event: ev.ClientEvent | ev.Unknown,
        request: ev.ResponseCreate | None = None,
    ) -> ev.ClientEvent | ev.Unknown:
        """Send an event of the application: see `Outbox.put`."""
        return await self._outbox.put(event, request)

    def flush_audio(self) -> None:
        """Discard received audio that has not been played yet."""
        if isinstance(self.transport, Flushable):
            self.transport.flush_audio()

    def interrupt(self) -> None:
        """Discard received audio and record the interruption."""
        # First, because the transport reports how much was played. `FlushAudio`, which
        # follows from the fact, has nothing left to discard.
        self.flush_audio()
        self._is_flushed = True
        try:
            self._records.note(ev.Interrupted())
        finally:
            self._is_flushed = False

    def apply_volume(self) -> None:
        """Set mute and volume of the current transport."""
        transport = self.transport
        if isinstance(transport, Audible):
            activity = self._records.state.activity
            transport.set_muted(activity.muted)
            transport.set_volume(activity.volume)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Run ``work`` as a task, cancelled at the end of the session.

        Returns None if the session is over.
        """
        if self._over.is_set():
            work.close()
            return None
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._crash = self._crash or error
            self._over.set()

    # Start and end of the session.

    async def start(
        self, policy: ev.ConnectPolicy, configuration: Mapping[str, Any]
    ) -> None:
        """Make the first connection and run the session in a task.

        Raises a `ConnectError`, and `NotConnected` if `close` was called.
        """
        records = self._records
        records.start_log()
        name = f"duologue {records.id}"
        self._running = asyncio.create_task(self._run(), name=name)
        try:
            records.machine.connect(policy)
            self._carry_out()
            if configuration.keys() - {"type"}:
                update = {"type": "session.update", "session": dict(configuration)}
                records.note(ev.Requested(event=update))
            await self._opened.wait()
        except BaseException as error:
            self._abandon(error)
            await self._running
            records.end_log()
            raise
        if not self._has_opened:
            await self._running
            records.end_log()
            if self._error is not None and records.state.connection.closing is None:
                raise self._error
            raise NotConnected("the session was closed while it connected")

    def _abandon(self, error: BaseException) -> None:
        """End a session that did not open."""
        try:
            if not self._records.is_over:
                self._records.note(ev.Disconnected(reason=_message(error)))
        finally:
            self._over.set()

    async def close(self) -> None:
        """End the session. Idempotent; every caller waits until it has ended."""
        if self._ending is None:
            name = f"close {self._records.id}"
            self._ending = asyncio.create_task(self._close(), name=name)
        await asyncio.shield(self._ending)

    async def _close(self) -> None:
        if not self._over.is_set():
            self._records.note(ev.Closing())
        if self._running is not None:
            await asyncio.wait({self._running})
        if self._has_opened:
            self._records.note(ev.Closed())
            self._records.end_log()

    async def _run(self) -> None:
        """Wait for the end of the session; then end everything that it uses."""
        sending = self.spawn(self._send())
        try:
            await self._over.wait()
        finally:
            self._over.set()
            await self._end_tasks(sending)
            self._finish()

    async def _end_tasks(self, sending: asyncio.Task[Any] | None) -> None:
        receiving: set[asyncio.Task[Any]] = set()
        for connection in list(self._connections.values()):
            if connection.transport is not None and connection.task is not None:
                # Do not cancel it: that could interrupt the writing of a record.
                connection.is_closed_here = True
                await connection.transport.close()
                receiving.add(connection.task)
        for task in self._tasks - receiving:
            task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _finish(self) -> None:
        """Record an unexpected error, and events that were not sent or confirmed."""
        records = self._records
        reason = "the session was interrupted"
        if isinstance(self._crash, Exception):
            _log.error("session %s failed", records.id, exc_info=self._crash)
            reason = f"unexpected: {type(self._crash).__name__}"
            records.fail(DuologueError(reason))
        if not records.is_over:
            records.note(ev.Disconnected(reason=reason))
        self._outbox.end()
        self._opened.set()
        self.on_end()

    # Commands.

    def _carry_out(self) -> None:
        """Carry out the commands that have become due; called after each record."""
        if self._is_carrying_out:
            return
        self._is_carrying_out = True
        try:
            for command in self._records.machine.commands(sends=False):
                match command:
                    case commands.Connect():
                        self._connect(command)
                    case commands.Disconnect():
                        self._disconnect(command)
                    case commands.SwitchTo():
                        self._use(self._connections[command.epoch])
                        self._records.note(command.fact, epoch=command.epoch)
                    case commands.RunTool():
                        self.run_tool(command.call_id)
                    case commands.FlushAudio() if not self._is_flushed:
                        self.flush_audio()
                    case commands.WakeAt():
                        self._set_alarm(command.at)
        finally:
            self._is_carrying_out = False
        self._outbox.update()
        status = self._records.state.connection.status
        if status is SessionStatus.OPEN:
            self._has_opened = True
            self._opened.set()
        elif status.is_over:
            self._opened.set()
            self._over.set()

    def _connect(self, command: commands.Connect) -> None:
        connection = self._connections[command.epoch] = _Connection(command.epoch)
        connection.task = self.spawn(self._run_connection(connection, command))
        self._records.note(command.fact, epoch=command.epoch)

    async def _run_connection(
        self, connection: _Connection, command: commands.Connect
    ) -> None:
        """Connect, then receive until the connection ends."""
        records, epoch = self._records, connection.epoch
        try:
            connection.transport = await self._connector.connect(
                _configuration(records.state),
                command.timeout,
                partial(self._prepare, epoch),
            )
        except Exception as error:
            self._connections.pop(epoch, None)
            self._error = error
            details = records.id, command.attempt, error
            _log.info("session %s: attempt %d: %s", *details)
            records.note(self._connector.failure(command, error), epoch=epoch)
            return
        if not command.successor:
            self._use(connection)
        transport = connection.transport
        rejoins = isinstance(transport, Rejoining) and transport.rejoins
        fact = msgspec.structs.replace(command.connected, rejoins=rejoins)
        records.note(fact, epoch=epoch)
        if self._connections.get(epoch) is not connection:
            # It is not needed any more.
            await connection.transport.close()
            return
        # Send the first events of the application before reading the first frame: one
        # iteration of the loop for the application, and two to send.
        for _ in range(3):
            await asyncio.sleep(0)
        end = await self._receive(connection, connection.transport)
        self._connections.pop(epoch, None)
        records.note(end, epoch=epoch)

    def _disconnect(self, command: commands.Disconnect) -> None:
        connection = self._connections.get(command.epoch)
        is_used = command.epoch <= self._records.state.connection.epoch
        if is_used and connection and connection.transport:
            # Its task records the frames that have arrived, then its end.
            connection.is_closed_here = True
            self.spawn(connection.transport.close())
            return
        # An attempt, or a successor that is not used.
        self._connections.pop(command.epoch, None)
        task = connection.task if connection is not None else None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._records.note(command.fact, epoch=command.epoch)

    def _use(self, connection: _Connection) -> None:
        """Send and play on this connection from now on."""
        self._current = connection
        activity = self._records.state.activity
        if self._has_opened or activity.muted or activity.volume != 1.0:
            self.apply_volume()

    def _set_alarm(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        records = self._records
        is_open = records.state.connection.status is SessionStatus.OPEN
        # The transport of a recorded session repeats the ticks of the recording.
        if at is not None and not (records.is_timed and is_open):
            self._alarm = self.spawn(self._ring(at))

    async def _ring(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - self._records.at))
        self._alarm = None
        self._records.note(ev.Tick(), not_before=at)

    # Sending and receiving.

    async def _send(self) -> None:
        try:
            await self._outbox.run()
        except DuologueError as error:
            # The transport (a replay, for example) refused one of the session's events.
            self._records.fail(error)
            self._refused = error
            await self.transport.close()

    def _prepare(self, epoch: int, transport: Transport) -> None:
        """Record the reports of a transport; called before it connects."""
        if isinstance(transport, Reporting):

            def report(frame: str, direction: Direction) -> None:
                self._records.feed(frame, direction, epoch=epoch, src=OWN)

            transport.report_to(report)

    async def _receive(
        self, connection: _Connection, transport: Transport
    ) -> ev.Disconnected:
        """Record received frames until the connection ends; return that fact."""
        src = transport.src if isinstance(transport, Sourced) else None
        try:
            async for frame in transport.frames():
                self._records.feed(frame, "in", epoch=connection.epoch, src=src)
                if self._outbox.is_sending:
                    # Send the events that this frame causes before reading the next.
                    await asyncio.sleep(0)
        except ConnectionLost as error:
            return ev.Disconnected(
                code=error.code,
                reason=str(error),
                expected=connection.is_closed_here,
                lost=error.is_recoverable,
                can_repeat=self._connector.can_repeat,
                chance=self._connector.chance(),
            )
        except DuologueError as error:
            self._records.fail(error)
            return ev.Disconnected(reason=str(error))
        finally:
            await transport.close()
        if self._refused is not None:
            return ev.Disconnected(reason=str(self._refused))
        code = None if connection.is_closed_here else _NORMAL
        return ev.Disconnected(code=code, expected=True)


def _configuration(session: Session) -> Mapping[str, Any]:
    """The configuration to connect with."""
    found: dict[str, Any] = msgspec.json.decode(wanted_config(session.connection))
    return found


def _message(error: BaseException) -> str:
    """The reason why a session did not open."""
    if isinstance(error, asyncio.CancelledError):
        return "interrupted while connecting"
    return str(error) if isinstance(error, DuologueError) else type(error).__name__
