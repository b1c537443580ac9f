"""The feed: one WebSocket for each page, with patches, replies and commands."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, Union

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..pages.page_commands import command_of
from ..pages.refusals import Refused
from ..pages.subscriber import Subscriber
from ..sessions.registry import PAGE_TIMEOUT, Caller, Registry
from .request_guard import reject
from .routes import Authenticate, caller_of

__all__ = ["Feed"]

#: Timeout of the closing handshake, in seconds.
_CLOSE_TIMEOUT = 2.0
#: Maximum number of events in one report.
_MAX_REPORTS = 256
#: Maximum number of characters in one message of a page.
_MAX_MESSAGE = 1 << 20
#: Close codes of WebSocket: no message in time, and a message that is too large.
_POLICY_VIOLATION, _TOO_BIG = 1008, 1009


class _Base(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    pass


class _Watch(_Base, frozen=True, tag="watch"):
    session: str
    since: int | None = None


class _Unwatch(_Base, frozen=True, tag="unwatch"):
    session: str


class _Command(_Base, frozen=True, tag="command"):
    session: str
    command: dict[str, Any]
    ref: int | str | None = None


class _Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event on the data channel of a page."""

    dir: Literal["in", "out"]
    event: msgspec.Raw


class _Report(_Base, frozen=True, tag="report"):
    session: str
    nonce: str
    records: list[_Reported]


class _Beat(_Base, frozen=True, tag="beat"):
    pass


_OfSession = Union[_Watch, _Unwatch, _Command, _Report]  # noqa: UP007 - read at run time
_Message = Union[_OfSession, _Beat]  # noqa: UP007 - read at run time
_MESSAGES = msgspec.json.Decoder(_Message)


class Feed:
    """The endpoint of the feed."""

    def __init__(self, registry: Registry, authenticate: Authenticate | None) -> None:
        self._registry = registry
        self._authenticate = authenticate

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one page until its connection ends."""
        try:
            caller = await caller_of(socket, self._authenticate)
            page = self._registry.enter(caller)
        except Refused as error:
            await socket.receive()
            await reject(socket.scope, socket.send, error)
            return
        try:
            await socket.accept()
            code = await self._serve(socket, caller, page)
        finally:
            self._registry.leave(page)
        if code is not None:
            await _close(socket, code)

    async def _serve(
        self, socket: WebSocket, caller: Caller, page: Subscriber
    ) -> int | None:
        """Read and write until one of them ends. Return the close code, if any."""
        writing = asyncio.create_task(_write(socket, page))
        reading = asyncio.create_task(self._read(socket, caller, page))
        try:
            await asyncio.wait({writing, reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writing, reading):
                task.cancel()
            results = await asyncio.gather(writing, reading, return_exceptions=True)
        for result in results:
            if isinstance(result, int):
                return result
        return None

    async def _read(
        self, socket: WebSocket, caller: Caller, page: Subscriber
    ) -> int | None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(PAGE_TIMEOUT):
                    text = await socket.receive_text()
            except TimeoutError:
                return _POLICY_VIOLATION
            except (WebSocketDisconnect, KeyError):
                return None
            if len(text) > _MAX_MESSAGE:
                return _TOO_BIG
            page.seen_at = loop.time()
            await self._receive(text, caller, page)
            await page.wait_drained()

    async def _receive(self, text: str, caller: Caller, page: Subscriber) -> None:
        try:
            message = _decoded(text)
        except Refused as error:
            page.reply({"type": "error", **error.body})
            return
        if isinstance(message, _Beat):
            page.reply({"type": "beat"})
            return
        try:
            await self._handle(message, caller, page)
        except Refused as error:
            answer: dict[str, Any] = {"type": "error", **error.body}
            if error.code == "no_session":
                answer = {"type": "gone"}
            answer["session"] = message.session
            if isinstance(message, _Command) and message.ref is not None:
                answer["ref"] = message.ref
            page.reply(answer)

    async def _handle(
        self, message: _OfSession, caller: Caller, page: Subscriber
    ) -> None:
        if isinstance(message, _Unwatch):
            page.unwatch(message.session)
            return
        session = self._registry.session(caller, message.session)
        match message:
            case _Watch():
                page.watch(session.topic, message.since)
            case _Report():
                session.report(page, message.nonce, _frames(message))
            case _Command():
                await session.execute(command_of(message.command))


def _frames(report: _Report) -> list[tuple[str, str]]:
    """The direction and the frame of each reported event. Raises `Refused`."""
    if len(report.records) > _MAX_REPORTS:
        message = f"a report has at most {_MAX_REPORTS} events"
        raise Refused(413, "too_many_reports", message)
    return [(one.dir, bytes(one.event).decode()) for one in report.records]


def _decoded(text: str) -> _Message:
    try:
        message: _Message = _MESSAGES.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(400, "invalid_message", str(error)) from None
    return message


async def _close(socket: WebSocket, code: int) -> None:
    """Close the connection; abort it if the page does not read."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await socket.close(code)
    except (TimeoutError, RuntimeError, OSError):
        # An ASGI extension of our own server. Other servers close the connection if
        # the page does not answer a ping.
        abort = socket.scope.get("extensions", {}).get("duologue.abort")
        if abort is not None:
            abort()


async def _write(socket: WebSocket, page: Subscriber) -> None:
    while True:
        text = await page.next_batch()
        try:
            await socket.send_text(text)
        except (WebSocketDisconnect, OSError, RuntimeError):
            return
