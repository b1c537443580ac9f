"""Helpers of the transports' tests: tones, raw HTTP, and a small WebRTC service."""

from __future__ import annotations

import array
import asyncio
import contextlib
import itertools
import math
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import attrs
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from duologue.transports.contract import SAMPLE_RATE, Target
from duologue.transports.drivers.webrtc.peer import Peer
from duologue.transports.http.credentials import Credentials

#: Seconds until a waiting test fails.
PATIENCE = 20.0


def tone(hertz: float, samples: int, start: int = 0) -> bytes:
    """A sine as PCM16 at `SAMPLE_RATE`, beginning at sample ``start``."""
    step = 2 * math.pi * hertz / SAMPLE_RATE
    wave = (int(9000 * math.sin(step * (start + i))) for i in range(samples))
    return array.array("h", wave).tobytes()


class ToneSource:
    """An endless sine: an `AudioSource`."""

    def __init__(self, hertz: float) -> None:
        self._hertz = hertz
        self._at = 0

    def read(self, samples: int) -> bytes:
        self._at += samples
        return tone(self._hertz, samples, self._at - samples)


def frequency(pcm: bytes) -> float:
    """The frequency of a clean tone in Hz, from its zero crossings."""
    wave = array.array("h", pcm)
    rises = sum(a < 0 <= b for a, b in itertools.pairwise(wave))
    return rises * SAMPLE_RATE / len(wave)


class Heard:
    """Received audio, with a wait for a duration of it."""

    def __init__(self) -> None:
        self.pcm = bytearray()
        self._came = asyncio.Event()

    def write(self, pcm: bytes) -> None:
        self.pcm += pcm
        self._came.set()

    def flush(self) -> None:
        self.pcm.clear()

    async def enough(self, ms: int) -> bytes:
        """The last ``ms`` of audio, after at least as much was skipped."""
        size = ms * SAMPLE_RATE // 1000 * 2
        async with asyncio.timeout(PATIENCE):
            while len(self.pcm) < 2 * size:
                self._came.clear()
                await self._came.wait()
        return bytes(self.pcm[-size:])


class End:
    """A `Peer` and everything it received."""

    def __init__(self, **options: Any) -> None:
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.reasons: asyncio.Queue[str] = asyncio.Queue()
        self.heard = Heard()
        self.peer = Peer(
            **{
                "on_message": self.messages.put_nowait,
                "on_audio": self.heard.write,
                "next_audio": None,
                "on_closed": self.reasons.put_nowait,
                "loopback": True,
                **options,
            }
        )

    async def said(self) -> str | bytes:
        return await asyncio.wait_for(self.messages.get(), PATIENCE)

    async def send_raw(self, kind: int, data: bytes) -> None:
        """Send on the data channel without aiortc's encoding (RFC 8831 section 8)."""
        sctp, channel = self.peer._pc.sctp, self.peer._channel
        assert sctp is not None
        assert channel is not None
        assert channel.id is not None
        await sctp._send(channel.id, kind, data)

    async def reason(self) -> str:
        return await asyncio.wait_for(self.reasons.get(), PATIENCE)


@pytest.fixture
async def make_end() -> AsyncIterator[Callable[..., End]]:
    """Makes ends; closes them after the test."""
    ends: list[End] = []

    def make(**options: Any) -> End:
        ends.append(End(**options))
        return ends[-1]

    yield make
    for end in ends:
        await end.peer.close()


async def join(client: End, server: End) -> None:
    """Connect two ends until both can send."""
    answer = await server.peer.answer(await client.peer.offer())
    await client.peer.accept(answer)
    async with asyncio.timeout(PATIENCE):
        await client.peer.wait_open()
        await server.peer.wait_open()


@attrs.frozen
class Seen:
    """A request that a server received."""

    line: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """An HTTP server that responds with the exact bytes of a test."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.reply: bytes | Script = b""
        self.port = 0
        self.asked = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append(Seen(head[0], headers, body))
        self.asked.set()
        if isinstance(self.reply, bytes):
            writer.write(self.reply)
            await writer.drain()
        else:
            await self.reply(writer)


@pytest.fixture
async def raw_server() -> AsyncIterator[RawServer]:
    served = RawServer()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.port = server.sockets[0].getsockname()[1]
    yield served
    server.close()


@contextlib.asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """The base URL of an app under uvicorn on loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.001)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    finally:
        server.should_exit = True
        await task
        listener.close()


class Service:
    """The server side of a call: answers offers with a `Peer`."""

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.options: dict[str, Any] = {}
        #: Changes an answer before it is sent.
        self.altered: Callable[[End, str], Awaitable[str]] | None = None
        self.forms: list[dict[str, str]] = []
        self.url = ""

    async def calls(self, request: Request) -> Response:
        offer = await self._offer(request)
        end = End(**self.options)
        self.ends.append(end)
        answer = await end.peer.answer(offer)
        if self.altered is not None:
            answer = await self.altered(end, answer)
        return Response(
            answer,
            201,
            {"Location": f"/v1/realtime/calls/rtc_{len(self.ends)}"},
            media_type="application/sdp",
        )

    async def _offer(self, request: Request) -> str:
        kind = request.headers["content-type"]
        if kind == "application/sdp":
            form = {"sdp": (await request.body()).decode()}
        else:
            form = {name: str(value) for name, value in (await request.form()).items()}
        self.forms.append({"content-type": kind.partition(";")[0], **form})
        return form["sdp"]

    @property
    def end(self) -> End:
        return self.ends[-1]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A WebRTC service on loopback; ``url`` is its base URL."""
    served = Service()
    route = Route("/v1/realtime/calls", served.calls, methods=["POST"])
    async with serving(Starlette(routes=[route])) as url:
        served.url = url
        yield served
        for end in served.ends:
            await end.peer.close()


def target(base_url: str, *, key: str = "sk-test", timeout: float = PATIENCE) -> Target:
    session = {"type": "realtime", "model": "a-model"}
    credentials = Credentials(key)
    return Target(
        base_url=base_url, credentials=credentials, session=session, timeout=timeout
    )


@attrs.frozen
class Left:
    """The files, threads and tasks of a process, for a comparison."""

    files: int
    threads: int
    tasks: int

    @classmethod
    def now(cls) -> Left:
        return cls(
            files=len(os.listdir("/proc/self/fd")),
            threads=threading.active_count(),
            tasks=len(asyncio.all_tasks()),
        )


async def settled(tasks: int = 1) -> Left:
    """Wait until at most ``tasks`` tasks run (aiortc's last one takes 20 ms)."""
    async with asyncio.timeout(PATIENCE):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.005)
    return Left.now()


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """The helpers above: a test module cannot import its conftest."""
    return Kit


class Kit:
    """The names that tests use."""

    End = End
    Heard = Heard
    Left = Left
    ToneSource = ToneSource
    frequency = staticmethod(frequency)
    join = staticmethod(join)
    serving = staticmethod(serving)
    settled = staticmethod(settled)
    target = staticmethod(target)
    tone = staticmethod(tone)
