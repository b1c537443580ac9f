"""Relays between a client and a service that cause network faults on request.

Both forward traffic on loopback and do not interpret it.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
from functools import partial
from typing import Any, Self

import attrs

__all__ = ["Bad", "TcpRelay", "UdpRelay"]

Address = tuple[str, int]
_CANDIDATE = re.compile(r"(a=candidate:\S+ \d+ udp \d+ )127\.0\.0\.1 (\d+)( typ host)")


@attrs.define
class Bad:
    """The faults of a network: probabilities from 0 to 1, times in seconds.

    Each packet takes ``delay`` plus or minus ``jitter``, so packets are reordered.
    """

    loss: float = 0.0
    twice: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0
    #: No packet passes in either direction.
    cut: bool = False


class _Door(asyncio.DatagramProtocol):
    """A socket that represents one address and forwards packets to it."""

    def __init__(self, relay: UdpRelay, behind: Address) -> None:
        self.relay = relay
        self.behind = behind
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.relay.pass_on(data, addr, self.behind)


class UdpRelay:
    """Connects the two ends of a WebRTC connection.

    Each candidate of an SDP has its own socket, so that a response comes from the
    address of the request.
    """

    def __init__(self, bad: Bad, seed: int = 0) -> None:
        self.bad = bad
        self._dice = random.Random(seed)
        self._doors: dict[Address, _Door] = {}
        self.dropped = 0

    async def hide(self, sdp: str) -> str:
        """The SDP with the relay's addresses."""
        loop = asyncio.get_running_loop()
        ports = {int(found[2]) for found in _CANDIDATE.finditer(sdp)}
        names: dict[int, int] = {}
        for port in ports:
            behind = ("127.0.0.1", port)
            made = self._doors.get(behind)
            if made is None:
                _, made = await loop.create_datagram_endpoint(
                    partial(_Door, self, behind),
                    local_addr=("127.0.0.1", 0),
                )
                self._doors[behind] = made
            assert made.transport is not None
            names[port] = made.transport.get_extra_info("sockname")[1]
        return _CANDIDATE.sub(
            lambda found: f"{found[1]}127.0.0.1 {names[int(found[2])]}{found[3]}", sdp
        )

    def pass_on(self, data: bytes, sender: Address, to: Address) -> None:
        """Forward a packet, or drop it."""
        bad, dice = self.bad, self._dice
        if bad.cut or dice.random() < bad.loss:
            self.dropped += 1
            return
        for _ in range(1 + (dice.random() < bad.twice)):
            wait = bad.delay + dice.uniform(-bad.jitter, bad.jitter)
            asyncio.get_running_loop().call_later(wait, self._give, data, sender, to)

    def _give(self, data: bytes, sender: Address, to: Address) -> None:
        door = self._doors.get(sender)
        if door is not None and door.transport is not None:
            door.transport.sendto(data, to)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for door in self._doors.values():
            if door.transport is not None:
                door.transport.close()
        self._doors.clear()
        await asyncio.sleep(0)


class TcpRelay:
    """Forwards TCP connections to a port; slow, silent or reset on request."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        #: Bytes pass while this is set.
        self.passes = asyncio.Event()
        self.passes.set()
        #: Bytes per second in each direction; None for no limit.
        self.rate: float | None = None

    @property
    def port(self) -> int:
        """The port of the relay."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def reset(self) -> None:
        """Reset all connections (RST)."""
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, far}
        for source, to in ((reader, far), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, to))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(4096):
                await self.passes.wait()
                if self.rate is not None:
                    await asyncio.sleep(len(data) / self.rate)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            if reader.exception() is None:
                writer.close()
            else:
                writer.transport.abort()
