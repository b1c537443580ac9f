"""A driver for trio: one session over WebSocket, without asyncio.

    pip install trio "duologue[cli,local,websocket]"
    duologue local --port 8765 &
    python examples/trio_driver.py ws://127.0.0.1:8765/v1/realtime

`TrioDriver` carries out the commands of the machine and records the results. The
machine decides when to connect, to try again, to hand over and to give up. The
connections are in ``trio_connection.py``.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable

import trio
from trio_connection import Connection

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


class TrioDriver:
    """Runs the connections of one session to ``url``, with an API key."""

    def __init__(self, url: str, key: str, session_id: str = "call") -> None:
        self.machine = Machine(session_id)
        self._url, self._key = url, key
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
        machine = self.machine
        for command in machine.commands():
            match command:
                case Connect(epoch=epoch):
                    machine.record(command.fact, self._now(), epoch=epoch)
                    connection = Connection(self._url, self._key)
                    self._connections[epoch] = connection
                    self._nursery.start_soon(self._connect, command, connection)
                case Disconnect():
                    self._disconnect(command)
                case SwitchTo(epoch=epoch):
                    machine.record(command.fact, self._now(), epoch=epoch)
                case WakeAt(at=at):
                    self._tick_at = math.inf if at is None else at - self._clock
                    self._tick_scope.deadline = self._tick_at
                case Send(event=event):
                    frame = machine.send(event, self._now())
                    self._connections[machine.session.connection.epoch].send(frame)
        if machine.is_over:
            for connection in self._connections.values():
                connection.abort()
            self._tick_scope.cancel()
        self._changed.set()
        self._changed = trio.Event()

    async def _connect(self, command: Connect, connection: Connection) -> None:
        epoch = command.epoch
        end = await connection.run(
            command,
            opened=lambda: self._record(command.connected, epoch),
            received=lambda frame: self._receive(frame, epoch),
        )
        if end is not None:
            del self._connections[epoch]
            self._record(end, epoch)

    def _disconnect(self, command: Disconnect) -> None:
        connection = self._connections.get(command.epoch)
        is_used = command.epoch <= self.machine.session.connection.epoch
        if connection is not None and connection.is_open and is_used:
            # `_connect` records the end, after the last frame.
            connection.close()
            return
        if connection is not None:
            connection.abort()
        self.machine.record(command.fact, self._now(), epoch=command.epoch)

    async def _tick(self) -> None:
        while not self.machine.is_over:
            with trio.CancelScope(deadline=self._tick_at) as self._tick_scope:
                await trio.sleep_forever()
            at = max(self._now(), self._tick_at + self._clock)
            self._tick_at = math.inf
            if not self.machine.is_over:
                self.machine.record(events.Tick(), at)
                self._carry_out()


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
