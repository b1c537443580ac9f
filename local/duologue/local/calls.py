"""WebRTC calls: a peer and a session each, from the offer to the hang-up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from duologue.transports._aiortc import Peer
from duologue.transports.errors import DuologueError

from .engine import Options
from .parts import Parts
from .session import SessionRunner, new_id

__all__ = ["Calls"]

#: Seconds from the answer to the open channel, then the call is dropped.
_OPEN_TIMEOUT = 15.0

_log = logging.getLogger(__name__)


class Calls:
    """The calls under way. ``loopback`` offers 127.0.0.1 and nothing else."""

    def __init__(
        self,
        parts: Parts,
        options: Options,
        *,
        loopback: bool,
        open_timeout: float = _OPEN_TIMEOUT,
    ) -> None:
        self._parts = parts
        self._options = attrs.evolve(options, media=True)
        self._loopback = loopback
        self._open_timeout = open_timeout
        self._calls: dict[str, _Call] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._calls)

    async def answer(self, offer: str, session: Mapping[str, Any]) -> tuple[str, str]:
        """Take a call: its id and the answer. Raises `SignallingError`, `Refusal`."""
        call_id = new_id("rtc")
        call = _Call(
            self._parts,
            self._options,
            session,
            loopback=self._loopback,
            on_over=lambda: self._forget(call_id),
        )
        try:
            answer = await call.answer(offer, self._open_timeout)
        except BaseException:
            await call.close()
            raise
        self._calls[call_id] = call
        if self._parts.ear is not None:
            self._warm()
        return call_id, answer

    async def hang_up(self, call_id: str) -> bool:
        """End a call. False where there is none of that id."""
        call = self._calls.pop(call_id, None)
        if call is None:
            return False
        await call.close()
        return True

    async def close(self) -> None:
        """End all calls."""
        calls, self._calls = list(self._calls.values()), {}
        await asyncio.gather(*(call.close() for call in calls))
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _warm(self) -> None:
        """Start the ear while the connection is made; it takes 0.5 s."""
        assert self._parts.ear is not None
        self._keep(asyncio.create_task(_start(self._parts.ear.start())))

    def _forget(self, call_id: str) -> None:
        """A call is over by itself."""
        if self._calls.get(call_id) is not None:
            self._keep(asyncio.create_task(_ended(self.hang_up(call_id))))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


async def _start(starting: Any) -> None:
    try:
        await starting
    except Exception as error:
        # The utterance that needs the ear will fail with the same words.
        _log.warning("the ear does not start: %s", error)


async def _ended(ending: Any) -> None:
    await ending


class _Call:
    """One peer and its session."""

    def __init__(
        self,
        parts: Parts,
        options: Options,
        session: Mapping[str, Any],
        *,
        loopback: bool,
        on_over: Callable[[], None],
    ) -> None:
        self._on_over = on_over
        self._runner = SessionRunner(
            self._send, parts, session=session, options=options
        )
        self._peer = Peer(
            on_message=self._runner.receive,
            on_audio=self._runner.hear,
            next_audio=self._runner.next_audio,
            on_closed=lambda _: on_over(),
            loopback=loopback,
        )
        self._opening: asyncio.Task[None] | None = None

    async def answer(self, offer: str, open_timeout: float) -> str:
        answer = await self._peer.answer(offer)
        self._opening = asyncio.create_task(self._open(open_timeout))
        return answer

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._runner.close()
        await self._peer.close()

    def _send(self, frame: str) -> None:
        self._peer.send(frame)

    async def _open(self, timeout: float) -> None:
        """Greet the client once the channel is open, or give the call up."""
        opened = False
        with contextlib.suppress(TimeoutError, DuologueError):
            async with asyncio.timeout(timeout):
                await self._peer.wait_open()
                opened = True
        if opened:
            self._runner.start()
        else:
            self._on_over()
