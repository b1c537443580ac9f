"""Every transport passes the contract tests; broken ones fail them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve

from duologue.transports import record, replay, webrtc, websocket
from duologue.transports.drivers import memory
from duologue.transports.drivers.memory import MemoryEnd, MemoryTransport
from duologue.transports.testing import (
    Rig,
    Script,
    TransportTests,
    default_target,
    follow,
)

if TYPE_CHECKING:
    from tests.transports.conftest import Kit


async def be_memory(end: MemoryEnd, script: Script, got: list[str]) -> None:
    """Run the far side of a pair."""

    async def read() -> None:
        async for frame in end.frames():
            got.append(frame)

    reading = asyncio.create_task(read())
    try:
        await end.wait_connected()
        await follow(script, send=end.send, received=lambda: got)
        if script.ending != "open":
            await end.close("cut" if script.ending == "lost" else None)
        await reading
    finally:
        reading.cancel()


@contextlib.asynccontextmanager
async def memory_rig(script: Script) -> AsyncIterator[Rig]:
    transport, end = memory.pair()
    got: list[str] = []
    playing = asyncio.create_task(be_memory(end, script, got))
    yield Rig(transport, received=lambda: got)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)


class TestMemory(TransportTests):
    """A pair in one process."""

    def rig(self, script: Script) -> contextlib.AbstractAsyncContextManager[Rig]:
        return memory_rig(script)


class TestRecord(TransportTests):
    """A recording of a pair."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "log.jsonl"

    @contextlib.asynccontextmanager
    async def rig(self, script: Script) -> AsyncIterator[Rig]:
        async with memory_rig(script) as rig:
            recorded = record(rig.transport, self.path)
            yield attrs.evolve(rig, transport=recorded)
            recorded.end_log()


class TestReplay(TransportTests):
    """A log with frames only."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "log.jsonl"

    @contextlib.asynccontextmanager
    async def rig(self, script: Script) -> AsyncIterator[Rig]:
        lines = [
            f'{{"dir":"{way}","raw":"{base64.b64encode(frame).decode()}"}}'
            if isinstance(frame, bytes)
            else f'{{"dir":"{way}","event":{frame}}}'
            for way, frame in script.steps
        ]
        if script.ending != "open":
            code = 1000 if script.ending == "closed" else 1006
            lines.append(f'{{"close":{{"code":{code}}}}}')
        # A log has at least one record.
        lines = lines or ['{"dir":"local","event":{"type":"duologue.connecting"}}']
        self.path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        yield Rig(replay(self.path))


class TestWebSocket(TransportTests):
    """A WebSocket on loopback."""

    @contextlib.asynccontextmanager
    async def rig(self, script: Script) -> AsyncIterator[Rig]:
        got: list[str] = []

        async def serve_one(far: ServerConnection) -> None:
            async def read() -> None:
                async for frame in far:
                    got.append(str(frame))

            async def send(frame: str | bytes) -> None:
                await far.send(frame, text=True)

            reading = asyncio.create_task(read())
            try:
                await follow(script, send=send, received=lambda: got)
                if script.ending == "closed":
                    await far.close()
                elif script.ending == "lost":
                    far.transport.abort()
                await far.wait_closed()
            finally:
                reading.cancel()

        async with serve(serve_one, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            target = default_target(f"http://127.0.0.1:{port}/v1")
            yield Rig(websocket(), target, received=lambda: got)

    def unreachable(self) -> Rig:
        return Rig(websocket(), default_target("http://127.0.0.1:9/v1"))


@pytest.mark.realtime
class TestWebRTC(TransportTests):
    """WebRTC on loopback."""

    closes_cleanly = False

    @pytest.fixture(autouse=True)
    def _with(self, kit: type[Kit]) -> None:
        self.kit = kit

    @contextlib.asynccontextmanager
    async def rig(self, script: Script) -> AsyncIterator[Rig]:
        got: list[str] = []
        tasks: list[asyncio.Task[None]] = []
        ends: list[Any] = []

        async def play(end: Any) -> None:
            async def send(frame: str | bytes) -> None:
                if isinstance(frame, bytes):
                    await end.send_raw(51, frame)
                else:
                    end.peer.send(frame)

            await end.peer.wait_open()
            await follow(script, send=send, received=lambda: got)
            if script.ending != "open":
                await end.peer.close()

        async def calls(request: Request) -> Response:
            async with request.form() as form:
                offer = str(form["sdp"])
            end = self.kit.End(on_message=lambda frame: got.append(str(frame)))
            ends.append(end)
            answer = await end.peer.answer(offer)
            tasks.append(asyncio.create_task(play(end)))
            return Response(answer, 201, media_type="application/sdp")

        route = Route("/v1/realtime/calls", calls, methods=["POST"])
        async with self.kit.serving(Starlette(routes=[route])) as url:
            yield Rig(webrtc(), default_target(url), received=lambda: got)
            for end in ends:
                await end.peer.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def unreachable(self) -> Rig:
        return Rig(webrtc(), default_target("http://127.0.0.1:9/v1"))


# Transports that break a promise.


class Doubling(MemoryTransport):
    """Sends everything twice."""

    async def send(self, frame: str) -> None:
        await super().send(frame)
        await super().send(frame)


class Lasting(MemoryTransport):
    """Never closes."""

    async def close(self) -> None:
        pass


class Blurring(MemoryTransport):
    """Delivers changed frames."""

    async def frames(self) -> AsyncIterator[str | bytes]:
        async for frame in super().frames():
            yield frame.strip('0123456789"{}') if isinstance(frame, str) else frame


BREAKS = {
    Doubling: "test_what_is_sent_arrives_in_order",
    Blurring: "test_frames_come_in_order_as_they_were",
}


@pytest.mark.parametrize("kind", [Doubling, Blurring])
def test_a_broken_promise_fails(kind: type[MemoryTransport]) -> None:
    """The right tests fail."""

    class Broken(TransportTests):
        @contextlib.asynccontextmanager
        async def rig(self, script: Script) -> AsyncIterator[Rig]:
            async with memory_rig(script) as rig:
                whole = rig.transport
                broken = object.__new__(kind)
                broken.__dict__.update(vars(whole))
                yield attrs.evolve(rig, transport=broken)

    with pytest.raises(AssertionError):
        getattr(Broken(), BREAKS[kind])()


def test_a_transport_that_lasts_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport whose frames do not end on close fails."""
    monkeypatch.setattr("duologue.transports.testing.contract_tests.PATIENCE", 0.3)

    class Broken(TransportTests):
        @contextlib.asynccontextmanager
        async def rig(self, script: Script) -> AsyncIterator[Rig]:
            async with memory_rig(script) as rig:
                broken = object.__new__(Lasting)
                broken.__dict__.update(vars(rig.transport))
                yield attrs.evolve(rig, transport=broken)

    with pytest.raises(TimeoutError):
        Broken().test_closing_ends_the_frames()


def test_what_is_not_said_is_asked_for() -> None:
    """A subclass without `rig` gets a helpful error."""
    with pytest.raises(NotImplementedError, match=r"rig\(\)"):
        TransportTests().rig(Script())
