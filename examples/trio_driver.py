"""A driver for trio: one session over WebSocket, without asyncio.

    duologue local --port 8765 &
    python examples/trio_driver.py ws://127.0.0.1:8765/v1/realtime

`TrioDriver` carries out the commands of the machine and records the results. The
machine decides when to connect, to try again, to hand over and to give up.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import trio
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import OP_CONT, OP_TEXT, Frame
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from duologue.core import (
    Connect,
    Disconnect,
    Machine,
    Send,
    Session,
    SwitchTo,
    WakeAt,
    commands,
    events,
    select_is_settled,
    select_transcripts,
)
from duologue.core.effects.backoff import is_recoverable


class TrioDriver:
    """Runs the connections of one session to ``url``, with an API key."""

    def __init__(self, url: str, key: str, session_id: str = "call") -> None:
        self.machine = Machine(session_id)
        self._url = url
        self._key = key
        self._connections: dict[int, Connection] = {}
        self._clock = time.time() - trio.current_time()
        self._tick_at = math.inf
        self._tick_scope = trio.CancelScope()
        self._changed = trio.Event()

    async def run(self, policy: events.ConnectPolicy | None = None) -> None:
        """Connect; return when the session is closed or has failed."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._tick)
            self.machine.connect(policy)
            self._carry_out()

    def request(self, event: events.ClientEvent) -> None:
        """Send an event as soon as possible."""
        self.machine.request(event, self._now())
        self._carry_out()

    async def until(self, predicate: Callable[[Session], bool]) -> Session:
        """Wait for a state that satisfies ``predicate``, or the end of the session."""
        while not (predicate(self.machine.session) or self.machine.is_over):
            await self._changed.wait()
        return self.machine.session

    async def close(self) -> None:
        """End the session."""
        self._record(events.Closing())
        await self.until(lambda session: False)
        self._record(events.Closed())

    def _now(self) -> float:
        return self._clock + trio.current_time()

    def _record(self, fact: events.LocalEvent, epoch: int | None = None) -> None:
        self.machine.record(fact, self._now(), epoch=epoch)
        self._carry_out()

    def _receive(self, frame: bytes, epoch: int) -> None:
        self.machine.receive(frame, self._now(), epoch=epoch)
        self._carry_out()

    def _carry_out(self) -> None:
        for command in self.machine.commands():
            match command:
                case Connect(epoch=epoch):
                    self.machine.record(command.fact, self._now(), epoch=epoch)
                    self._connections[epoch] = Connection(self._url, self._key)
                    self._nursery.start_soon(self._connect, command)
                case Disconnect(epoch=epoch):
                    self.machine.record(command.fact, self._now(), epoch=epoch)
                    if epoch in self._connections:
                        self._connections[epoch].scope.cancel()
                case SwitchTo(epoch=epoch):
                    self.machine.record(command.fact, self._now(), epoch=epoch)
                case WakeAt(at=at):
                    self._tick_at = math.inf if at is None else at - self._clock
                    self._tick_scope.deadline = self._tick_at
                case Send(event=event):
                    frame = self.machine.send(event, self._now())
                    epoch = self.machine.session.connection.epoch
                    self._connections[epoch].send(frame)
        if self.machine.is_over:
            for connection in self._connections.values():
                connection.scope.cancel()
            self._tick_scope.cancel()
        self._changed.set()
        self._changed = trio.Event()

    async def _connect(self, command: Connect) -> None:
        epoch = command.epoch
        connection = self._connections[epoch]
        with connection.scope:
            try:
                await connection.run(
                    command.timeout,
                    opened=lambda: self._record(command.connected, epoch),
                    received=lambda frame: self._receive(frame, epoch),
                )
            except (OSError, trio.TooSlowError, InvalidHandshake) as error:
                self._record(_failure(command, error), epoch)
            else:
                self._record(_ended(connection.close_code), epoch)

    async def _tick(self) -> None:
        while not self.machine.is_over:
            with trio.CancelScope(deadline=self._tick_at) as self._tick_scope:
                await trio.sleep_forever()
            at = max(self._now(), self._tick_at + self._clock)
            self._tick_at = math.inf
            if not self.machine.is_over:
                self.machine.record(events.Tick(), at)
                self._carry_out()


class Connection:
    """A WebSocket connection: I/O by trio, the protocol by websockets."""

    def __init__(self, url: str, key: str) -> None:
        self.scope = trio.CancelScope()
        self._uri = parse_uri(url)
        self._protocol = ClientProtocol(self._uri, max_size=16 << 20)
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {key}"
        self._protocol.send_request(request)
        self._has_data = trio.Event()
        self._message = bytearray()

    @property
    def close_code(self) -> int | None:
        """The code of the close frame; 1006 if there was none."""
        return self._protocol.close_code

    def send(self, frame: str) -> None:
        """Queue a frame; it is lost if the connection is closing."""
        if self._protocol.state is OPEN:
            self._protocol.send_text(frame.encode())
            self._has_data.set()

    async def run(
        self,
        timeout: float,
        opened: Callable[[], None],
        received: Callable[[bytes], None],
    ) -> None:
        """Connect within ``timeout`` seconds, then receive until the end.

        Raises OSError, TooSlowError or InvalidHandshake if it does not open.
        """
        with trio.fail_after(timeout) as limit:
            async with await self._open_stream() as stream:
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._write, stream)
                        while data := await _receive(stream):
                            for event in self._events(data):
                                if isinstance(event, bytes):
                                    received(event)
                                elif self._protocol.handshake_exc is None:
                                    limit.deadline = math.inf
                                    opened()
                        self._protocol.receive_eof()
                        nursery.cancel_scope.cancel()
                finally:
                    await self._end(stream)
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc

    async def _open_stream(self) -> trio.SocketStream | trio.SSLStream[Any]:
        address = self._uri.host, self._uri.port
        if self._uri.secure:
            return await trio.open_ssl_over_tcp_stream(*address, https_compatible=True)
        return await trio.open_tcp_stream(*address)

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
                trio.move_on_after(1, shield=True),
                contextlib.suppress(trio.BrokenResourceError),
            ):
                await stream.send_all(b"".join(self._protocol.data_to_send()))


async def _receive(stream: trio.abc.ReceiveStream) -> bytes:
    """The next bytes; none if the connection has ended."""
    try:
        return bytes(await stream.receive_some(1 << 16))
    except trio.BrokenResourceError:
        return b""


def _failure(command: Connect, error: Exception) -> events.ConnectFailed:
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


def _ended(code: int | None) -> events.Disconnected:
    return events.Disconnected(
        code=code,
        reason=f"the connection was closed ({code})",
        expected=code == 1000,
        lost=is_recoverable(code),
        can_repeat=True,
        chance=random.random(),
    )


async def main(url: str) -> None:
    """Ask one question."""
    key = os.environ.get("OPENAI_API_KEY", "any")
    driver = TrioDriver(f"{url}?model=gpt-realtime-2.1", key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.run)
        driver.request(commands.update_session({"output_modalities": ["text"]}))
        driver.request(commands.send_text("hello"))
        driver.request(commands.create_response())
        session = await driver.until(
            lambda session: (
                len(select_transcripts(session)) > 1 and select_is_settled(session)
            )
        )
        for line in select_transcripts(session):
            print(f"{line.role}: {line.text}")
        await driver.close()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
