"""A proxy between a browser and a Realtime service that follows each conversation.

    pip install fastapi "duologue[web]"
    OPENAI_API_KEY=… python examples/proxy.py

A browser opens ``ws://127.0.0.1:8000/calls/ID`` and exchanges the events of the
Realtime API. The key stays here. ``/calls/ID/transcript`` is the transcript.
``REALTIME_URL`` is the URL of another service.

The browser keeps one connection. `Machine` decides when the proxy connects to the
service: again after a loss, and before a connection expires. A new connection gets the
conversation and the unconfirmed events. Without a connection, the audio of the browser
is dropped. A ``response.create`` is sent when the service is free. The machine requests
the response to function outputs, unless the browser has requested it.

An application of your own also authenticates its users, and limits what they send.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time

import msgspec
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from duologue.core import (
    Connect,
    Disconnect,
    Machine,
    Send,
    SessionStatus,
    Store,
    SwitchTo,
    WakeAt,
    commands,
    events,
    select_transcripts,
)
from duologue.core.effects.backoff import is_recoverable

SERVICE = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
#: Bytes of the largest frame: the service accepts 15 MiB of audio.
LARGEST = 16 * 1024 * 1024
#: Seconds to wait for the close frame of the service.
CLOSE_TIMEOUT = 1.0
#: Close codes for the browser: the session was closed, the session has failed.
CLOSED, FAILED = 1000, 1011
#: The exceptions of `WebSocket.send_text` after the browser has left.
LEFT = WebSocketDisconnect, RuntimeError

#: Seconds since the Unix epoch that never decrease.
_BEGAN = time.time() - time.monotonic()


def now() -> float:
    return _BEGAN + time.monotonic()


class Call:
    """One browser, and its connections to the service, one after another."""

    def __init__(self, call_id: str, browser: WebSocket, store: Store) -> None:
        self.machine, self.browser = Machine(call_id, store=store), browser
        #: By epoch: the open connections, and the tasks that make and read them.
        self.services: dict[int, ClientConnection] = {}
        self.readers: dict[int, asyncio.Task[None]] = {}
        #: The frames to write, each with its connection.
        self.outbox: asyncio.Queue[tuple[ClientConnection, str]] = asyncio.Queue()
        self.alarm: asyncio.TimerHandle | None = None
        #: The session is over; the next call with its id may begin.
        self.over, self.ended = asyncio.Event(), asyncio.Event()

    async def run(self, url: str, key: str) -> None:
        """Forward both directions until the browser leaves or the session ends."""
        self.url, self.headers = url, {"Authorization": f"Bearer {key}"}
        try:
            async with asyncio.TaskGroup() as self.tasks:
                listening = self.tasks.create_task(self.listen())
                writing = self.tasks.create_task(self.write())
                self.machine.connect()
                self.carry_out()
                await self.over.wait()
                for task in (listening, writing, *self.readers.values()):
                    task.cancel()
            if self.machine.session.connection.closing is not None:
                self.record(events.Closed())
        finally:
            self.wake_at(None)
        connection = self.machine.session.connection
        code = FAILED if connection.status is SessionStatus.FAILED else CLOSED
        # A close frame has room for 123 bytes.
        reason = (connection.reason or "").encode()[:123].decode(errors="ignore")
        with contextlib.suppress(*LEFT):
            await self.browser.close(code, reason)

    async def end(self) -> None:
        """End the session; return when another call may use its id."""
        if not self.machine.is_over:
            self.record(events.Closing())
        await self.ended.wait()

    # The browser.

    async def listen(self) -> None:
        while True:
            message = await self.browser.receive()
            if message["type"] == "websocket.disconnect":
                self.record(events.Closing())
                return
            try:
                self.request(message.get("text") or message.get("bytes") or "")
            except (ValueError, msgspec.DecodeError, RecursionError) as error:
                problem = {"type": "invalid_request_error", "message": str(error)}
                refusal = {"type": "error", "error": problem}
                await self.show(msgspec.json.encode(refusal).decode())
            # Read no faster than the service does.
            await self.outbox.join()

    def request(self, frame: str | bytes) -> None:
        """Send an event of the browser as soon as possible. Raises ValueError."""
        connection = self.machine.session.connection
        event = commands.client_event(msgspec.json.decode(frame), connection.kind)
        is_audio = isinstance(event, events.InputAudioBufferAppend)
        if connection.status is SessionStatus.OPEN or not is_audio:
            self.machine.request(event, now())
            self.carry_out()

    async def show(self, frame: str) -> None:
        with contextlib.suppress(*LEFT):
            await self.browser.send_text(frame)

    # The service.

    def record(self, fact: events.LocalEvent, epoch: int | None = None) -> None:
        self.machine.record(fact, now(), epoch=epoch)
        self.carry_out()

    def carry_out(self) -> None:
        """Carry out the commands that follow from the records so far."""
        machine = self.machine
        for command in machine.commands():
            match command:
                case Connect(epoch=epoch):
                    machine.record(command.fact, now(), epoch=epoch)
                    reading = self.tasks.create_task(self.connect(command))
                    self.readers[epoch] = reading
                case Disconnect():
                    self.disconnect(command)
                case SwitchTo(epoch=epoch):
                    machine.record(command.fact, now(), epoch=epoch)
                case WakeAt(at=at):
                    self.wake_at(at)
                case Send(event=event):
                    frame = machine.send(event, now())
                    service = self.services[machine.session.connection.epoch]
                    self.outbox.put_nowait((service, frame))
        if machine.is_over:
            self.over.set()

    async def connect(self, command: Connect) -> None:
        """Connect to the service, and forward its frames until the end."""
        epoch = command.epoch
        try:
            service = await connect(
                self.url,
                additional_headers=self.headers,
                open_timeout=command.timeout,
                close_timeout=CLOSE_TIMEOUT,
                max_size=LARGEST,
            )
        except (OSError, InvalidHandshake) as error:
            self.record(failed(command, error), epoch)
            return
        async with service:
            self.services[epoch] = service
            self.record(command.connected, epoch)
            # Here this task ends if the connection is not needed any more.
            await asyncio.sleep(0)
            with contextlib.suppress(ConnectionClosed):
                async for data in service:
                    frame = (
                        data if isinstance(data, str) else data.decode(errors="replace")
                    )
                    self.machine.receive(frame, now(), epoch=epoch)
                    self.carry_out()
                    await self.show(frame)
        del self.services[epoch]
        self.record(lost(service), epoch)

    def disconnect(self, command: Disconnect) -> None:
        service = self.services.get(command.epoch)
        is_used = command.epoch <= self.machine.session.connection.epoch
        if service is not None and is_used:
            # `connect` records the end, after the last frame.
            self.tasks.create_task(service.close())
            return
        if reading := self.readers.get(command.epoch):
            reading.cancel()
        self.machine.record(command.fact, now(), epoch=command.epoch)

    async def write(self) -> None:
        while True:
            service, frame = await self.outbox.get()
            with contextlib.suppress(ConnectionClosed):
                await service.send(frame)
            self.outbox.task_done()

    def wake_at(self, at: float | None) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
        if at is not None:
            loop = asyncio.get_running_loop()
            self.alarm = loop.call_later(max(0.0, at - now()), self.tick, at)

    def tick(self, at: float) -> None:
        self.machine.record(events.Tick(), max(at, now()))
        self.carry_out()


def failed(command: Connect, error: Exception) -> events.ConnectFailed:
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


def lost(service: ClientConnection) -> events.Disconnected:
    code = service.close_code
    return events.Disconnected(
        code=code,
        reason=service.close_reason or f"the connection was closed ({code})",
        expected=code == CLOSED,
        lost=is_recoverable(code),
        can_repeat=True,
        chance=random.random(),
    )


def make_app(url: str, key: str, store: Store) -> FastAPI:
    """The application; ``url`` and ``key`` are those of the service."""
    app, calls = FastAPI(), dict[str, Call]()

    @app.websocket("/calls/{call_id}")
    async def call(browser: WebSocket, call_id: str) -> None:
        await browser.accept()
        # A page that was loaded again takes over its call.
        while earlier := calls.get(call_id):
            await earlier.end()
        current = calls[call_id] = Call(call_id, browser, store)
        try:
            await current.run(url, key)
        finally:
            del calls[call_id]
            current.ended.set()

    @app.get("/calls/{call_id}/transcript")
    async def transcript(call_id: str) -> list[dict[str, str | None]]:
        session = store.session(call_id)
        lines = select_transcripts(session) if session is not None else ()
        return [{"role": line.role, "text": line.text} for line in lines]

    return app


if __name__ == "__main__":
    url = os.environ.get("REALTIME_URL", SERVICE)
    uvicorn.run(make_app(url, os.environ["OPENAI_API_KEY"], Store()), port=8000)
