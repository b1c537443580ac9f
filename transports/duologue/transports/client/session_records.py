"""The records of one session: created, folded, logged and published in one order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from duologue.core import Session, Store, encode
from duologue.core import events as ev
from duologue.core.effects.machine import Machine
from duologue.core.log.record import Direction, Record
from duologue.core.views.notices import notices

from ..clock import Clock
from ..contract import OWN, Following, Timed, Transport
from ..drivers.recording.session_log import SessionLog
from ..errors import ConnectionLost, DuologueError
from .emitter import Emitter

__all__ = ["SessionRecords"]


class SessionRecords:
    """Feeds the records of one session to the store, its log and its callbacks.

    The driver and the live session share this object. ``transport`` is the first of
    the session: it may write the log (`Recorder`) and have its own clock (`Timed`).
    """

    def __init__(
        self, session_id: str, store: Store, clock: Clock, transport: Transport
    ) -> None:
        self.id = session_id
        self.machine = Machine(session_id, store=store)
        #: The time of the last record, seconds since the Unix epoch.
        self.at = 0.0
        #: Whether the times, and with them the ticks, come from a recording.
        self.is_timed = isinstance(transport, Timed) and transport.clock is not None
        #: The recording that follows the application, if the session is replayed.
        self._following = transport if isinstance(transport, Following) else None
        self.emitter = Emitter()
        #: Called after each record.
        self.on_record: Callable[[], None] = lambda: None
        #: Ends the session, and returns when it has ended.
        self.close: Callable[[], Awaitable[None]] = _nothing_to_close
        self._store = store
        self._clock = clock
        self._log = SessionLog(transport)
        self._log_facts: list[ev.Gap] = []
        self._end_subscription: Callable[[], None]
        self._failure: DuologueError | None = None
        self._last = Session(session_id)
        self._is_retired = False

    @property
    def state(self) -> Session:
        """The session now, or its last value after `forget`."""
        live = None if self._is_retired else self._store.session(self.id)
        return live or self._last

    @property
    def failure(self) -> DuologueError | None:
        """The error that ended the session, or else the error of its log."""
        return self._failure or self._log.failure

    @property
    def is_over(self) -> bool:
        """Whether the session is closed, failed or forgotten."""
        return self._is_retired or self.state.connection.status.is_over

    @property
    def not_connected(self) -> str:
        """The message of `NotConnected` for this session."""
        return f"session {self.id} is not connected"

    def fail(self, error: DuologueError) -> None:
        """Set `failure`; the first error is kept."""
        self._failure = self._failure or error

    def note(
        self,
        fact: ev.LocalEvent,
        *,
        epoch: int | None = None,
        not_before: float = 0.0,
    ) -> None:
        """Record a local fact, by default in the current epoch.

        ``not_before`` is the earliest time of the record, in seconds since the Unix
        epoch.
        """
        self.at = max(self.at, not_before)
        self.feed(encode(fact), "local", epoch=epoch)

    def request(
        self, event: ev.ClientEvent | ev.Unknown, item_id: str | None = None
    ) -> None:
        """Accept an event of the application; see `Machine.accept`."""
        fact = self.machine.accept(event, item_id)
        if fact is not None:
            self.note(fact)
            if isinstance(event, ev.ConversationItemCreate) and self._following:
                self._following.requested()
        else:
            self.on_record()

    def feed(
        self,
        frame: bytes | str,
        direction: Direction,
        *,
        epoch: int | None = None,
        src: str | None = None,
    ) -> None:
        """Create one record, fold it, and publish the result.

        Does nothing after `retire`.
        """
        if self._is_retired:
            return
        # A custom clock may go backwards; the times of records must not.
        self.at = max(self.at, self._clock.now())
        before, record, after = self.machine.feed(
            frame, direction, self.at, epoch=epoch, src=src
        )
        session = after.sessions.get(self.id)
        if session is None:
            return
        self._last = session
        for notice in notices(before.sessions.get(self.id), record, session):
            self.emitter.tell(notice)
        self.on_record()
        while self._log_facts:
            # A log that cannot be written does not end the session.
            self.feed(encode(self._log_facts.pop(0)), "local", src=OWN)

    async def until(
        self, predicate: Callable[[Session], bool], timeout: float | None = None
    ) -> Session:
        """Wait for a state that satisfies ``predicate``; ``timeout`` in seconds.

        Raises TimeoutError, the error of ``predicate``, and `ConnectionLost` if the
        session is over.
        """
        found: asyncio.Future[Session] = asyncio.get_running_loop().create_future()

        def check(*_: object) -> None:
            if found.done():
                return
            state = self.state
            try:
                is_found = predicate(state)
            except Exception as error:
                found.set_exception(error)
                return
            if is_found:
                found.set_result(state)
            elif state.connection.status.is_over:
                found.set_exception(self.lost())

        unsubscribe = self.subscribe(check)
        try:
            check()
            return await asyncio.wait_for(found, timeout)
        finally:
            unsubscribe()

    def subscribe(self, callback: Callable[..., None]) -> Callable[[], None]:
        """Call ``callback`` after each record; returns the function that stops it."""
        return self._store.subscribe(callback, session=self.id)

    def lost(self) -> ConnectionLost:
        """The error that says why the session is over."""
        reason = self.state.connection.reason or "it was closed"
        return ConnectionLost(f"the session {self.id} is over: {reason}")

    def start_log(self) -> None:
        """Log every record from now on, if the transport is a `Recorder`."""
        # A store subscriber gets each record once and in order.
        self._end_subscription = self._store.subscribe(self._write_log, session=self.id)

    def end_log(self) -> None:
        """Write the remaining records to the log and close it."""
        self._end_subscription()
        if (gap := self._log.end()) is not None:
            self.note(gap)

    def retire(self) -> None:
        """Record nothing more: the session goes on with other records."""
        self._is_retired = True

    def forget(self) -> None:
        """Remove the session from the store. Idempotent."""
        if not self._is_retired:
            self.note(ev.Forgotten())
            self._is_retired = True

    def _write_log(self, before: object, record: Record, after: object) -> None:
        if (gap := self._log.write(record)) is not None:
            self._log_facts.append(gap)


async def _nothing_to_close() -> None:
    """The session has not begun."""
