"""One live session: the object that an application talks to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    Transcript,
    encode,
    select_final_transcripts,
)
from duologue.core import events as ev
from duologue.core.effects import commands

from ..contract import Transport
from ..errors import DuologueError
from .driver import Driver
from .session_records import OVER, SessionRecords
from .tools import Toolbox

__all__ = ["LiveSession"]


class LiveSession:
    """A session of a client, connected or not. Made by `Client.start_session`."""

    def __init__(self, records: SessionRecords, driver: Driver, tools: Toolbox) -> None:
        self.id = records.id
        self._records = records
        self._driver = driver
        self._tools = tools
        records.emitter.on("playback_cleared", driver.flush_audio)
        records.emitter.on("tool_call", tools.run)

    @property
    def state(self) -> Session:
        """The session now; its last value after `Client.close_session`."""
        return self._records.state

    @property
    def failure(self) -> DuologueError | None:
        """The error that ended the session or its log, if there is one."""
        return self._records.failure

    @property
    def transport(self) -> Transport | None:
        """The current transport; a new one after each reconnect."""
        return self._driver.transport

    @property
    def callback_failures(self) -> tuple[BaseException, ...]:
        """The last hundred exceptions that callbacks of `on` raised; also logged."""
        return tuple(self._records.emitter.failures)

    def on(self, name: str, callback: Callable[..., Any]) -> Callable[[], None]:
        """Call ``callback`` for every notice of this name.

        `duologue.core.views.notices.NAMES` lists the names. Returns a function that
        unsubscribes. Raises ValueError for an unknown name and TypeError for a
        coroutine function.
        """
        return self._records.emitter.on(name, callback)

    async def send_text(self, text: str) -> None:
        """Send a text message of the user and request a response.

        The request waits while a response is in progress or the user speaks. Raises
        `NotConnected` after close, TypeError if ``text`` is not a str, ValueError for a
        lone surrogate.
        """
        if not isinstance(text, str):
            raise TypeError(f"text is a str, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text is not valid Unicode: {error.reason}") from None
        await self._driver.put(commands.send_text(text))
        await self._request(commands.create_response())

    async def send_event(self, event: ev.Event | Mapping[str, Any]) -> None:
        """Send one client event, typed or as JSON values.

        The event and a new item get ids if they have none. Unknown fields are sent
        unchanged. Without a connection the event is queued for the next one; if the
        queue is full, this waits. Raises ValueError for a malformed event and for a
        server event, `NotConnected` after close.
        """
        await self._driver.put(commands.client_event(event, self.state.connection.kind))

    async def update(self, **changes: Any) -> None:
        """Change the configuration; fields as in `SessionConfig`, None switches off.

        ``tools`` may contain functions (see `duologue.transports.client.tools`). Only
        the named fields change, now and on every later connection. The service
        confirms the change by ``session.updated``; a refusal is a problem in the
        state. Raises TypeError for an unknown name (with the GA name for a retired
        one), ValueError for an invalid value and for the model, which cannot change,
        `NotConnected` after close.
        """
        if "model" in changes:
            raise ValueError("the model of a session cannot be changed")
        tools = changes.get("tools")
        if isinstance(tools, list | tuple):
            changes["tools"] = self._tools.replace(tools)
        config = SessionConfig.changing(**changes)
        await self._request(commands.update_session(config))

    async def interrupt(self) -> None:
        """Stop the assistant: what it says, and what was requested of it.

        A requested response that has not begun is withdrawn, or cancelled when it
        begins. Has no effect if nothing is pending.
        """
        self._driver.flush_audio()
        if not self._records.is_over:
            # In the order of the requests, which it withdraws.
            await self._driver.put(ev.Interrupted())

    async def _request(self, event: ev.ClientEvent) -> None:
        """Record a requested event; it is sent when the state allows it."""
        values = msgspec.json.decode(encode(event))
        await self._driver.put(ev.Requested(event=values))

    def mute(self) -> None:
        """Send silence as the user's audio. No effect if already muted or over."""
        self._set_muted(True)

    def unmute(self) -> None:
        """Send the microphone's audio again. No effect if the session is over."""
        self._set_muted(False)

    def _set_muted(self, muted: bool) -> None:
        if not self._records.is_over and self.state.activity.muted != muted:
            self._records.note(ev.Muted(muted=muted))
            self._driver.apply_volume()

    def set_volume(self, volume: float) -> None:
        """Play at this volume, from 0 to 1. Raises ValueError for any other.

        Does nothing if the session is over.
        """
        if not 0 <= volume <= 1:
            raise ValueError(f"volume is {volume!r}, it must be from 0 to 1")
        if not self._records.is_over and self.state.activity.volume != volume:
            self._records.note(ev.VolumeSet(volume=float(volume)))
            self._driver.apply_volume()

    def clear_transcripts(self) -> None:
        """Hide the lines so far from the transcript; the conversation keeps them.

        Does nothing if the session is over.
        """
        if not self._records.is_over:
            self._records.note(ev.Cleared())

    def transcripts(self) -> AsyncIterator[Transcript]:
        """The final lines so far, then each new one, until the session is over.

        Lines come in the order in which they become final.
        """
        return self._final_lines()

    async def _final_lines(self) -> AsyncIterator[Transcript]:
        lines: asyncio.Queue[Transcript | None] = asyncio.Queue()
        for line in select_final_transcripts(self.state):
            lines.put_nowait(line)

        def check(status: SessionStatus) -> None:
            if status in OVER:
                lines.put_nowait(None)

        stop_lines = self.on("transcript", lines.put_nowait)
        stop_status = self.on("status", check)
        try:
            check(self.state.connection.status)
            while (next_line := await lines.get()) is not None:
                yield next_line
        finally:
            stop_lines()
            stop_status()

    async def until(
        self, predicate: Callable[[Session], bool], *, timeout: float | None = None
    ) -> Session:
        """Wait until the state satisfies ``predicate``; return that state.

        Raises TimeoutError after ``timeout`` seconds, and `ConnectionLost` if the
        session is over.
        """
        return await self._records.until(predicate, timeout)

    async def close(self) -> None:
        """Close the connection; the session stays in the store as ``closed``.

        Idempotent; every caller waits until the session has ended. A failed session
        stays ``failed``. If the session is still connecting, the attempt is ended.
        """
        await self._driver.close()
