"""Sends the events of a session, one at a time.

The `Machine` queues them and decides what may be sent; the `Outbox` lets the
application wait until its event is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from duologue.core import encode
from duologue.core import events as ev
from duologue.core.effects.commands import Send
from duologue.core.effects.lifecycle import (
    is_resent,
    lost_events,
    may_send,
    unsent_count,
)

from ..contract import Transport
from ..errors import ConnectionLost, NotConnected
from .session_records import SessionRecords

__all__ = ["LIMIT", "Outbox"]

#: Maximum number of unsent events of the application; at the limit, `Outbox.put` waits.
LIMIT = 256


@attrs.frozen(eq=False)
class _Sending:
    """An event that was recorded and is being sent."""

    command: Send
    frame: str
    transport: Transport
    #: The connection that it was recorded on.
    epoch: int


class Outbox:
    """Records and sends the events that the state allows, on ``transport()``."""

    def __init__(
        self, records: SessionRecords, transport: Callable[[], Transport]
    ) -> None:
        self._records = records
        self._transport = transport
        self._sending: _Sending | None = None
        #: The events that the application is sending, by their `_key`.
        self._waiting: list[tuple[str | int, asyncio.Future[None]]] = []
        #: The connection on which sending failed last; it is about to end.
        self._dead: int | None = None
        #: Set when there is an event to send, and when one was sent.
        self._changed = asyncio.Event()
        self._is_over = False

    def __len__(self) -> int:
        """The number of unsent events of the application."""
        return self._records.machine.waiting + unsent_count(self._records.state)

    @property
    def is_sending(self) -> bool:
        """Whether an event is being sent or about to be sent."""
        return self._sending is not None

    @property
    def _is_dead(self) -> bool:
        return self._dead == self._records.state.connection.epoch

    def update(self) -> None:
        """Record the next event if none is being sent; call it after each record."""
        if self._waiting and not may_send(self._records.state):
            self._accept()
        if self._sending is not None or self._is_over or self._is_dead:
            return
        machine, transport = self._records.machine, self._transport()
        if (command := machine.next_send()) is None:
            return
        frame = encode(machine.identified(command.event)).decode()
        epoch = self._records.state.connection.epoch
        self._sending = _Sending(command, frame, transport, epoch)
        self._records.feed(frame, "out")
        self._changed.set()

    def _accept(self) -> None:
        """End the waits of `put`: the next connection gets the events."""
        for _, done in self._waiting:
            if not done.done():
                done.set_result(None)

    async def put(
        self,
        event: ev.ClientEvent | ev.Unknown,
        request: ev.ResponseCreate | None = None,
    ) -> ev.ClientEvent | ev.Unknown:
        """Queue an event of the application, and the request to answer it.

        Returns the event (an item has an id now) when it is sent, or accepted for the
        next connection; waits while too many are unsent. Raises `NotConnected` if the
        session is over, and the error with which the transport refused the event.
        """
        records = self._records
        while not self._is_over and len(self) >= LIMIT:
            await self._changed.wait()
        if self._is_over or records.is_over:
            raise NotConnected(records.not_connected)
        event = records.machine.named(event)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _key(event), done
        self._waiting.append(waiting)
        try:
            records.request(event)
            if request is not None:
                assert isinstance(event, ev.ConversationItemCreate)
                records.request(request, event.item.id)
            # A requested response may have to wait, and a change is confirmed later.
            is_item = isinstance(event, ev.ConversationItemCreate)
            is_sent_now = may_send(records.state) and not self._is_dead
            if is_sent_now and (is_item or not is_resent(event)):
                await done
        finally:
            self._waiting.remove(waiting)
        return event

    async def run(self) -> None:
        """Send until cancelled. Raises the error of one of the session's own events."""
        while True:
            if self._sending is None:
                self._changed.clear()
                await self._changed.wait()
            else:
                await self._send(self._sending)
                self._sending = None
                self._changed.set()
                self.update()

    async def _send(self, sending: _Sending) -> None:
        key = _key(sending.command.event)
        # Two events of the application may have the same id.
        found = (done for of, done in self._waiting if of == key and not done.done())
        done = next(found, None)
        try:
            await sending.transport.send(sending.frame)
        except (NotConnected, ConnectionLost):
            # The connection is ending; `lifecycle` decides what follows.
            self._dead = sending.epoch
            self._records.machine.put_back(sending.command)
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
        self._is_over = True
        records = self._records
        lost = lost_events(records.state, records.machine.waiting)
        if lost is not None:
            records.note(lost)
        for _, done in self._waiting:
            if not done.done():
                done.set_exception(NotConnected(records.not_connected))
        self._changed.set()


def _key(event: ev.ClientEvent | ev.Unknown) -> str | int:
    """What identifies an event until it is sent: it may get its id only then."""
    return id(event) if event.event_id is None else event.event_id
