"""A connection within one process: no network, no audio, no delay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ..contract import Target
from ..errors import ConnectError, ConnectionLost, NotConnected
from ..inbox import Inbox

__all__ = ["MemoryEnd", "MemoryTransport", "pair"]

#: Frames that may be queued in each direction before `send` waits.
LIMIT = 1024


def pair() -> tuple[MemoryTransport, MemoryEnd]:
    """A transport for the client, and the far side of its connection."""
    to_end: Inbox[str] = Inbox(LIMIT)
    to_client: Inbox[str | bytes] = Inbox(LIMIT)
    end = MemoryEnd(inbox=to_end, outbox=to_client)
    return MemoryTransport(end, inbox=to_client, outbox=to_end), end


class MemoryEnd:
    """The far side of a connection: your code is the service. Made by `pair`."""

    def __init__(self, *, inbox: Inbox[str], outbox: Inbox[str | bytes]) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._target: Target | None = None
        self._connected = asyncio.Event()

    @property
    def target(self) -> Target | None:
        """The target of `MemoryTransport.connect`; None before that."""
        return self._target

    async def wait_connected(self) -> Target:
        """Wait until the client has connected."""
        await self._connected.wait()
        assert self._target is not None
        return self._target

    async def send(self, frame: str | bytes) -> None:
        """Send a frame to the client; ``bytes`` is text that is not valid UTF-8.

        It waits while `LIMIT` frames are unread. Raises `NotConnected` after the
        connection has ended.
        """
        await self._outbox.put(frame)

    def frames(self) -> AsyncIterator[str]:
        """Frames from the client, until the connection ends."""
        return self._inbox.frames()

    async def close(
        self, reason: str | None = None, *, code: int | None = None
    ) -> None:
        """End the connection; with a ``reason`` the client gets `ConnectionLost`.

        ``code`` is the close code of a WebSocket.
        """
        self._inbox.end()
        lost = None if reason is None else ConnectionLost(reason, code=code)
        self._outbox.end(lost)

    def accept(self, target: Target) -> None:
        """Let `wait_connected` return. `MemoryTransport.connect` calls this."""
        self._target = target
        self._connected.set()


class MemoryTransport:
    """The `Transport` of the client. Made by `pair`."""

    def __init__(
        self, end: MemoryEnd, *, inbox: Inbox[str | bytes], outbox: Inbox[str]
    ) -> None:
        self._end = end
        self._inbox = inbox
        self._outbox = outbox
        self._state = "new"

    async def connect(self, target: Target) -> None:
        """Connect at once. Raises `ConnectError` after connect and after close."""
        if self._state != "new":
            raise ConnectError("a transport connects once")
        self._state = "open"
        self._end.accept(target)

    async def send(self, frame: str) -> None:
        """Send a frame. Raises `NotConnected` unless connected.

        It waits while `LIMIT` frames are unread.
        """
        if self._state != "open":
            raise NotConnected("this transport is not connected")
        await self._outbox.put(frame)

    def frames(self) -> AsyncIterator[str | bytes]:
        """Frames from the far side; `ConnectionLost` if it closed with a reason."""
        return self._inbox.frames()

    async def close(self) -> None:
        """End the connection. Idempotent."""
        self._state = "closed"
        self._inbox.end()
        self._outbox.end()
