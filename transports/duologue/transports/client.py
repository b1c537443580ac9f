"""Live sessions over any transport, folded into one store."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Self

import msgspec

from duologue.core import (
    Problem,
    Session,
    SessionStatus,
    Store,
    decode,
    encode,
    react,
)
from duologue.core import commands as make
from duologue.core import events as ev
from duologue.core.models import REALTIME
from duologue.core.notices import Notice, notices
from duologue.core.record import Record
from duologue.core.session_config import SessionConfig

from .clock import Clock, SystemClock, new_id
from .credentials import Credentials
from .emitter import Emitter
from .errors import ConnectionLost, DuologueError, LogError, NotConnected
from .seam import Target, Transport

__all__ = ["DEFAULT_BASE_URL", "Client", "LiveSession"]

_OVER = (SessionStatus.CLOSED, SessionStatus.FAILED)
#: The real service.
DEFAULT_BASE_URL = "https://api.openai.com/v1"


class Client:
    """Runs sessions; an async context manager that closes them all at its end.

    ``credentials`` default to ``OPENAI_API_KEY``, ``base_url`` to ``OPENAI_BASE_URL``
    and then to the real service. ``clock`` and ``ids`` can be handed in for tests.
    """

    def __init__(
        self,
        *,
        credentials: Credentials | None = None,
        base_url: str | None = None,
        store: Store | None = None,
        clock: Clock | None = None,
        ids: Callable[[], str] | None = None,
    ) -> None:
        key = os.environ.get("OPENAI_API_KEY", "")
        self.credentials = credentials or Credentials(key)
        url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
        self.base_url = url.rstrip("/")
        self.store = store or Store()
        self._clock = clock or SystemClock()
        self._ids = ids or new_id
        self._sessions: dict[str, LiveSession] = {}
        self._closed = False

    @property
    def sessions(self) -> Mapping[str, LiveSession]:
        """The sessions of this client by id, closed ones too until forgotten."""
        return MappingProxyType(self._sessions)

    def get_session(self, session_id: str) -> LiveSession:
        """The session of this id. Raises KeyError."""
        return self._sessions[session_id]

    async def start_session(
        self,
        config: SessionConfig | None = None,
        *,
        id: str | None = None,
        transport: Transport | None = None,
        timeout: float = 15.0,
    ) -> LiveSession:
        """Connect a new session; returns when frames go both ways.

        ``transport`` defaults to WebRTC without microphone and speaker; ``timeout``
        in seconds is for all of the connecting. Raises a `ConnectError`, with the
        session left in the store as ``failed``; ValueError for an id in use,
        `NotConnected` once the client is closed.
        """
        if self._closed:
            raise NotConnected("this client is closed")
        session_id = id or self._ids()
        if session_id in self._sessions:
            raise ValueError(f"a session {session_id!r} exists already")
        if transport is None:
            from ._webrtc import webrtc

            transport = webrtc()
        session = LiveSession(session_id, self.store, self._clock, transport)
        self._sessions[session_id] = session
        target = Target(
            base_url=self.base_url,
            credentials=self.credentials,
            session=(config or default_config()).to_session(),
            timeout=timeout,
        )
        await session._open(target)
        return session

    async def close_session(self, session_id: str) -> Session:
        """Close a session, take it out of the state, and return its last value."""
        session = self._sessions[session_id]
        await session.close()
        last = session.state
        del self._sessions[session_id]
        session._note(ev.Forgotten())
        return last

    async def close(self) -> None:
        """Close all sessions. Their state stays in the store."""
        self._closed = True
        for session in list(self._sessions.values()):
            await session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def default_config() -> SessionConfig:
    """The configuration of a session where none is given."""
    return SessionConfig(model=os.environ.get("DUOLOGUE_MODEL") or REALTIME)


class LiveSession:
    """One session that is connected, or was. Made by `Client.start_session`."""

    def __init__(
        self, session_id: str, store: Store, clock: Clock, transport: Transport
    ) -> None:
        self.id = session_id
        #: What ended the session or its log, where it was not meant to.
        self.failure: DuologueError | None = None
        self._store = store
        self._clock = clock
        self._transport = transport
        self._log: Callable[[Record], None] | None = getattr(transport, "log", None)
        self._emitter = Emitter()
        self._emitter.on("playback_cleared", self._flush_audio)
        self._pending: list[make.Command] = []
        self._reader: asyncio.Task[None] | None = None
        self._closing = False
        self._last: Session = Session(session_id)

    @property
    def state(self) -> Session:
        """The session as it is now; its last value once it is forgotten."""
        return self._store.session(self.id) or self._last

    @property
    def transport(self) -> Transport:
        """What carries this session."""
        return self._transport

    def on(self, name: str, callback: Callable[..., Any]) -> Callable[[], None]:
        """Call ``callback`` for every notice of this name.

        The names stand in `duologue.core.notices.NAMES`. Returns the function that
        ends it. Raises ValueError for an unknown name.
        """
        return self._emitter.on(name, callback)

    @property
    def callback_failures(self) -> tuple[BaseException, ...]:
        """What callbacks of `on` raised, the last hundred; they are logged too."""
        return tuple(self._emitter.failures)

    async def send_text(self, text: str) -> None:
        """Say something in writing and ask for the answer.

        Raises `NotConnected` after close, TypeError for what is no str, ValueError
        for a lone surrogate.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a str, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text is not valid Unicode: {error.reason}") from None
        await self.send_event(make.send_text(text))
        # A wish: the answer is asked for when the service is free to give it.
        wish = msgspec.json.decode(encode(make.create_response()))
        self._note(ev.Requested(event=wish))
        await self._send_pending()

    async def send_event(self, event: ev.Event | Mapping[str, Any]) -> None:
        """Send one client event, typed or as JSON values.

        It gets an ``event_id`` if it has none. Raises ValueError for an event that
        is the service's to send or malformed, `NotConnected` after close.
        """
        if not isinstance(event, ev.Event):
            event = decode(msgspec.json.encode(event))
        if isinstance(event, ev.Malformed):
            raise ValueError(f"not an event: {event.reason}")
        if not make.is_client_event(event):
            raise ValueError(f"{event.type} is not a client's event")
        if isinstance(event, ev.ClientEvent):
            event_id = make.command_id(self.id, self.state.tally.events + 1, 0)
            event = make.identified(event, event_id)
        await self._send(event)

    async def interrupt(self) -> None:
        """Stop the assistant's response and its audio. Nothing if it is silent."""
        for event in make.interrupt(self.state):
            await self.send_event(event)

    async def until(
        self, predicate: Callable[[Session], bool], *, timeout: float | None = None
    ) -> Session:
        """Wait until the state satisfies ``predicate``; that state.

        Raises TimeoutError after ``timeout`` seconds, and `ConnectionLost` where the
        session is over and the state can change no more.
        """
        found: asyncio.Future[Session] = asyncio.get_running_loop().create_future()

        def look(*_: object) -> None:
            if found.done():
                return
            if predicate(self.state):
                found.set_result(self.state)
            elif self.state.connection.status in _OVER:
                reason = self.state.connection.reason or "it was closed"
                found.set_exception(
                    ConnectionLost(f"the session {self.id} is over: {reason}")
                )

        stop = self._store.subscribe(look, session=self.id)
        try:
            look()
            return await asyncio.wait_for(found, timeout)
        finally:
            stop()

    async def close(self) -> None:
        """Close the connection; the session stays in state as ``closed``.

        Idempotent. A session that failed stays ``failed``.
        """
        self._closing = True
        if self._reader is not None:
            await self._transport.close()
            # The reader sees the end by itself; it must not be cut off in a record.
            await self._reader
            self._reader = None
            self._note(ev.Closed())
        self._end_log()

    async def _open(self, target: Target) -> None:
        self._note(ev.Connecting())
        wish = {"type": "session.update", "session": dict(target.session)}
        self._note(ev.Requested(event=wish))
        try:
            await self._transport.connect(target)
        except BaseException as error:
            known = isinstance(error, DuologueError)
            cancelled = isinstance(error, asyncio.CancelledError)
            reason = str(error) if known else type(error).__name__
            reason = "interrupted while connecting" if cancelled else reason
            self._note(ev.Disconnected(reason=reason, expected=False))
            await self._transport.close()
            self._end_log()
            raise
        self._note(ev.Connected())
        self._reader = asyncio.create_task(self._read(), name=f"duologue {self.id}")

    async def _read(self) -> None:
        """Fold what comes until the connection ends, and say how it ended."""
        reason: str | None = None
        try:
            async for frame in self._transport.frames():
                self._feed(frame, "in")
                await self._send_pending()
        except ConnectionLost as error:
            reason = str(error)
        except DuologueError as error:
            reason, self.failure = str(error), error
        finally:
            await self._transport.close()
            expected = self._closing or reason is None
            self._note(
                ev.Disconnected(reason=None if expected else reason, expected=expected)
            )

    def _note(self, fact: ev.LocalEvent) -> None:
        self._feed(encode(fact), "local")

    def _feed(self, frame: bytes | str, direction: Any) -> None:
        """One record: folded, logged, told, and what follows from it to be sent."""
        before = self._store.state
        record = self._store.feed(self.id, frame, at=self._clock.now(), dir=direction)
        after = self._store.state
        self._write(record)
        session = after.sessions.get(self.id)
        if session is None:
            return
        self._last = session
        for notice in notices(before.sessions.get(self.id), record, session):
            self._emitter.tell(notice)
        self._pending += react(before, record, after)

    def _write(self, record: Record) -> None:
        if self._log is None:
            return
        try:
            self._log(record)
        except OSError as error:
            # The conversation matters more than its log: it goes on, and says so.
            self._log = None
            problem = f"the log ends here: {error.strerror or error}"
            self.failure = self.failure or LogError(problem)
            self._emitter.tell(
                Notice("error", (Problem("log", problem, at=record.at),))
            )

    async def _send_pending(self) -> None:
        while self._pending:
            command = self._pending.pop(0)
            # A `Reconnect` is not carried out yet: this client has one connection.
            if isinstance(command, make.Send):
                with contextlib.suppress(NotConnected):
                    await self._send(command.event)

    async def _send(self, event: ev.Event) -> None:
        if self.state.connection.status is not SessionStatus.OPEN or self._closing:
            raise NotConnected(f"session {self.id} is not connected")
        frame = encode(event).decode()
        self._feed(frame, "out")
        await self._transport.send(frame)

    def _flush_audio(self, response_id: str) -> None:
        flush = getattr(self._transport, "flush_audio", None)
        if flush is not None:
            flush()

    def _end_log(self) -> None:
        end = getattr(self._transport, "end_log", None)
        if end is not None:
            end()
        self._log = None
