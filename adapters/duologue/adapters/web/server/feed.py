"""The feed: one WebSocket on which a page follows its sessions and commands them."""

from __future__ import annotations

import asyncio
from typing import Any, Literal, Union

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..pages.page_commands import command_of
from ..pages.refusals import Refused
from ..pages.subscriber import Watcher
from ..sessions.registry import GONE, Caller, Hub
from .request_guard import reject
from .routes import Authenticate, caller_of

__all__ = ["Feed"]

#: Seconds that a page has to read that its feed is closed.
_CLOSING = 2.0
#: Events of one report.
_REPORTS = 256
#: Bytes of one message of a page.
_MESSAGE_LIMIT = 1 << 20


class _Base(msgspec.Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    pass


class _Watch(_Base, frozen=True, tag="watch"):
    session: str
    since: int | None = None


class _Unwatch(_Base, frozen=True, tag="unwatch"):
    session: str


class _Do(_Base, frozen=True, tag="command"):
    session: str
    command: dict[str, Any]
    ref: int | str | None = None


class _Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event on a page's own data channel."""

    dir: Literal["in", "out"]
    event: msgspec.Raw


class _Report(_Base, frozen=True, tag="report"):
    session: str
    nonce: str
    records: list[_Reported]


class _Beat(_Base, frozen=True, tag="beat"):
    pass


_Message = Union[_Watch, _Unwatch, _Do, _Report, _Beat]  # noqa: UP007 - read at run time
_MESSAGES = msgspec.json.Decoder(_Message)


class Feed:
    """The endpoint of the feed."""

    def __init__(self, hub: Hub, authenticate: Authenticate | None) -> None:
        self._hub = hub
        self._authenticate = authenticate

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one page until it is gone."""
        try:
            caller = await caller_of(socket, self._authenticate)
            watcher = self._hub.enter(caller)
        except Refused as error:
            await socket.receive()
            await reject(socket.scope, socket.send, error)
            return
        try:
            await socket.accept()
            code = await self._serve(socket, caller, watcher)
        finally:
            self._hub.leave(watcher)
        if code is not None:
            await _close(socket, code)

    async def _serve(
        self, socket: WebSocket, caller: Caller, watcher: Watcher
    ) -> int | None:
        """Read and write until one of them ends: the code to close with, if any."""
        writing = asyncio.create_task(_write(socket, watcher))
        reading = asyncio.create_task(self._read(socket, caller, watcher))
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
        self, socket: WebSocket, caller: Caller, watcher: Watcher
    ) -> int | None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(GONE):
                    text = await socket.receive_text()
            except TimeoutError:
                return 1008
            except (WebSocketDisconnect, KeyError):
                return None
            if len(text) > _MESSAGE_LIMIT:
                return 1009
            watcher.heard_at = loop.time()
            await self._take(text, caller, watcher)
            await watcher.room_for_more()

    async def _take(self, text: str, caller: Caller, watcher: Watcher) -> None:
        message: _Message | None = None
        try:
            message = _decoded(text)
            await self._obey(message, caller, watcher)
        except Refused as error:
            session = getattr(message, "session", None)
            told: dict[str, Any] = {"type": "error", **error.body}
            if error.code == "no_session":
                told = {"type": "gone"}
            if session is not None:
                told["session"] = session
            if isinstance(message, _Do) and message.ref is not None:
                told["ref"] = message.ref
            watcher.tell(told)

    async def _obey(self, message: _Message, caller: Caller, watcher: Watcher) -> None:
        match message:
            case _Beat():
                watcher.tell({"type": "beat"})
            case _Watch():
                room = self._hub.room(caller, message.session)
                watcher.watch(room, message.since)
            case _Unwatch():
                watcher.unwatch(message.session)
            case _Report():
                room = self._hub.room(caller, message.session)
                room.report(watcher, message.nonce, _frames(message))
            case _Do():
                room = self._hub.room(caller, message.session)
                await room.do(command_of(message.command))


def _frames(report: _Report) -> list[tuple[str, str]]:
    """The way and the frame of each event that is reported. Raises `Refused`."""
    if len(report.records) > _REPORTS:
        said = f"a report has at most {_REPORTS} events"
        raise Refused(413, "too_many_reports", said)
    return [(one.dir, bytes(one.event).decode()) for one in report.records]


def _decoded(text: str) -> _Message:
    try:
        message: _Message = _MESSAGES.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Refused(400, "invalid_message", str(error)) from None
    return message


async def _close(socket: WebSocket, code: int) -> None:
    """Close the connection; it is cut where the page does not even read that."""
    try:
        async with asyncio.timeout(_CLOSING):
            await socket.close(code)
    except (TimeoutError, RuntimeError, OSError):
        # Our own server has it; elsewhere its ping finds out.
        abort = socket.scope.get("extensions", {}).get("duologue.abort")
        if abort is not None:
            abort()


async def _write(socket: WebSocket, watcher: Watcher) -> None:
    while True:
        text = await watcher.take()
        try:
            await socket.send_text(text)
        except (WebSocketDisconnect, OSError, RuntimeError):
            return
