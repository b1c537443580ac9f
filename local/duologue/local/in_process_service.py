"""The local service in the client's process, reached without a network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

from duologue.transports.contract import Target, Transport
from duologue.transports.drivers.memory import pair
from duologue.transports.errors import ConnectError, NotConnected

from .components import Parts
from .engine.outbox import NewId
from .engine.settings import EngineOptions
from .faults.injector import NO_FAULTS, Faults
from .schema.refusal import Refusal
from .server.session_runner import SessionRunner, new_id

__all__ = ["in_process", "memory"]


def in_process(
    *,
    parts: Parts | None = None,
    options: EngineOptions | None = None,
    clock: Callable[[], float] | None = None,
    ids: NewId = new_id,
    faults: Faults = NO_FAULTS,
) -> Transport:
    """A transport to a session of a local service in this process.

    Audio is sent in events, as over WebSocket. The default ``parts`` have only a reply
    model: the service answers text with text and ignores speech. Closing the transport
    leaves ``parts`` open, so that several transports can share them. ``faults`` counts
    this connection as the service's first session and each reconnect as the next.
    """
    numbers = itertools.count(1)
    return _InProcessTransport(parts or Parts(), options, clock, ids, faults, numbers)


#: The name before version 0.2.
memory = in_process


class _InProcessTransport:
    """A `Transport` that runs its own session of the service."""

    def __init__(
        self,
        parts: Parts,
        options: EngineOptions | None,
        clock: Callable[[], float] | None,
        ids: NewId,
        faults: Faults,
        numbers: Iterator[int],
    ) -> None:
        self._client, self._end = pair()
        self._parts = parts
        self._options = options
        self._clock = clock
        self._ids = ids
        self._faults = faults
        self._numbers = numbers
        self._runner: SessionRunner | None = None
        self._outgoing: asyncio.Queue[str | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._reason: str | None = None
        self._code: int | None = None

    async def connect(self, target: Target) -> None:
        """Start the session that ``target`` describes. Raises `ConnectError`."""
        await self._client.connect(target)
        try:
            self._runner = SessionRunner(
                self._outgoing.put_nowait,
                self._parts,
                session=target.session,
                options=self._options,
                clock=self._clock,
                ids=self._ids,
                on_over=self._on_session_over,
                line=self._faults.line(
                    next(self._numbers), target.session.get("model"), self._ids
                ),
            )
        except Refusal as error:
            await self.close()
            raise ConnectError(f"the session was refused: {error}") from error
        self._runner.start()
        self._tasks = [
            asyncio.create_task(self._send_frames()),
            asyncio.create_task(self._receive_frames(self._runner)),
        ]

    def again(self) -> Transport:
        """A new transport to another session of the same service."""
        return _InProcessTransport(
            self._parts,
            self._options,
            self._clock,
            self._ids,
            self._faults,
            self._numbers,
        )

    async def send(self, frame: str) -> None:
        """Send one event as JSON text. Raises `NotConnected` after close."""
        await self._client.send(frame)

    def frames(self) -> AsyncIterator[str | bytes]:
        """The service's events, until the connection is closed."""
        return self._client.frames()

    async def close(self) -> None:
        """End the session. Idempotent."""
        await self._client.close()
        await self._end.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._runner is not None:
            await self._runner.close()

    def _on_session_over(self, code: int, reason: str) -> None:
        self._outgoing.put_nowait(None)
        self._reason, self._code = f"{reason} ({code})", code

    async def _send_frames(self) -> None:
        with contextlib.suppress(NotConnected):
            while (frame := await self._outgoing.get()) is not None:
                await self._end.send(frame)
            await self._end.close(self._reason, code=self._code)

    async def _receive_frames(self, runner: SessionRunner) -> None:
        async for frame in self._end.frames():
            await runner.accept(frame)
