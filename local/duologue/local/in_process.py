"""The service in the client's own process: a transport without a network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

from duologue.transports.contract import Target, Transport
from duologue.transports.drivers.memory import pair
from duologue.transports.errors import ConnectError, NotConnected

from .components import Parts
from .engine.engine import Options
from .engine.outbox import NewId, Refusal
from .faults.injector import NO_FAULTS, Faults
from .server.session_runner import SessionRunner, new_id

__all__ = ["memory"]


def memory(
    *,
    parts: Parts | None = None,
    options: Options | None = None,
    clock: Callable[[], float] | None = None,
    ids: NewId = new_id,
    faults: Faults = NO_FAULTS,
) -> Transport:
    """A transport to a session of its own, the service included.

    Audio goes in events, as over WebSocket. Without ``parts`` there is a mind only:
    text is answered with text, speech is not heard. ``parts`` stay open when the
    transport is closed: they may be shared. ``faults`` take it for a service's first
    session, and its reconnects for the next ones.
    """
    numbers = itertools.count(1)
    return _MemoryService(parts or Parts(), options, clock, ids, faults, numbers)


class _MemoryService:
    """A `Transport` with the far side behind it."""

    def __init__(
        self,
        parts: Parts,
        options: Options | None,
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
        """Begin the session that ``target`` describes. Raises `ConnectError`."""
        await self._client.connect(target)
        try:
            self._runner = SessionRunner(
                self._outgoing.put_nowait,
                self._parts,
                session=target.session,
                options=self._options,
                clock=self._clock,
                ids=self._ids,
                on_over=self._end_with,
                line=self._faults.line(
                    next(self._numbers), target.session.get("model"), self._ids
                ),
            )
        except Refusal as error:
            await self.close()
            raise ConnectError(f"the session was refused: {error}") from error
        self._runner.start()
        self._tasks = [
            asyncio.create_task(self._send_out()),
            asyncio.create_task(self._take_in(self._runner)),
        ]

    def again(self) -> Transport:
        """A fresh transport to another session of the same service."""
        return _MemoryService(
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

    def _end_with(self, code: int, reason: str) -> None:
        self._outgoing.put_nowait(None)
        self._reason, self._code = f"{reason} ({code})", code

    async def _send_out(self) -> None:
        with contextlib.suppress(NotConnected):
            while (frame := await self._outgoing.get()) is not None:
                await self._end.send(frame)
            await self._end.close(self._reason, code=self._code)

    async def _take_in(self, runner: SessionRunner) -> None:
        async for frame in self._end.frames():
            await runner.accept(frame)
