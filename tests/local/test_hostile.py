"""Hostile clients, next to a normal one without any effect on it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import random
import resource
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from duologue.local import LocalService, Parts
from duologue.local.speech.vad_silero import SileroVAD
from duologue.transports.drivers.webrtc.peer import Peer

KEY = {"Authorization": "Bearer made-up"}
SDP = {"Content-Type": "application/sdp"}
#: The most seconds that the normal client waits for a typed reply.
_NOTICED = 2.0


@pytest.fixture
async def service() -> AsyncGenerator[LocalService]:
    async with LocalService(parts=Parts(), max_listening=1000) as service:
        yield service


@pytest.fixture
async def http(service: LocalService) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.base_url, headers=KEY) as client:
        yield client


def address(service: LocalService) -> tuple[str, int]:
    url = httpx.URL(service.base_url)
    assert url.port is not None
    return url.host, url.port


@contextlib.asynccontextmanager
async def neighbour(service: LocalService) -> AsyncIterator[None]:
    """A session that talks all the time; its longest wait is limited."""
    waits: list[float] = []
    first, over = asyncio.Event(), asyncio.Event()
    url = service.base_url.replace("http", "ws", 1) + "/realtime?model=m"
    session = {"type": "realtime", "output_modalities": ["text"]}
    clock = asyncio.get_running_loop().time

    async def talk() -> None:
        async with connect(url, additional_headers=KEY) as far:
            await far.send(json.dumps({"type": "session.update", "session": session}))
            while not over.is_set():
                began = clock()
                await far.send('{"type": "response.create"}')
                while json.loads(await far.recv())["type"] != "response.done":
                    pass
                waits.append(clock() - began)
                first.set()
                await asyncio.sleep(0.05)

    talking = asyncio.create_task(talk())
    async with asyncio.timeout(10):
        await first.wait()
    try:
        yield
    finally:
        over.set()
        await talking
    assert max(waits) < _NOTICED


async def an_offer() -> str:
    peer = Peer(
        on_message=print, on_audio=None, next_audio=None, on_closed=print, loopback=True
    )
    try:
        return await peer.offer()
    finally:
        await peer.close()


def mutated(offer: str, chance: random.Random) -> bytes:
    """An offer with one to five errors: letters, lines, order, bytes, length.

    Addresses stay, because media uses loopback only.
    """
    lines = offer.splitlines()
    for _ in range(chance.randint(1, 5)):
        place = chance.randrange(len(lines))
        line = lines[place]
        if "127.0.0.1" in line or not line:
            continue
        at = chance.randrange(len(line))
        letter = chr(chance.choice([chance.randint(32, 126), chance.randint(0, 0x2FF)]))
        lines[place] = chance.choice(
            [
                line[:at] + letter + line[at + 1 :],
                line[:at],
                "",
                line * 2,
                line + "\r\n" + line,
                line.partition(":")[0],
                "".join(str(9 - int(c)) if c.isdigit() else c for c in line),
                line.replace("0", "99999999999999999999"),
                lines[chance.randrange(len(lines))],
            ]
        )
    text = "\r\n".join(lines).encode()
    return text[: chance.randrange(len(text))] if chance.random() < 0.1 else text


async def tried(http: httpx.AsyncClient, offer: bytes) -> None:
    """Post the offer: it is accepted, then hung up, or gets a service error."""
    answer = await http.post("/realtime/calls", content=offer, headers=SDP)
    if answer.status_code == 201:
        path = answer.headers["location"].removeprefix("/v1")
        assert (await http.post(f"{path}/hangup")).status_code == 200
    else:
        assert answer.status_code in (400, 413), answer.text
        assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("count", [200, pytest.param(3000, marks=pytest.mark.deep)])
async def test_garbage_for_an_offer(
    service: LocalService, http: httpx.AsyncClient, count: int
) -> None:
    """Each gets an answer or an error of the service, and leaves no call."""
    offer = await an_offer()
    chance = random.Random(count)
    before = len(asyncio.all_tasks())
    async with neighbour(service):
        for _ in range(0, count, 10):
            offers = [mutated(offer, chance) for _ in range(10)]
            await asyncio.gather(*(tried(http, each) for each in offers))
    async with asyncio.timeout(10):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.05)
    good = await http.post("/realtime/calls", content=offer, headers=SDP)
    assert good.status_code == 201


async def test_hundreds_of_connections_that_never_speak(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are cut after the timeout and need little memory until then."""
    monkeypatch.setattr("duologue.local.server.listener._HEAD_PATIENCE", 1.0)
    host, port = address(service)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with neighbour(service):
        pairs = await asyncio.gather(
            *(asyncio.open_connection(host, port) for _ in range(300))
        )
        for _, writer in pairs[::2]:
            writer.write(b"POST /v1/realtime/calls HTTP/1.1\r\nHost: 127.0.")
        async with asyncio.timeout(10):
            for reader, _ in pairs:
                with contextlib.suppress(ConnectionResetError):
                    assert await reader.read() == b""
        for _, writer in pairs:
            writer.close()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 * 1024


async def test_heads_that_come_byte_by_byte_are_cut(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout is for the whole request (slow loris attack)."""
    monkeypatch.setattr("duologue.local.server.listener._HEAD_PATIENCE", 0.5)
    reader, writer = await asyncio.open_connection(*address(service))
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            for byte in b"POST /v1/realtime/calls HTTP/1.1\r\nX: " + b"y" * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
    assert reader.at_eof() or reader.exception() is not None
    writer.close()


async def test_a_connection_in_use_is_not_cut(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: requests with pauses share one connection."""
    monkeypatch.setattr("duologue.local.server.listener._HEAD_PATIENCE", 0.3)
    ports = set()
    for _ in range(5):
        answer = await http.post("/realtime/client_secrets")
        assert answer.status_code == 200
        ports.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
        await asyncio.sleep(0.2)
    assert len(ports) == 1


async def test_a_body_that_never_ends_is_given_up(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.local.server.http_app._PATIENCE", 0.3)
    host, port = address(service)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        f"POST /v1/realtime/calls HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Authorization: Bearer x\r\nContent-Type: application/sdp\r\n"
        "Content-Length: 1000\r\n\r\nv=0".encode()
    )
    async with asyncio.timeout(5):
        status = await reader.readline()
        assert status.split()[1] == b"408"
    writer.close()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP\r\n\r\n",
        b"POST /v1/realtime/calls HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"\x00" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    ],
)
async def test_what_is_not_http_is_closed(
    service: LocalService, request_: bytes
) -> None:
    async with neighbour(service):
        reader, writer = await asyncio.open_connection(*address(service))
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                writer.write(request_)
                answer = await reader.read()
                assert answer == b"" or b" 400 " in answer.partition(b"\r\n")[0]
        writer.close()


async def test_sockets_that_vanish_are_forgotten(service: LocalService) -> None:
    """A TCP reset during a reply: no session is left."""
    before = len(asyncio.all_tasks())
    files = len(os.listdir("/proc/self/fd"))
    url = service.base_url.replace("http", "ws", 1) + "/realtime?model=m"
    async with neighbour(service):
        for _ in range(20):
            far = await connect(url, additional_headers=KEY)
            await far.send('{"type": "response.create"}')
            far.transport.abort()
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.02)
        while len(os.listdir("/proc/self/fd")) > files:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "size", [2_000_000, pytest.param(11_500_000, marks=pytest.mark.deep)]
)
async def test_a_large_append_keeps_nobody_waiting(size: int) -> None:
    """Four minutes of audio in one event, with the built-in detector."""
    parts = Parts(detector=SileroVAD)
    async with LocalService(parts=parts) as service, neighbour(service):
        url = service.base_url.replace("http", "ws", 1) + "/realtime?model=m"
        async with connect(url, additional_headers=KEY) as far:
            audio = base64.b64encode(bytes(size)).decode()
            await far.send(
                json.dumps({"type": "input_audio_buffer.append", "audio": audio})
            )
            await far.send('{"type": "input_audio_buffer.clear"}')
            async with asyncio.timeout(60):
                while json.loads(await far.recv())["type"] != (
                    "input_audio_buffer.cleared"
                ):
                    pass


async def test_a_message_of_bad_utf8_on_a_data_channel_is_answered(
    http: httpx.AsyncClient,
) -> None:
    """It gets an error event, and the call continues."""
    events: list[dict[str, Any]] = []
    peer = Peer(
        on_message=lambda text: events.append(json.loads(text)),
        on_audio=None,
        next_audio=None,
        on_closed=lambda _: None,
        loopback=True,
    )
    files = {"sdp": (None, await peer.offer())}
    answer = await http.post("/realtime/calls", files=files)
    await peer.accept(answer.text)
    await peer.wait_open()
    channel = peer._channel
    assert channel is not None
    assert channel.id is not None
    # As text (51, RFC 8831 section 8); an ordinary client cannot do this.
    sctp = channel.transport
    await sctp._send(channel.id, 51, b'{"type": "\xff\xfe"}')
    peer.send('{"type": "input_audio_buffer.clear"}')
    async with asyncio.timeout(10):
        while not {"error", "input_audio_buffer.cleared"} <= {
            event["type"] for event in events
        }:
            await asyncio.sleep(0.01)
    await peer.close()
