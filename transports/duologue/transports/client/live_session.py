"""One live session: what an application holds in its hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

import attrs
import msgspec
from msgspec import UNSET

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    Store,
    Transcript,
    encode,
    react,
)
from duologue.core import events as ev
from duologue.core.effects import commands as make
from duologue.core.effects.barge_in import truncations
from duologue.core.log.record import Direction, Record
from duologue.core.views.notices import notices

from ..clock import Clock
from ..contract import OWN, Audible, Reporting, Transport
from ..drivers.recording.session_log import SessionLog
from ..errors import DuologueError, NotConnected
from .connector import Connector
from .emitter import Emitter
from .outbox import Outbox
from .supervisor import Keeper
from .tools import Spec, Tool, Toolbox
from .unconfirmed_items import Unconfirmed, named
from .waiting import OVER, first_of, lines, wait, why_not

__all__ = ["LiveSession"]

_log = logging.getLogger("duologue")


class LiveSession:
    """One session that is connected, or was. Made by `Client.start_session`."""

    def __init__(
        self, session_id: str, store: Store, clock: Clock, connector: Connector
    ) -> None:
        self.id = session_id
        self._failure: DuologueError | None = None
        self._store = store
        self._clock = clock
        self._at = 0.0
        connector.prepare = self._prepare
        self._keeper = Keeper(self, connector)
        self._outbox = Outbox(self._deliver)
        self._unconfirmed = Unconfirmed()
        self._timed = getattr(connector.transport, "clock", None) is not None
        self._log = SessionLog(connector.transport)
        self._unlog: Callable[[], None]
        self._of_log: list[ev.Gap] = []
        self._emitter = Emitter()
        self._emitter.on("playback_cleared", self._flush_audio)
        self._tools = Toolbox(self._keeper.spawn, self._note, self.send_event)
        self._emitter.on("tool_call", self._tools.run)
        #: Set once it stands, or does not.
        self._opened = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._forgotten = False
        self._last: Session = Session(session_id)

    @property
    def state(self) -> Session:
        """The session as it is now; its last value once it is forgotten."""
        live = None if self._forgotten else self._store.session(self.id)
        return live or self._last

    @property
    def failure(self) -> DuologueError | None:
        """What ended the session or its log, where it was not meant to."""
        return self._failure or self._log.failure

    @property
    def transport(self) -> Transport | None:
        """What carries this session now; a new one after each reconnect."""
        return self._keeper.transport

    @property
    def callback_failures(self) -> tuple[BaseException, ...]:
        """What callbacks of `on` raised, the last hundred; they are logged too."""
        return tuple(self._emitter.failures)

    def on(self, name: str, callback: Callable[..., Any]) -> Callable[[], None]:
        """Call ``callback`` for every notice of this name.

        The names are those of `duologue.core.views.notices.NAMES`. Returns the function
        that ends it. Raises ValueError for an unknown name.
        """
        return self._emitter.on(name, callback)

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
        await self._put(make.send_text(text))
        # A wish: the answer is asked for when the service is free to give it.
        await self._wish(make.create_response())

    async def send_event(self, event: ev.Event | Mapping[str, Any]) -> None:
        """Send one client event, typed or as JSON values.

        It gets an ``event_id`` if it has none, and so does a new item. Fields that
        nobody here knows are sent as they are. While the
        connection is away it is kept for the next one; where too many are, this waits.
        Raises ValueError for an event that is the service's to send or malformed,
        `NotConnected` after close.
        """
        await self._put(make.client_event(event))

    async def update(self, **changes: Any) -> None:
        """Change the configuration; fields as in `SessionConfig`, None switches off.

        ``tools`` may be functions (see `duologue.transports.client.tools`). Only the
        fields that you name change, now and on every later connection. The service
        confirms it by ``session.updated``; what it refuses is a problem in the state.
        Raises TypeError for a name that there is not (with the GA's for a retired one),
        ValueError for a value that is none and for the model, which stays,
        `NotConnected` after close.
        """
        if "model" in changes:
            raise ValueError("the model of a session cannot be changed")
        tools = changes.get("tools")
        if isinstance(tools, list | tuple):
            changes["tools"] = self._tools.replace(tools)
        config = SessionConfig.changing(**changes)
        await self._wish(make.update_session(config))

    async def interrupt(self) -> None:
        """Stop the assistant's response and its audio. Nothing if it is silent."""
        self._flush_audio()
        for event in (*make.interrupt(self.state), *truncations(self.state)):
            await self.send_event(event)

    @property
    def _is_over(self) -> bool:
        return self._forgotten or self.state.connection.status in OVER

    async def _wish(self, event: ev.ClientEvent) -> None:
        values = msgspec.json.decode(encode(event))
        await self._put(ev.Requested(event=values))

    async def _put(self, event: ev.Event) -> None:
        if self._is_over:
            raise NotConnected(f"session {self.id} is not connected")
        await self._outbox.put(event)

    def mute(self) -> None:
        """Send silence in place of the microphone. Nothing if muted or over."""
        self._set_muted(True)

    def unmute(self) -> None:
        """Send the microphone's sound again. Nothing once the session is over."""
        self._set_muted(False)

    def _set_muted(self, muted: bool) -> None:
        if not self._is_over and self.state.activity.muted != muted:
            self._note(ev.Muted(muted=muted))
            self._turn_down(self.transport)

    def set_volume(self, volume: float) -> None:
        """Play at this volume, from 0 to 1. Raises ValueError for any other.

        Nothing once the session is over.
        """
        if not 0 <= volume <= 1:
            raise ValueError(f"volume is {volume!r}, it must be from 0 to 1")
        if not self._is_over and self.state.activity.volume != volume:
            self._note(ev.VolumeSet(volume=float(volume)))
            self._turn_down(self.transport)

    def clear_transcripts(self) -> None:
        """Show none of the lines so far any more; the conversation keeps them.

        Nothing once the session is over.
        """
        if not self._is_over:
            self._note(ev.Cleared())

    def transcripts(self) -> AsyncIterator[Transcript]:
        """The final lines, those that there are and then each as it comes.

        In the order in which they become final. Ends when the session is over.
        """
        return lines(self)

    async def until(
        self, predicate: Callable[[Session], bool], *, timeout: float | None = None
    ) -> Session:
        """Wait until the state satisfies ``predicate``; that state.

        Raises TimeoutError after ``timeout`` seconds, and `ConnectionLost` where the
        session is over and the state can change no more.
        """
        return await wait(self, predicate, timeout)

    async def close(self) -> None:
        """Close the connection; the session stays in state as ``closed``.

        Idempotent: whoever calls waits for the same end. A session that failed stays
        ``failed``; one that still connects is given up.
        """
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(), name=f"close {self.id}")
        await asyncio.shield(self._ending)

    async def _close(self) -> None:
        await self._keeper.close()
        await self._opened.wait()
        if self._running is None:
            # It never stood; its log has ended.
            return
        try:
            # It sees the end by itself; it must not be cut off in a record.
            await self._running
        finally:
            self._note(ev.Closed())
            self._end_log()

    def _forget(self) -> None:
        """Take it out of the state, if that was not done."""
        if not self._forgotten:
            self._note(ev.Forgotten())
            self._forgotten = True

    def _configure(
        self, config: SessionConfig, tools: Iterable[Tool | Spec | Callable[..., Any]]
    ) -> Mapping[str, Any]:
        """The configuration to open with, its tools ready to run."""
        told = () if config.tools is UNSET else config.tools
        specs = self._tools.replace((*told, *tools))
        if specs != told:
            config = attrs.evolve(config, tools=specs)
        return config.to_session()

    async def _open(self, configuration: Mapping[str, Any]) -> None:
        # As a subscriber it gets each record once and in order, whatever others do.
        self._unlog = self._store.subscribe(self._write, session=self.id)
        try:
            self._note(ev.Connecting())
            wish = {"type": "session.update", "session": dict(configuration)}
            self._note(ev.Requested(event=wish))
            await self._keeper.open(configuration)
        except BaseException as error:
            # What was given up by `close` has not failed.
            closed = self._ending is not None
            self._note(ev.Disconnected(reason=why_not(error), expected=closed))
            self._outbox.end(f"session {self.id} is not connected")
            self._end_log()
            raise
        else:
            self._note(ev.Connected())
            self._outbox.open()
            self._running = asyncio.create_task(self._run(), name=f"duologue {self.id}")
        finally:
            self._opened.set()

    async def _run(self) -> None:
        """All that goes on in the session; it ends as state, whatever happens."""
        unexpected: str | None = "the session was interrupted"
        try:
            await self._keeper.run()
            unexpected = None
        except Exception as error:
            _log.exception("session %s failed", self.id)
            unexpected = f"unexpected: {type(first_of(error)).__name__}"
            self._failure = self._failure or DuologueError(unexpected)
        finally:
            if unexpected is not None:
                epoch = self._keeper.epoch
                self._note(ev.Disconnected(reason=unexpected), epoch=epoch)
            self._finish()

    def _finish(self) -> None:
        """Nothing is sent any more; what was accepted and not sent is said."""
        lost = len(self._outbox)
        self._outbox.end(f"session {self.id} is not connected")
        unknown = len(self._unconfirmed.missing(self.state))
        if lost or (unknown and self.state.connection.status is SessionStatus.FAILED):
            reason = f"{lost} of what was to be said was not sent"
            if unknown:
                reason += f", {unknown} sent and not confirmed"
            self._note(ev.Gap(reason=reason))

    def _prepare(self, transport: Transport) -> None:
        """Before a transport connects: what it does by itself is recorded."""
        if isinstance(transport, Reporting):

            def take(frame: str, direction: Direction) -> None:
                epoch = self._keeper.epoch_of(transport)
                self._feed(frame, direction, epoch=epoch, src=OWN)

            transport.report_to(take)

    def _turn_down(self, transport: Transport | None) -> None:
        if isinstance(transport, Audible):
            transport.set_muted(self.state.activity.muted)
            transport.set_volume(self.state.activity.volume)

    def _note(self, fact: ev.LocalEvent, *, epoch: int | None = None) -> None:
        self._feed(encode(fact), "local", epoch=epoch)

    def _feed(
        self,
        frame: bytes | str,
        direction: Direction,
        *,
        epoch: int | None = None,
        src: str | None = None,
    ) -> None:
        """One record: folded, logged, told, and what follows from it to be sent."""
        before = self._store.state
        # Who handed in a clock may set it back; the records keep their order.
        self._at = max(self._at, self._clock.now())
        record = self._store.feed(
            self.id,
            frame,
            at=self._at,
            dir=direction,
            epoch=self._keeper.epoch if epoch is None else epoch,
            src=src,
        )
        after = self._store.state
        session = after.sessions.get(self.id)
        if session is None:
            return
        self._last = session
        self._unconfirmed.look(record)
        earlier = before.sessions.get(self.id)
        for notice in notices(earlier, record, session):
            self._emitter.tell(notice)
        for command in react(before, record, after):
            if isinstance(command, make.Send):
                self._outbox.want(command.event)
            else:
                self._keeper.hand_over(command.reason)
        self._keeper.schedule(earlier, session)
        while self._of_log:
            # The conversation matters more than its log: it goes on, and says so.
            self._feed(encode(self._of_log.pop(0)), "local", src=OWN)

    def _write(self, before: object, record: Record, after: object) -> None:
        if (fact := self._log.write(record)) is not None:
            self._of_log.append(fact)

    async def _deliver(self, event: ev.Event) -> None:
        """Record one event and send it; a wish is noted, and what follows is sent."""
        if isinstance(event, ev.Requested):
            self._note(event)
            return
        transport = self.transport
        if transport is None or self.state.connection.status is not SessionStatus.OPEN:
            raise NotConnected(f"session {self.id} is not connected")
        event_id = make.command_id(self.id, self.state.dedup.events + 1, 0)
        event = named(event, event_id)
        frame = encode(event).decode()
        self._feed(frame, "out")
        await transport.send(frame)
        self._unconfirmed.sent(event, self.state)

    def _flush_audio(self, response_id: str | None = None) -> None:
        flush = getattr(self.transport, "flush_audio", None)
        if flush is not None:
            flush()

    def _end_log(self) -> None:
        self._unlog()
        if (fact := self._log.end()) is not None:
            self._note(fact)
