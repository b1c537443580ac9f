"""WebRTC calls, from the offer to the hang-up: each has a peer and a session.

A call may have sidebands: WebSocket connections that receive the events of its session
and send their own (guide "Server-side controls").
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from duologue.transports.drivers.webrtc.packet_cache import PacketCache
from duologue.transports.drivers.webrtc.peer import Peer
from duologue.transports.errors import DuologueError

from .deferred_decoder import DeferredDecoder
from .http_errors import HttpError
from .session_factory import SessionFactory
from .session_runner import new_id

__all__ = ["Calls", "Sideband", "no_call"]

#: Seconds from the answer to the open data channel; then the call ends.
_OPEN_TIMEOUT = 15.0

#: Maximum bytes queued for a client that does not read its data channel, and maximum
#: bytes of unhandled client events.
_WAITING_LIMIT = 8 * 1024 * 1024


def no_call(call_id: str) -> HttpError:
    """The error for an unknown call id."""
    return HttpError(
        404,
        f"No session found for the provided call_id: '{call_id}'.",
        code="call_id_not_found",
    )


class Calls:
    """The active calls. ``loopback``: offer only 127.0.0.1 as a candidate."""

    def __init__(
        self,
        sessions: SessionFactory,
        *,
        loopback: bool,
        open_timeout: float = _OPEN_TIMEOUT,
    ) -> None:
        self._sessions = sessions
        self._loopback = loopback
        self._open_timeout = open_timeout
        self._packets = PacketCache()
        self._calls: dict[str, _Call] = {}
        self._ending: set[asyncio.Task[bool]] = set()

    def __len__(self) -> int:
        return len(self._calls)

    async def answer(self, offer: str, session: Mapping[str, Any]) -> tuple[str, str]:
        """Accept a call; return id and answer. Raises `SignallingError`, `Refusal`."""
        call_id = new_id("rtc")
        call = _Call(
            self._sessions,
            session,
            loopback=self._loopback,
            packets=self._packets,
            on_over=lambda: self._forget(call_id),
        )
        try:
            answer = await call.answer(offer, self._open_timeout)
        except BaseException:
            await call.close()
            raise
        self._calls[call_id] = call
        return call_id, answer

    def join(
        self,
        call_id: str,
        send: Callable[[str], None],
        end: Callable[[int, str], None],
    ) -> Sideband | None:
        """A sideband of a call; None if the call id is unknown.

        ``send`` is called with each event of the session after `Sideband.start`,
        ``end`` with a close code and a reason when the call ends.
        """
        call = self._calls.get(call_id)
        return None if call is None else Sideband(call, send, end)

    async def hang_up(self, call_id: str) -> bool:
        """End a call; False if the call id is unknown."""
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

    def _forget(self, call_id: str) -> None:
        """Remove a call that has ended."""
        if self._calls.get(call_id) is not None:
            task = asyncio.create_task(self.hang_up(call_id))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


class Sideband:
    """A second connection to the session of a call."""

    def __init__(
        self,
        call: _Call,
        send: Callable[[str], None],
        end: Callable[[int, str], None],
    ) -> None:
        self._call = call
        self.send = send
        self.end = end

    async def start(self) -> None:
        """Start to receive events."""
        self._call.sidebands.append(self)

    async def receive(self, frame: str | bytes) -> None:
        """Handle an event, after the call's own client is connected."""
        await self._call.receive(frame)

    async def close(self) -> None:
        """Leave the call, which continues."""
        if self in self._call.sidebands:
            self._call.sidebands.remove(self)


class _Call:
    """One peer, its session and its sidebands."""

    def __init__(
        self,
        sessions: SessionFactory,
        session: Mapping[str, Any],
        *,
        loopback: bool,
        packets: PacketCache,
        on_over: Callable[[], None],
    ) -> None:
        self._on_over = on_over
        self.sidebands: list[Sideband] = []
        self.greeted = asyncio.Event()
        self._farewell = (1000, "The call has ended.")
        self.runner = sessions.open(self._send, session, self._end, media=True)
        self.decoder = DeferredDecoder(self.runner)
        self.runner.on_sound = lambda: self._peer.wake()
        self._peer = Peer(
            on_message=self._put,
            on_packet=self.decoder.take,
            next_audio=self.runner.next_audio,
            on_closed=lambda _: on_over(),
            cache=packets,
            loopback=loopback,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._waiting_size = 0
        self._handling = asyncio.Lock()

    async def answer(self, offer: str, open_timeout: float) -> str:
        # Start the recogniser while the connection is made; it takes 0.5 s.
        self.runner.warm()
        answer = await self._peer.answer(offer)
        self._tasks = [
            asyncio.create_task(self._open(open_timeout)),
            asyncio.create_task(self._take()),
        ]
        return answer

    async def receive(self, frame: str | bytes) -> None:
        """Handle an event of the client or a sideband, one at a time.

        Waits until ``session.created`` is sent to the call's own client.
        """
        await self.greeted.wait()
        async with self._handling:
            for _ in self.decoder.catch_up():
                await asyncio.sleep(0)
            await self.runner.accept(frame)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.runner.close()
        self.greeted.set()
        for sideband in self.sidebands:
            sideband.end(*self._farewell)
        await self._peer.close()

    def _end(self, code: int, reason: str) -> None:
        """The session has ended: end the call."""
        self._farewell = (code, reason)
        self._on_over()

    def _put(self, frame: str | bytes) -> None:
        """Queue an event of the call's own client."""
        self._waiting_size += len(frame)
        if self._waiting_size > _WAITING_LIMIT:
            self._end(1008, "The client of the call sends too much at once.")
        else:
            self._waiting.put_nowait(frame)

    async def _take(self) -> None:
        while True:
            frame = await self._waiting.get()
            await self.receive(frame)
            self._waiting_size -= len(frame)

    def _send(self, frame: str) -> None:
        if self.greeted.is_set():
            for sideband in self.sidebands:
                sideband.send(frame)
        self._peer.send(frame)
        if self._peer.buffered > _WAITING_LIMIT:
            self._end(1008, "The client of the call does not read.")

    async def _open(self, timeout: float) -> None:
        """Start the session when the channel opens, or end the call."""
        opened = False
        with contextlib.suppress(TimeoutError, DuologueError):
            async with asyncio.timeout(timeout):
                await self._peer.wait_open()
                opened = True
        if opened:
            self.runner.start()
            self.greeted.set()
        else:
            self._on_over()
