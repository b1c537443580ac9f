"""Sends the events of a session, one at a time.

The queue, and the decision what may be sent, is that of the session's `Machine`. This
module lets the application wait until its event is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from duologue.core import events as ev
from duologue.core.effects.commands import Send, is_queued
from duologue.core.effects.lifecycle import lost_events, may_send, unsent_count

from ..errors import ConnectionLost, NotConnected
from .session_records import SessionRecords

__all__ = ["LIMIT", "Outbox"]

#: Maximum number of unsent events of the application; at the limit, `Outbox.put` waits.
LIMIT = 256


class Outbox:
    """Sends with ``deliver`` while the state allows it."""

    def __init__(
        self,
        records: SessionRecords,
        deliver: Callable[[ev.ClientEvent | ev.Unknown], Awaitable[None]],
    ) -> None:
        self._records = records
        self._deliver = deliver
        #: The events that the application waits for, by their id.
        self._waiting: dict[str, asyncio.Future[None]] = {}
        #: The connection on which sending failed last; it is about to end.
        self._dead: int | None = None
        #: Set when an event can be sent, and when one was sent.
        self._changed = asyncio.Event()
        self._over: str | None = None

    def __len__(self) -> int:
        """The number of unsent events of the application."""
        return self._records.machine.waiting + unsent_count(self._records.state)

    @property
    def can_send(self) -> bool:
        """Whether an event is about to be sent."""
        return self._records.machine.can_send and not self._is_dead

    @property
    def _is_dead(self) -> bool:
        return self._dead == self._records.state.connection.epoch

    def update(self) -> None:
        """Send what can be sent now; call it after each record."""
        if self._records.machine.can_send:
            self._changed.set()
        elif self._waiting and not may_send(self._records.state):
            self._accept()

    def _accept(self) -> None:
        """Without a connection, the waiting events count as accepted."""
        for done in self._waiting.values():
            if not done.done():
                done.set_result(None)

    async def put(
        self, *events: ev.ClientEvent | ev.Unknown, item_id: str | None = None
    ) -> None:
        """Queue events of the application.

        Returns when the first one is sent, or accepted for the next connection; waits
        while too many are unsent. ``item_id`` is the message that a ``response.create``
        among them answers. Raises `NotConnected` if the session is over, and any other
        exception of ``deliver``.
        """
        while self._over is None and len(self) >= LIMIT:
            await self._changed.wait()
        if self._over is not None or self._records.is_over:
            raise NotConnected(self._over or self._records.not_connected)
        events = tuple(map(self._records.machine.named, events))
        first = events[0]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if first.event_id is not None and not is_queued(first):
            self._waiting[first.event_id] = done
        else:
            # The state keeps a requested response until it may begin.
            done.set_result(None)
        try:
            for event in events:
                self._records.request(event, item_id)
            if not may_send(self._records.state) or self._is_dead:
                return
            await done
        finally:
            self._waiting.pop(first.event_id or "", None)

    async def run(self) -> None:
        """Send until cancelled. Raises the error of one of the session's own events."""
        machine = self._records.machine
        while True:
            command = None if self._is_dead else machine.next_send()
            if command is None:
                self._changed.clear()
                await self._changed.wait()
            else:
                await self._send(command)
                self._changed.set()

    async def _send(self, command: Send) -> None:
        epoch = self._records.state.connection.epoch
        done = self._waiting.get(command.event.event_id or "")
        try:
            await self._deliver(command.event)
        except (NotConnected, ConnectionLost):
            # The connection is ending; `lifecycle` decides what follows.
            self._dead = epoch
            self._records.machine.put_back(command)
            self._accept()
        except Exception as error:
            if done is None or done.done():
                raise
            done.set_exception(error)
        else:
            if done is not None and not done.done():
                done.set_result(None)

    def end(self) -> None:
        """End permanently: `put` raises `NotConnected` from now on."""
        records = self._records
        reason = self._over = records.not_connected
        lost = lost_events(records.state, records.machine.waiting)
        if lost is not None:
            records.note(lost)
        for done in self._waiting.values():
            if not done.done():
                done.set_exception(NotConnected(reason))
        self._changed.set()
