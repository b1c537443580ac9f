"""A WebSocket connection for `trio_driver`: I/O by trio, the protocol by websockets."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import OP_CONT, OP_TEXT, Frame
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from duologue.core import Connect, events
from duologue.core.effects.backoff import is_recoverable

#: Seconds to wait for the close frame of the service.
CLOSE_TIMEOUT = 1.0


class Connection:
    """One connection, or an attempt to make it."""

    def __init__(self, url: str, key: str) -> None:
        self.is_open = False
        self._is_aborted = False
        self._scope = trio.CancelScope()
        self._uri = parse_uri(url)
        self._protocol = ClientProtocol(self._uri, max_size=16 << 20)
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {key}"
        self._protocol.send_request(request)
        self._has_data = trio.Event()
        self._message = bytearray()

    def send(self, frame: str) -> None:
        """Queue a frame; it is lost if the connection is closing."""
        if self._protocol.state is OPEN:
            self._protocol.send_text(frame.encode())
            self._has_data.set()

    def close(self) -> None:
        """Send a close frame. Frames are received until the service closes too."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
            self._has_data.set()
        self._scope.deadline = trio.current_time() + CLOSE_TIMEOUT

    def abort(self) -> None:
        """End the connection or the attempt: from now on nothing is received."""
        self._is_aborted = True
        self._scope.cancel()

    async def run(
        self,
        command: Connect,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
    ) -> events.LocalEvent | None:
        """Connect, then receive until the end; return the fact of the end.

        It is None after `abort`.
        """
        self._scope.deadline = trio.current_time() + command.timeout
        error: Exception = TimeoutError("the service did not open the WebSocket")
        try:
            with self._scope:
                async with await self._open_stream() as stream:
                    await self._exchange(stream, opened, received)
        except OSError as failure:
            error = failure
        if self._is_aborted:
            return None
        if self.is_open:
            return _ended(self._protocol.close_code, self._protocol.close_reason)
        return _failed(command, self._protocol.handshake_exc or error)

    async def _open_stream(self) -> trio.SocketStream | trio.SSLStream[Any]:
        address = self._uri.host, self._uri.port
        if self._uri.secure:
            return await trio.open_ssl_over_tcp_stream(*address, https_compatible=True)
        return await trio.open_tcp_stream(*address)

    async def _exchange(
        self,
        stream: trio.abc.Stream,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
    ) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, stream)
                while data := await _receive(stream):
                    for event in self._events(data):
                        if isinstance(event, bytes):
                            received(event)
                        elif self._protocol.handshake_exc is None:
                            self.is_open = True
                            self._scope.deadline = math.inf
                            opened()
                        if self._is_aborted:
                            return
                self._protocol.receive_eof()
                nursery.cancel_scope.cancel()
        finally:
            await self._end(stream)

    def _events(self, data: bytes) -> Iterator[bytes | Response]:
        """The response to the handshake, then each frame."""
        self._protocol.receive_data(data)
        self._has_data.set()
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                yield event
            elif isinstance(event, Frame) and event.opcode in (OP_TEXT, OP_CONT):
                self._message += event.data
                if event.fin:
                    yield bytes(self._message)
                    self._message.clear()

    async def _write(self, stream: trio.abc.SendStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                for data in self._protocol.data_to_send():
                    await stream.send_all(data)
                await self._has_data.wait()
                self._has_data = trio.Event()

    async def _end(self, stream: trio.abc.SendStream) -> None:
        """Send a close frame, even if this task was cancelled."""
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
            with (
                trio.move_on_after(CLOSE_TIMEOUT, shield=True),
                contextlib.suppress(trio.BrokenResourceError),
            ):
                await stream.send_all(b"".join(self._protocol.data_to_send()))


async def _receive(stream: trio.abc.ReceiveStream) -> bytes:
    """The next bytes; none if the connection has ended."""
    try:
        return bytes(await stream.receive_some(1 << 16))
    except trio.BrokenResourceError:
        return b""


def _failed(command: Connect, error: Exception) -> events.ConnectFailed:
    status, after = None, None
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        with contextlib.suppress(KeyError, ValueError):
            after = float(error.response.headers["Retry-After"])
    return command.failed(
        str(error) or type(error).__name__,
        status=status,
        retry_after=after,
        can_repeat=True,
        chance=random.random(),
    )


def _ended(code: int | None, reason: str | None) -> events.Disconnected:
    return events.Disconnected(
        code=code,
        reason=reason or f"the connection was closed ({code})",
        expected=code == 1000,
        lost=is_recoverable(code),
        can_repeat=True,
        chance=random.random(),
    )
