"""What is to be sent, in its order, and what becomes of it where there is no way now.

Two lanes. What follows from the session itself (`react`) goes first: a truncation, or
what a new connection must be told before all else. Behind it waits what the application
wants said, and each ``response.create``: an answer is asked for when all has been said
that it is to answer.

While a connection is away, what the application hands in is accepted up to a limit and
kept for the next one. What the session itself wanted is dropped: the next connection
makes it want again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import attrs

from duologue.core import events as ev

from ..errors import ConnectionLost, NotConnected

__all__ = ["LIMIT", "Outbox"]

#: Events of the application that may wait; who brings more is held back.
LIMIT = 256


@attrs.define(eq=False)
class _Entry:
    event: ev.Event
    #: The application wants it; None: it follows from the session.
    done: asyncio.Future[None] | None = None


class Outbox:
    """Sends with ``deliver``, one at a time, while it is open."""

    def __init__(self, deliver: Callable[[ev.Event], Awaitable[None]]) -> None:
        self._deliver = deliver
        self._urgent: deque[_Entry] = deque()
        self._waiting: deque[_Entry] = deque()
        self._open = False
        self._sending = False
        #: Which connection it is; one that is late to fail holds up no other.
        self._round = 0
        self._over: str | None = None
        self._failure: Exception | None = None
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """How much of the application's waits."""
        return sum(entry.done is not None for entry in self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether something is about to be sent."""
        return self._open and bool(self._sending or self._urgent or self._waiting)

    def open(self) -> None:
        """There is a way from here on."""
        self._open = self._over is None
        self._wake()

    def hold(self) -> None:
        """There is no way just now. What the application handed in is accepted."""
        self._open = False
        self._settle()

    def start_over(self, again: Iterable[ev.Event]) -> None:
        """Another connection comes: these are sent once more, before what waits."""
        self.hold()
        self._urgent.clear()
        kept = [entry for entry in self._waiting if entry.done is not None]
        self._waiting.clear()
        self._waiting += [_Entry(event, self._accepted()) for event in again]
        self._waiting += kept
        self._round += 1

    def end(self, reason: str) -> None:
        """No way comes any more: ``reason`` is what those are told who still send."""
        self._over, self._open = reason, False
        for entry in self._waiting:
            if entry.done is not None and not entry.done.done():
                entry.done.set_exception(NotConnected(reason))
                # Whoever was to hear it may have gone.
                entry.done.exception()
        self._wake()

    def want(self, event: ev.ClientEvent) -> None:
        """Send what follows from the session."""
        lane = self._waiting if isinstance(event, ev.ResponseCreate) else self._urgent
        lane.append(_Entry(event))
        self._wake()

    async def put(self, event: ev.Event) -> None:
        """Send what the application wants.

        Returns when it is handed over, or accepted for the next connection; waits
        while there is no room. Raises `NotConnected` if there will be none, and what
        sending it raised.
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
                # At once, with what follows from it; nobody else's waits for it.
                await self._pump()
            else:
                self._wake()
            await done
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise

    async def run(self) -> None:
        """Send for ever. Raises what sending something of the session's own raised."""
        while True:
            await self._pump()
            if self._failure is not None:
                raise self._failure
            await self._changed.wait()

    async def _pump(self) -> None:
        """Send what there is, unless someone else is at it."""
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
                # Who waited for something else goes; this is sent by the next.
                lane.appendleft(entry)
            raise
        except (NotConnected, ConnectionLost):
            # The connection is going. Its reader will say how, and what comes next.
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

    def _accepted(self) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def _wake(self) -> None:
        # Whoever waits looks again; a fresh event keeps the next wait from passing.
        self._changed.set()
        self._changed = asyncio.Event()
