"""A proxy between a browser and a Realtime service that follows each conversation.

    pip install fastapi "duologue[web]"
    OPENAI_API_KEY=… python examples/proxy.py

A browser opens ``ws://127.0.0.1:8000/calls/ID`` and exchanges the events of the
Realtime API. The key stays here. If the connection to the service is lost, the proxy
makes another one and restores the conversation; the browser keeps its connection.
``/calls/ID/transcript`` is the transcript over all connections.

An application of your own also needs to authenticate its users. An event that was sent
just before the loss may never have arrived: `duologue.transports` sends it again, this
example does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time

import uvicorn
from fastapi import FastAPI, WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from duologue.core import Send, Store, encode, react, select_transcripts

SERVICE = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
#: Bytes of the largest frame: the service accepts 15 MiB of audio.
LARGEST = 16 * 1024 * 1024

#: Seconds since the Unix epoch that never decrease.
_BEGAN = time.time() - time.monotonic()


def now() -> float:
    return _BEGAN + time.monotonic()


class Call:
    """One browser, and its connections to the service, one after another."""

    def __init__(self, call_id: str, browser: WebSocket, store: Store) -> None:
        self.id, self.browser, self.store = call_id, browser, store
        self.service: ClientConnection | None = None
        self.ready = asyncio.Event()
        self.epoch = 0

    def begin(self, service: ClientConnection) -> None:
        """Record a new connection to the service, in the next epoch."""
        session = self.store.session(self.id)
        self.epoch = 0 if session is None else session.connection.epoch + 1
        self.service = service
        self.store.feed(
            self.id,
            {"type": "duologue.connected"},
            dir="local",
            at=now(),
            epoch=self.epoch,
        )

    def end(self, *, expected: bool) -> None:
        """Record the end of the connection, which ends its pending work."""
        self.ready.clear()
        self.store.feed(
            self.id,
            {"type": "duologue.disconnected", "expected": expected},
            dir="local",
            at=now(),
            epoch=self.epoch,
        )

    async def run(self, url: str, key: str) -> None:
        """Forward both directions until the browser leaves."""
        headers = {"Authorization": f"Bearer {key}"}
        sending = asyncio.create_task(self.forward_to_service())
        try:
            # `connect` tries again, with a growing delay; it raises for a refused key.
            async for service in connect(
                url, additional_headers=headers, max_size=LARGEST
            ):
                self.begin(service)
                receiving = asyncio.create_task(self.forward_to_browser(service))
                await asyncio.wait(
                    {sending, receiving}, return_when=asyncio.FIRST_COMPLETED
                )
                left = sending.done()
                await service.close()
                await receiving
                self.end(expected=left)
                if left:
                    return
        finally:
            sending.cancel()

    async def forward_to_service(self) -> None:
        async for frame in self.browser.iter_text():
            await self.send(frame)

    async def send(self, frame: str) -> None:
        """Send an event; if its connection is lost, on the next one."""
        while True:
            await self.ready.wait()
            with contextlib.suppress(ConnectionClosed):
                await self.send_now(frame)
                return
            await asyncio.sleep(0.01)

    async def send_now(self, frame: str) -> None:
        assert self.service is not None
        self.store.feed(self.id, frame, dir="out", at=now(), epoch=self.epoch)
        await self.service.send(frame)

    async def forward_to_browser(self, service: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for data in service:
                frame = data if isinstance(data, str) else data.decode()
                before = self.store.state
                record = self.store.feed(
                    self.id, frame, dir="in", at=now(), epoch=self.epoch
                )
                if record.event.type == "session.created":
                    # On a later connection: restore the conversation.
                    for command in react(before, record, self.store.state):
                        if isinstance(command, Send):
                            await self.send_now(encode(command.event).decode())
                    self.ready.set()
                await self.browser.send_text(frame)


def make_app(url: str, key: str, store: Store) -> FastAPI:
    """The application; ``url`` and ``key`` are those of the service."""
    app = FastAPI()

    @app.websocket("/calls/{call_id}")
    async def call(browser: WebSocket, call_id: str) -> None:
        await browser.accept()
        await Call(call_id, browser, store).run(url, key)

    @app.get("/calls/{call_id}/transcript")
    async def transcript(call_id: str) -> list[dict[str, str | None]]:
        session = store.session(call_id)
        lines = select_transcripts(session) if session is not None else ()
        return [{"role": line.role, "text": line.text} for line in lines]

    return app


if __name__ == "__main__":
    url = os.environ.get("REALTIME_URL", SERVICE)
    uvicorn.run(make_app(url, os.environ["OPENAI_API_KEY"], Store()), port=8000)
