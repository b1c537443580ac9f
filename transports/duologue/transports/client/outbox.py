"""The events to send, in two queues.

The urgent queue contains the session's own events (from `react`), such as a truncation
or the restored conversation on a new connection. The other queue contains the events of
the application and the commands that are last (`Send.is_last`), so that a response is
requested after all events that it answers.

Without a connection, the application's events are accepted up to a limit and kept for
the next connection. The session's own events are dropped, because `react` returns them
again for the next connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import attrs

from duologue.core import events as ev
from duologue.core.effects.commands import Send

from ..errors import ConnectionLost, NotConnected

__all__ = ["LIMIT", "Outbox"]

#: Maximum number of queued events of the application; at the limit, `Outbox.put`
#: waits.
LIMIT = 256


@attrs.define(eq=False)
class _Entry:
    event: ev.Event
    #: Done when the event is sent or accepted; None for the session's own events.
    done: asyncio.Future[None] | None = None


class Outbox:
    """Sends with ``deliver``, one at a time, while it is open."""

    def __init__(self, deliver: Callable[[ev.Event], Awaitable[None]]) -> None:
        self._deliver = deliver
        self._urgent: deque[_Entry] = deque()
        self._waiting: deque[_Entry] = deque()
        self._open = False
        self._sending = False
        #: The number of the connection, to ignore a late failure of an old connection.
        self._round = 0
        self._over: str | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """The number of queued events of the application."""
        return sum(entry.done is not None for entry in self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether an event is being sent or about to be sent."""
        return self._open and bool(self._sending or self._urgent or self._waiting)

    def open(self) -> None:
        """Start sending."""
        self._open = self._over is None
        self._wake()

    def hold(self) -> None:
        """Stop sending; the queued events of the application count as accepted."""
        self._open = False
        self._settle()

    def start_over(self) -> None:
        """Prepare for a new connection: drop the session's own events."""
        self.hold()
        self._urgent.clear()
        kept = [entry for entry in self._waiting if entry.done is not None]
        self._waiting = deque(kept)
        self._round += 1

    def end(self, reason: str) -> None:
        """End permanently: `put` raises `NotConnected` with this reason from now on."""
        self._over, self._open = reason, False
        for entry in self._waiting:
            if entry.done is not None and not entry.done.done():
                entry.done.set_exception(NotConnected(reason))
                # Mark it as retrieved: the waiting task may have been cancelled.
                entry.done.exception()
        self._wake()

    def put_own(self, command: Send) -> None:
        """Queue one of the session's own events."""
        lane = self._waiting if command.is_last else self._urgent
        lane.append(_Entry(command.event))
        self._wake()

    async def put(self, event: ev.Event) -> None:
        """Queue an event of the application.

        Returns when the event is sent, or accepted for the next connection; waits while
        the queue is full. Raises `NotConnected` after `end`, and any exception of
        ``deliver``.
        """
        while self._over is None and len(self._waiting) >= LIMIT:
            await self._changed.wait()
        if self._over is not None:
            raise NotConnected(self._over)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = _Entry(event, done)
        is_next = not self.is_busy
        self._waiting.append(entry)
        if not self._open:
            done.set_result(None)
            return
        try:
            if is_next:
                # Send it in this task, with the events that it causes.
                await self._pump()
            else:
                self._wake()
            await done
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise

    async def run(self) -> None:
        """Send until cancelled. Raises the error of one of the session's own events."""
        while True:
            await self._pump()
            if self._failure is not None:
                raise self._failure
            await self._changed.wait()

    async def _pump(self) -> None:
        """Send all queued events, unless another task is sending."""
        if self._sending:
            return
        self._sending = True
        try:
            while self._open and (self._urgent or self._waiting):
                lane = self._urgent or self._waiting
                await self._send(lane.popleft(), lane)
        finally:
            self._sending = False
            self._wake()

    async def _send(self, entry: _Entry, lane: deque[_Entry]) -> None:
        current = self._round
        try:
            await self._deliver(entry.event)
        except asyncio.CancelledError:
            if entry.done is None or not entry.done.cancelled():
                # The cancelled task sent another task's event: keep it.
                lane.appendleft(entry)
            raise
        except (NotConnected, ConnectionLost):
            # The connection is ending; `lifecycle` decides what follows.
            if entry.done is not None:
                self._waiting.appendleft(entry)
            if current == self._round:
                self.hold()
        except Exception as error:
            if entry.done is None:
                self._failure, self._open = error, False
            elif not entry.done.done():
                entry.done.set_exception(error)
        else:
            if entry.done is not None and not entry.done.done():
                entry.done.set_result(None)

    def _settle(self) -> None:
        for entry in self._waiting:
            if entry.done is not None and not entry.done.done():
                entry.done.set_result(None)

    def _wake(self) -> None:
        # Wake all waiters. A new `asyncio.Event` makes the next wait block.
        self._changed.set()
        self._changed = asyncio.Event()
