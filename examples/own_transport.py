"""A transport of your own: events as lines of text over a TCP connection.

    python examples/own_transport.py

An empty line closes the connection; without it, the connection was lost. The far side
is the local service, in the same process, behind a small relay.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from duologue.core import SessionConfig, select_transcripts
from duologue.local import in_process
from duologue.transports import (
    Client,
    ConnectError,
    ConnectionLost,
    Credentials,
    NotConnected,
    ServiceUnreachable,
    Target,
)

#: Bytes of the longest line.
LIMIT = 16 * 1024 * 1024


class LinesTransport:
    """One connection to ``host:port``. A transport needs these four methods."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._closed = False

    async def connect(self, target: Target) -> None:
        """Return when frames can be sent. Raises a `ConnectError`."""
        if self._closed or self._writer is not None:
            raise ConnectError("a transport connects once")
        try:
            self._reader, self._writer = await asyncio.open_connection(
                self._host, self._port, limit=LIMIT
            )
        except OSError as error:
            # One line, without the key.
            place = f"{self._host}:{self._port}"
            raise ServiceUnreachable(f"nothing answers at {place}") from error

    async def send(self, frame: str) -> None:
        """Send one event; wait while the far side does not read."""
        if self._writer is None or self._closed:
            raise NotConnected("this transport is not connected")
        try:
            self._writer.write(frame.encode() + b"\n")
            await self._writer.drain()
        except OSError as error:
            raise NotConnected("the connection is gone") from error

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Received frames, in order, until the close. Raises `ConnectionLost`."""
        assert self._reader is not None
        with contextlib.suppress(OSError):
            while (line := await self._reader.readline()).endswith(b"\n"):
                if line == b"\n":
                    await self.close()
                    return
                yield _text(line.removesuffix(b"\n"))
        if not self._closed:
            await self.close()
            raise ConnectionLost("the connection broke off")

    async def close(self) -> None:
        """Free everything. Idempotent, from every state."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def again(self) -> LinesTransport:
        """A new transport to the same service: the session can reconnect."""
        return LinesTransport(self._host, self._port)


def _text(line: bytes) -> str | bytes:
    """The text of a line, or its bytes if it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward lines to a session of the local service, and its frames back."""
    service = in_process()
    target = Target(
        base_url="http://127.0.0.1/v1",
        credentials=Credentials("any"),
        session={"type": "realtime", "model": "any", "output_modalities": ["text"]},
    )
    await service.connect(target)

    async def send_back() -> None:
        async for frame in service.frames():
            writer.write(str(frame).encode() + b"\n")

    sending = asyncio.create_task(send_back())
    while line := (await reader.readline()).decode().strip():
        await service.send(line)
    await service.close()
    await sending
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(relay, "127.0.0.1", 0, limit=LIMIT)
    port = server.sockets[0].getsockname()[1]
    async with server, Client() as client:
        session = await client.start_session(
            SessionConfig(output_modalities=("text",)),
            transport=LinesTransport("127.0.0.1", port),
        )
        await session.ask("hello", timeout=10)
        for line in select_transcripts(session.state):
            print(f"{line.role}: {line.text}")


if __name__ == "__main__":
    asyncio.run(main())
