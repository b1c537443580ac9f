"""One live session, as the application uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

from duologue.core import (
    Reply,
    Session,
    SessionConfig,
    SessionStatus,
    Transcript,
    select_call,
    select_final_transcripts,
    select_reply,
)
from duologue.core import events as ev
from duologue.core.effects import commands
from duologue.core.selectors.reply import (
    ended_replies,
    is_reply_over,
    responses_after,
)

from ..contract import Transport
from ..errors import DuologueError, NotConnected, ReplyError, ReplyTimeout
from .driver import Driver
from .session_records import SessionRecords
from .tools import Toolbox

__all__ = ["LiveSession"]


class LiveSession:
    """A session of a client, connected or not. Made by `Client.start_session`."""

    def __init__(self, records: SessionRecords, driver: Driver, tools: Toolbox) -> None:
        self.id = records.id
        self._records = records
        self._driver = driver
        self._tools = tools
        #: Serialises `ask`.
        self._asking = asyncio.Lock()
        driver.run_tool = self._run_tool

    def _run_tool(self, call_id: str) -> None:
        if (call := select_call(self.state, call_id)) is not None:
            self._tools.run(call)

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
        await self._send_text(text)

    async def _send_text(self, text: str) -> str:
        """Send a message, request its answer, and return the id of the message."""
        if not isinstance(text, str):
            raise TypeError(f"text is a str, not {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text is not valid Unicode: {error.reason}") from None
        event = commands.send_text(text)
        sent = await self._driver.put(event, commands.create_response())
        assert isinstance(sent, ev.ConversationItemCreate)
        assert sent.item.id is not None
        return sent.item.id

    async def ask(self, text: str, *, timeout: float | None = None) -> Reply:
        """Send a text message of the user; return the whole reply to it.

        The reply is whole when its tools have run, their outputs were answered, and its
        audio, if it is played, has been played. Concurrent calls run one after another.
        ``timeout`` is in seconds.

        Raises `ReplyError` if the reply failed or was interrupted, `ReplyTimeout` (a
        `TimeoutError`) after the timeout; both have the ``reply`` so far. Raises
        `ConnectionLost` if the session is over, TypeError if ``text`` is not a str,
        ValueError for a lone surrogate.
        """
        item_id: str | None = None
        try:
            async with asyncio.timeout(timeout), self._asking:
                item_id = await self._send_text(text)
                await self.until(partial(is_reply_over, item_id=item_id))
        except NotConnected:
            raise self._records.lost() from None
        except TimeoutError:
            reply = self._reply_to(item_id)
            error = f"the reply was not over after {timeout:g} s"
            raise ReplyTimeout(error, reply) from None
        reply = self._reply_to(item_id)
        if reply.status == "completed":
            return reply
        if self._records.is_over:
            raise self._records.lost()
        raise ReplyError(f"the reply is {reply.status}: {reply.reason}", reply)

    def _reply_to(self, item_id: str | None) -> Reply:
        reply = None if item_id is None else select_reply(self.state, item_id)
        return reply or Reply(item_id, "in_progress")

    def replies(self) -> AsyncIterator[Reply]:
        """The replies that end from now on, until the session is over.

        They answer spoken words and messages, also those of `ask`, and come in the
        order in which they end. A reply that failed or was interrupted says so in its
        ``status``.
        """
        ended: asyncio.Queue[Reply | None] = asyncio.Queue()
        last: str | None = None
        waiting: tuple[str, ...] = ()
        before: Session | None = None

        def check(*_: object) -> None:
            nonlocal last, waiting, before
            state, earlier = self.state, before
            before = state
            if earlier is not None and _is_unchanged(earlier, state):
                return
            waiting += responses_after(state, last)
            last = state.responses.order.last
            over, waiting = ended_replies(state, waiting)
            for reply in over if earlier is not None else ():
                ended.put_nowait(reply)
            if state.connection.status.is_over:
                ended.put_nowait(None)

        check()
        return self._ended_replies(ended, self._records.subscribe(check))

    async def _ended_replies(
        self, ended: asyncio.Queue[Reply | None], unsubscribe: Callable[[], None]
    ) -> AsyncIterator[Reply]:
        try:
            while (reply := await ended.get()) is not None:
                yield reply
        finally:
            unsubscribe()

    async def send_event(self, event: ev.Event | Mapping[str, Any]) -> None:
        """Send one client event, typed or as JSON values.

        The event and a new item get ids if they have none. Unknown fields are sent
        unchanged. Without a connection the event is queued for the next one; if the
        queue is full, this waits. Raises ValueError for a malformed event and for a
        server event, `NotConnected` after close.
        """
        wanted = commands.client_event(event, self.state.connection.kind)
        await self._driver.put(wanted)

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
        await self._driver.put(commands.update_session(config))

    async def interrupt(self) -> None:
        """Stop the response, its audio, and all requested responses.

        A requested response that has not begun is withdrawn, or cancelled when it
        begins. Has no effect if nothing is pending.
        """
        if not self._records.is_over:
            self._driver.interrupt()

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
            if status.is_over:
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


def _is_unchanged(before: Session, after: Session) -> bool:
    """Whether two states are equal in everything that can end a reply."""
    return (
        before.responses is after.responses
        and before.activity is after.activity
        and before.conversation is after.conversation
        and before.connection is after.connection
    )
