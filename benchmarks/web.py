"""The web adapter's server with many calls: latency, traffic and CPU time.

The server has a separate process (``web.py serve URL``). This process has a service
without speech, which only sends deltas over sidebands, and the pages that subscribe. A
delta arrives at the time of its record; a page notes the arrival of the patch.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from callers import cpu_seconds
from gauge import Target, row
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from duologue.adapters.web import Limits, create_app
from duologue.adapters.web.server.web_server import serving
from duologue.transports import Credentials

__all__ = ["measure"]

Row = dict[str, Any]

SESSIONS, WATCHERS, SECONDS = 50, 20, 8.0
#: Deltas per second and session: speech has three to four words per second.
RATE = 4
SIDEBANDS = 200
#: The length of the service's own ids.
ITEM = "item_{:021d}"
OFFER = {"Content-Type": "application/sdp"}


async def measure() -> list[Row]:
    """Latency with many pages, then CPU time with many calls."""
    return [*await _delays(), *await _costs()]


# The service: accepts every call and sends the given deltas.


class _Service:
    def __init__(self) -> None:
        self.sidebands: list[WebSocket] = []
        self.base_url = ""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/realtime/calls", self.call, methods=["POST"]),
                Route("/v1/realtime/calls/{id}/hangup", self.end, methods=["POST"]),
                WebSocketRoute("/v1/realtime", self.join),
            ]
        )

    async def call(self, request: Request) -> Response:
        location = f"/v1/realtime/calls/rtc_{time.monotonic_ns()}"
        headers = {"Location": location, "Content-Type": "application/sdp"}
        return Response("v=0\r\n", 201, headers=headers)

    async def end(self, request: Request) -> Response:
        return Response()

    async def join(self, socket: WebSocket) -> None:
        await socket.accept()
        self.sidebands.append(socket)
        with contextlib.suppress(Exception):
            while True:
                await socket.receive_text()

    async def speak(self, seconds: float) -> None:
        """Deltas on every sideband at an even rate."""
        ends = time.monotonic() + seconds
        one = 1 / RATE / len(self.sidebands)
        due, turn = time.monotonic(), 0
        while due < ends:
            place = turn % len(self.sidebands)
            await self.sidebands[place].send_text(_delta(place, turn))
            turn += 1
            due += one
            await asyncio.sleep(max(0.0, due - time.monotonic()))


def _delta(place: int, turn: int) -> str:
    return json.dumps(
        {
            "type": "response.output_audio_transcript.delta",
            "event_id": f"event_{place}_{turn}",
            "response_id": "resp_1",
            "item_id": ITEM.format(place),
            "output_index": 0,
            "content_index": 0,
            "delta": " word",
        }
    )


@contextlib.asynccontextmanager
async def _service() -> AsyncIterator[_Service]:
    service = _Service()
    config = uvicorn.Config(service.app(), port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    service.base_url = f"http://127.0.0.1:{port}/v1"
    try:
        yield service
    finally:
        server.should_exit = server.force_exit = True
        await task


@contextlib.asynccontextmanager
async def _server(base_url: str) -> AsyncIterator[tuple[str, int]]:
    """The web adapter's server in a separate process: its URL and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(__file__, "serve", base_url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process.pid
    finally:
        process.kill()
        await process.wait()


async def _serve(base_url: str) -> None:
    many = 100_000
    app = create_app(
        base_url=base_url,
        credentials=Credentials("any"),
        limits=Limits(sessions=many, starts=many, minutes=many, records=2_000),
    )
    async with serving(app) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _http(url: str) -> httpx.AsyncClient:
    headers = {"Origin": url.rstrip("/"), "X-Duologue": "1"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)


async def _calls(
    http: httpx.AsyncClient, service: _Service, number: int, watch: Any
) -> list[str]:
    """A number of sessions with one call and one subscriber each."""
    ids: list[str] = []
    for _ in range(number):
        made = await http.post("api/sessions", json={})
        ids.append(made.json()["id"])
        await watch(ids[-1])
        path = f"api/sessions/{ids[-1]}/offer"
        answer = await http.post(path, content="v=0\r\n", headers=OFFER)
        answer.raise_for_status()
    while len(service.sidebands) < number:
        await asyncio.sleep(0.01)
    return ids


# Latency and traffic.


class _Watcher:
    """A page: arrival times of patches, and lengths of messages."""

    def __init__(self) -> None:
        self.had: list[tuple[str, int, float]] = []
        self.sizes: list[int] = []

    @contextlib.asynccontextmanager
    async def on(self, url: str, sessions: list[str]) -> AsyncIterator[Any]:
        """Subscribe to these sessions and to later ones."""
        address = url.replace("http", "ws", 1) + "api/feed"
        origin: Any = url.rstrip("/")
        async with connect(
            address, origin=origin, compression=None, max_size=None
        ) as socket:

            async def watch(session: str) -> None:
                await socket.send(json.dumps({"type": "watch", "session": session}))

            for session in sessions:
                await watch(session)
            tasks = [asyncio.create_task(work(socket)) for work in (_beat, self._read)]
            try:
                yield watch
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: Any) -> None:
        async for text in socket:
            self.take(str(text), time.time())

    def take(self, text: str, now: float) -> None:
        found = json.loads(text)
        for message in found if isinstance(found, list) else [found]:
            if "p" in message:
                self.had.append((message["s"], message["n"], now))
        if isinstance(found, dict) and "p" in found and len(found["p"]) == 1:
            self.sizes.append(len(text))


async def _beat(socket: Any) -> None:
    while True:
        await socket.send('{"type":"beat"}')
        await asyncio.sleep(5)


async def _delays() -> list[Row]:
    rows = []
    for name, share in (("one session each", 1), ("all sessions", SESSIONS)):
        async with (
            _service() as service,
            _server(service.base_url) as (url, pid),
            _http(url) as http,
        ):
            rows += await _watched(http, service, url, pid, share, name)
    return rows


async def _watched(
    http: httpx.AsyncClient,
    service: _Service,
    url: str,
    pid: int,
    share: int,
    name: str,
) -> list[Row]:
    watchers = [_Watcher() for _ in range(WATCHERS)]
    async with contextlib.AsyncExitStack() as pages:
        async with _Watcher().on(url, []) as watch:
            ids = await _calls(http, service, SESSIONS, watch)
            for number, watcher in enumerate(watchers):
                theirs = [ids[(number + more) % SESSIONS] for more in range(share)]
                await pages.enter_async_context(watcher.on(url, theirs))
            await asyncio.sleep(1)
        used = await _share(pid, service.speak(SECONDS))
        await asyncio.sleep(0.5)
    arrived = await _arrivals(http, ids)
    delays = sorted(
        (had - arrived[session, seq]) * 1000
        for watcher in watchers
        for session, seq, had in watcher.had
        if (session, seq) in arrived
    )
    sizes = [size for watcher in watchers for size in watcher.sizes]
    what = f"{SESSIONS} live sessions, {WATCHERS} pages, {name}"
    p99 = delays[int(len(delays) * 0.99)]
    target = Target("W1" if share == 1 else "W2", 50, 10, "ms")
    return [
        row(target, f"{what}: delta at the server to the page, p99", round(p99, 1)),
        {
            "what": f"      p50, ms ({len(delays)} patches)",
            "value": round(statistics.median(delays), 1),
        },
        {"what": "      server, % of a core", "value": round(used * 100, 1)},
        {
            "what": "      bytes of a text delta, longest",
            "value": max(sizes),
            "expected": "at most 200",
        },
    ]


async def _arrivals(
    http: httpx.AsyncClient, ids: list[str]
) -> dict[tuple[str, int], float]:
    """The record time of each delta, by session and number."""
    found = {}
    for session in ids:
        path = f"api/sessions/{session}/records?dir=in&limit=20000"
        for record in (await http.get(path)).json()["records"]:
            if record["type"].endswith(".delta"):
                found[session, record["seq"]] = record["at"]
    return found


# The cost of calls.


async def _costs() -> list[Row]:
    async with (
        _service() as service,
        _server(service.base_url) as (url, pid),
        _http(url) as http,
        _Watcher().on(url, []) as watch,
    ):
        empty = _resident(pid)
        await _calls(http, service, SIDEBANDS, watch)
        await asyncio.sleep(2)
        memory = (_resident(pid) - empty) / SIDEBANDS
        idle = await _share(pid, asyncio.sleep(SECONDS))
        busy = await _share(pid, service.speak(SECONDS))
    what = f"{SIDEBANDS} calls watched by sideband in one process, one page"
    return [
        {"what": f"{what}: KiB a session", "value": round(memory / 1024)},
        {"what": "      silent, % of a core for all", "value": round(idle * 100, 1)},
        {
            "what": f"      {RATE} deltas a second each, % of a core for all",
            "value": round(busy * 100, 1),
        },
    ]


async def _share(pid: int, work: Any) -> float:
    before, began = cpu_seconds(pid), time.monotonic()
    await work
    return (cpu_seconds(pid) - before) / (time.monotonic() - began)


def _resident(pid: int) -> int:
    """Resident memory of a process in bytes (Linux)."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[2]))
