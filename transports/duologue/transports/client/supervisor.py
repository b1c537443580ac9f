"""Keeps a session connected: reads, reconnects, hands over before the end.

One task runs all of it, and all that belongs to a session runs beneath that task. A
connection that is lost is followed by another one if that can help (`core` says when);
one that is about to expire is given up for the next one while it still stands, so that
nothing is missed between them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from duologue.core import Session, SessionStatus
from duologue.core import events as ev
from duologue.core.effects.backoff import is_recoverable
from duologue.core.effects.deadlines import tick_at
from duologue.core.effects.handover import may_hand_over

from ..contract import Transport
from ..errors import ConnectError, ConnectionLost, DuologueError, NotConnected
from .connector import Connector, is_worth_it

if TYPE_CHECKING:
    from .live_session import LiveSession

__all__ = ["Keeper"]

_log = logging.getLogger("duologue")

#: The close code of a far side that meant to end the session (RFC 6455, 7.4.1).
_NORMAL = 1000
#: Seconds that a new connection has for its first word before it is told anything.
_GREETING = 2.0


@attrs.define(eq=False)
class _Link:
    """One connection, and when it stood."""

    transport: Transport
    epoch: int
    opened: float = 0.0
    greeted: bool = False


@attrs.frozen
class _End:
    """How a connection ended."""

    reason: str | None = None
    code: int | None = None
    is_lost: bool = False


class Keeper:
    """Runs the connections of one session."""

    def __init__(self, session: LiveSession, connector: Connector) -> None:
        self._session = session
        self._connector = connector
        self._link: _Link | None = None
        #: The connection that takes the place of the one that stands.
        self._heir: asyncio.Task[_Link | None] | None = None
        self._handed_over: _Link | None = None
        self._lost_at: float | None = None
        #: Since when, and how often, a steady connection is tried for.
        self._tries_since = _now()
        self._tries = 0
        self._why = ""
        #: What refused something that the session itself had to send.
        self._refused: DuologueError | None = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: float | None = None
        #: The first connection is made within; `close` ends it.
        self._opening: asyncio.Timeout | None = None
        self._closing = asyncio.Event()
        self.epoch = 0

    @property
    def transport(self) -> Transport | None:
        """What carries the session now, or did last."""
        return self._link.transport if self._link else self._connector.transport

    def epoch_of(self, transport: Transport) -> int:
        """The epoch of a transport, of one that connects too."""
        for link in (self._link, self._handed_over):
            if link is not None and link.transport is transport:
                return link.epoch
        if self._link is None or self._lost_at is not None:
            return self.epoch
        return self.epoch + 1

    async def open(self, configuration: Any) -> None:
        """The first connection. Raises a `ConnectError`, `NotConnected` by `close`."""
        try:
            async with asyncio.timeout(None) as self._opening:
                transport = await self._connector.first(configuration)
        except TimeoutError:
            raise NotConnected("the session was closed while it connected") from None
        finally:
            self._opening = None
        self._link = _Link(transport, 0, _now(), greeted=True)
        if self._closing.is_set():
            # It stood at the very moment of `close`.
            await transport.close()

    async def run(self) -> None:
        """Until the session is over, however it ends."""
        link = self._link
        assert link is not None
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self.spawn(self._write())
                self.schedule()
                await self._keep(link)
                self._group = None
                for task in self._tasks:
                    task.cancel()
        finally:
            self._group = None
            await self._free()

    async def close(self) -> None:
        """End what stands and what is being tried."""
        self._closing.set()
        if self._opening is not None:
            self._opening.reschedule(_now())
        if self._heir is not None:
            self._heir.cancel()
        if self._link is not None:
            await self._link.transport.close()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | None:
        """Run something beneath the session; it ends with it. None: it is over."""
        if self._group is None:
            work.close()
            return None
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _free(self) -> None:
        for link in (self._link, self._handed_over):
            if link is not None:
                await link.transport.close()

    async def _write(self) -> None:
        try:
            await self._session._outbox.run()
        except DuologueError as error:
            # A command of the session's own was refused: by a replay, for example.
            self._session._failure = self._session._failure or error
            self._refused = error
            if self._link is not None:
                await self._link.transport.close()

    # Reading.

    async def _keep(self, link: _Link) -> None:
        following: _Link | None = link
        while following is not None:
            self._link = following
            end = await self._read(following)
            self._session._outbox.hold()
            following = await self._after(following, end)

    async def _read(self, link: _Link) -> _End:
        """Fold what comes until the connection ends; how it ended."""
        session = self._session
        # What is no channel of the session's own says where its frames come from.
        src: str | None = getattr(link.transport, "src", None)
        try:
            async for frame in link.transport.frames():
                session._feed(frame, "in", epoch=link.epoch, src=src)
                self._greeted(link)
                if session._outbox.is_busy:
                    # What follows from a frame goes out before the next one comes.
                    await asyncio.sleep(0)
        except ConnectionLost as error:
            return _End(str(error), error.code, is_recoverable(error.code))
        except DuologueError as error:
            session._failure = session._failure or error
            return _End(str(error))
        finally:
            await link.transport.close()
        if self._refused is not None:
            return _End(str(self._refused))
        return _End(code=None if self._closing.is_set() else _NORMAL)

    def _greeted(self, link: _Link) -> None:
        """The connection has spoken: from here on it is spoken to."""
        if not link.greeted and self._link is link:
            link.greeted = True
            self._session._outbox.open()

    async def _greet_late(self, link: _Link) -> None:
        """A service that says nothing by itself (a sideband's) is spoken to as well."""
        await asyncio.sleep(_GREETING)
        self._greeted(link)

    async def _after(self, link: _Link, end: _End) -> _Link | None:
        """What is known of the end of a connection; the next one, if there is one."""
        session = self._session
        if self._handed_over is None and self._closing.is_set():
            # Its own end: the service's is none of it any more.
            session._note(ev.Disconnected(expected=True), epoch=link.epoch)
            return None
        if self._handed_over is None:
            retrying = end.is_lost and self._connector.has_next
            expected = end.reason is None
            fact = ev.Disconnected(
                code=end.code, reason=end.reason, expected=expected, retrying=retrying
            )
            session._note(fact, epoch=link.epoch)
            if not retrying:
                return None
            await self._find_heir(link, end.reason or "the connection was lost")
        else:
            session._note(ev.Disconnected(expected=True), epoch=link.epoch)
        heir, self._handed_over, self._heir = self._handed_over, None, None
        return await self._begin(heir) if heir is not None else None

    async def _begin(self, link: _Link) -> _Link | None:
        """The new connection stands."""
        session = self._session
        self._link, self._lost_at = link, None
        if self._closing.is_set():
            await link.transport.close()
            session._note(ev.Disconnected(expected=True), epoch=link.epoch)
            return None
        session._outbox.start_over(session._unconfirmed.missing(session.state))
        session._turn_down(link.transport)
        link.opened = _now()
        session._note(ev.Connected(), epoch=link.epoch)
        self.spawn(self._greet_late(link))
        return link

    # The next connection.

    async def _find_heir(self, link: _Link, why: str) -> None:
        """Wait for the next connection, or for the end of trying."""
        session = self._session
        if self._heir is not None and not self._heir.done():
            # A hand-over takes its time; now there is none.
            self._heir.cancel()
            await asyncio.wait({self._heir})
            if self._handed_over is not None:
                return
        self._lost_at, self._why = _now(), why
        self._count_from(link)
        self.epoch += 1
        session._note(ev.Connecting(), epoch=self.epoch)
        heir = self._heir = self.spawn(self._try())
        assert heir is not None
        await asyncio.wait({heir})
        if heir.cancelled():
            session._note(ev.Disconnected(expected=True), epoch=self.epoch)
            return
        self._handed_over = heir.result()
        if self._handed_over is None:
            session._note(ev.Disconnected(reason=self._why), epoch=self.epoch)

    def _count_from(self, link: _Link) -> None:
        """Begin to count tries, unless this connection was no more than one of them."""
        backoff, now = self._connector.backoff, _now()
        if not self._tries or backoff is None or now - link.opened >= backoff.steady:
            self._tries_since, self._tries = now, 0

    def hand_over(self, reason: str) -> None:
        """Go over to a new connection before this one ends, if there can be one."""
        link, wait = self._link, self._not_before()
        if link is None or wait is None or not self._connector.has_next:
            return
        if self._heir is None or self._heir.done():
            self._heir = self.spawn(self._replace(link, wait))

    async def _replace(self, link: _Link, wait: float) -> _Link | None:
        """Connect anew while the old connection stands, then end that one."""
        session = self._session
        await asyncio.sleep(wait)
        while True:
            await session.until(may_hand_over)
            self._tries = 0
            heir = await self._try()
            if heir is None:
                return None
            if may_hand_over(session.state):
                break
            # A turn began meanwhile. Both would share the microphone: not this one.
            await heir.transport.close()
        session._outbox.hold()
        self.epoch += 1
        heir.epoch = self.epoch
        self._handed_over = heir
        session._note(ev.Connecting(), epoch=self.epoch)
        await link.transport.close()
        return heir

    def _not_before(self) -> float | None:
        """Seconds until the connection has had half its life.

        One with a short life, or whose end we read from a clock that differs, would be
        given up for the next one at once, and that one too. None: its end has passed,
        so the clocks do differ, and its end will be seen when it comes.
        """
        session, link = self._session, self._link
        expires = session.state.connection.expires_at
        if expires is None or link is None or expires <= session._at:
            return None
        return max(0.0, (expires - session._at - (_now() - link.opened)) / 2)

    async def _try(self) -> _Link | None:
        """Connect until it succeeds; None if it cannot, or for too long did not."""
        backoff = self._connector.backoff
        assert backoff is not None
        asked: float | None = None
        while True:
            if self._tries:
                wait = backoff.delay(self._tries, self._connector.chance(), asked)
                if self._left() <= wait:
                    return None
                await asyncio.sleep(wait)
            self._tries += 1
            try:
                return await self._attempt()
            except DuologueError as error:
                self._why = str(error)
                told = (self._session.id, self._tries, error)
                _log.info("session %s: attempt %d: %s", *told)
                if not isinstance(error, ConnectError) or not is_worth_it(error):
                    return None
                asked = getattr(error, "retry_after", None)

    async def _attempt(self) -> _Link:
        transport = self._connector.next()
        if transport is None:
            raise DuologueError("this transport cannot be made again")
        asked = self._session.state.connection.requested
        configuration = msgspec.json.decode(asked or b"{}")
        timeout = min(self._connector.timeout, max(0.1, self._left()))
        connected = await self._connector.connect(transport, configuration, timeout)
        return _Link(connected, self.epoch)

    def _left(self) -> float:
        """Seconds that may still be tried; without end while the old one stands."""
        backoff = self._connector.backoff
        if self._lost_at is None or backoff is None:
            return float("inf")
        return self._tries_since + backoff.patience - _now()

    # Time.

    def schedule(
        self, before: Session | None = None, after: Session | None = None
    ) -> None:
        """Let a tick come when time matters next: nothing, where no reason changed."""
        session = self._session
        if before is not None and after is not None and _same(before, after):
            return
        due = None if self._group is None or session._timed else tick_at(session.state)
        if due == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_at = None, due
        if due is not None:
            self._alarm = self.spawn(self._ring(max(0.0, due - session._at)))

    async def _ring(self, wait: float) -> None:
        await asyncio.sleep(wait)
        self._alarm = self._alarm_at = None
        if self._session.state.connection.status is SessionStatus.OPEN:
            self._session._note(ev.Tick())
        self.schedule()


def _same(before: Session, after: Session) -> bool:
    """Whether nothing changed that says when time matters."""
    return (
        before.connection is after.connection
        and before.activity is after.activity
        and before.responses is after.responses
        and before.conversation is after.conversation
    )


def _now() -> float:
    """For how long things take. The times of records are the clock's."""
    return asyncio.get_running_loop().time()
