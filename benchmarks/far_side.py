"""The far side of live sessions in a separate process, for `live`.

    python benchmarks/far_side.py events|sound

``events`` serves WebSockets and WebRTC calls: 20 events per second and session, spoken
turns with ``sent_at`` of the monotonic clock, which all processes of a machine share.
``sound`` sends unique noise to each call and receives its echo. Prints its base URL;
for ``sound`` it then reads a line ``PID SESSIONS SECONDS`` and prints the CPU time of
that process and the received packets as JSON. Ends when its input closes.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from callers import WARM_UP, Caller, cpu_seconds, heard, noise
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from streams import opening, turn

from duologue.transports.drivers.webrtc.peer import Peer

#: Events per second and session: the rate of a real reply in its first second.
RATE = 20.0


async def speak(send: Callable[[str], Any]) -> None:
    """Consecutive spoken turns at an even rate; each event carries its send time."""
    for frame in opening():
        send(frame.decode())
    due = time.monotonic() + random.random() / RATE
    number = 0
    while True:
        for frame in turn(number):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += 1 / RATE
            send(f'{frame[:-1].decode()},"sent_at":{time.monotonic()}}}')
        number += 1


class Far:
    """The server of the calls."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.callers: list[Caller] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Any) -> None:
        """Run a coroutine until the process ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def socket(self, socket: WebSocket) -> None:
        """A session over WebSocket."""
        await socket.accept()
        outgoing: asyncio.Queue[str] = asyncio.Queue()
        self.spawn(speak(outgoing.put_nowait))

        async def write() -> None:
            while True:
                await socket.send_text(await outgoing.get())

        self.spawn(write())
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            return

    async def call(self, request: Request) -> Response:
        """A session over WebRTC."""
        form = await request.form()
        caller = Caller("sound", noise(len(self.callers), 20))
        is_sound = self.kind == "sound"
        caller.peer = peer = Peer(
            on_message=lambda _: None,
            on_packet=lambda _: caller.times.append(time.monotonic()),
            next_audio=caller.next_audio if is_sound else None,
            on_closed=lambda _: None,
            loopback=True,
        )
        self.callers.append(caller)
        answer = await peer.answer(str(form["sdp"]))
        if not is_sound:
            self.spawn(self._speak_to(peer))
        return Response(answer, 201, media_type="application/sdp")

    async def _speak_to(self, peer: Peer) -> None:
        await peer.wait_open()
        await speak(peer.send)

    async def measure(self, pid: int, sessions: int, seconds: float) -> dict[str, Any]:
        """The CPU time of a process while all its sessions are in a call."""
        await asyncio.sleep(WARM_UP)
        for caller in self.callers:
            caller.times.clear()
        before, began = cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        spent = cpu_seconds(pid) - before
        return {"client": 100 * spent / took / sessions, **heard(self.callers, took)}


async def serve(kind: str) -> None:
    """Serve until the input closes."""
    far = Far(kind)
    app = Starlette(
        routes=[
            WebSocketRoute("/v1/realtime", far.socket),
            Route("/v1/realtime/calls", far.call, methods=["POST"]),
        ]
    )
    config = uvicorn.Config(app, port=0, log_level="error", ws="websockets-sansio")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    print(json.dumps({"base_url": f"http://127.0.0.1:{port}/v1"}), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        pid, sessions, seconds = line.split()
        found = await far.measure(int(pid), int(sessions), float(seconds))
        print(json.dumps(found), flush=True)
    server.should_exit = True
    server.force_exit = True
    for task in far.tasks:
        task.cancel()
    await serving


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
