"""The contract of a transport, as tests that your own transport can run.

::

    class TestMine(TransportTests):
        @asynccontextmanager
        async def rig(self, script: Script) -> AsyncIterator[Rig]:
            async with my_far_side(script) as url:
                yield Rig(MyTransport(url), received=...)

Subclass `TransportTests` in a test module. Your `rig` makes a transport whose far side
follows a script. pytest collects the tests; no plugin is needed. This module imports no
test library.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Literal
from unittest import SkipTest

from duologue.core import SessionConfig, SessionStatus

from ..client.client import Client
from ..contract import Audible, Reporting, Transport
from ..errors import ConnectError, ConnectionLost, DuologueError, NotConnected
from .harness import PATIENCE, Rig, Script, Step, event

__all__ = ["TransportTests"]


def _step(way: Literal["in", "out"], frame: str | bytes) -> Step:
    return way, frame


class TransportTests:
    """One test for each rule of `contract.Transport`. Subclass it."""

    #: Whether the far side can close with a handshake (WebRTC cannot).
    closes_cleanly = True
    #: Whether text that is not UTF-8 is delivered, as bytes.
    carries_broken_text = True
    #: Bytes of the largest tested frame.
    largest = 100_000

    def rig(self, script: Script) -> AbstractAsyncContextManager[Rig]:
        """Make a transport whose far side follows ``script``. Override this."""
        raise NotImplementedError("override rig() to make your transport")

    def unreachable(self) -> Rig | None:
        """A rig whose service cannot be reached; None skips the test of this case."""
        return None

    # Frames.

    def test_frames_come_in_order_as_they_were(self) -> None:
        """No frame is changed, joined or lost, for any content."""
        script = Script.of(
            *(_step("in", event(n, text=text)) for n, text in enumerate(_TEXTS)),
            ("in", event(9, text="x" * self.largest)),
        )
        self._run(self._reads(script))

    def test_many_frames_come_in_order(self) -> None:
        """Three hundred frames at once all arrive."""
        script = Script.of(*(_step("in", event(n)) for n in range(300)))
        self._run(self._reads(script))

    def test_text_that_is_not_utf8_comes_as_bytes(self) -> None:
        """An invalid frame is delivered, and so is the next one."""
        if not self.carries_broken_text:
            raise SkipTest("this transport carries only UTF-8")
        script = Script.of(("in", b'{"type":"\xff"}'), ("in", event(1)))
        self._run(self._reads(script))

    def test_what_is_sent_arrives_in_order(self) -> None:
        """The far side gets each frame once and unchanged."""
        texts = [event(n, text=text) for n, text in enumerate(_TEXTS)]
        script = Script.of(*(_step("out", text) for text in texts), ("in", event(9)))

        async def run(rig: Rig) -> None:
            for text in script.outgoing:
                await rig.transport.send(text)
            assert await _next(rig.transport.frames()) == event(9)
            if rig.received is not None:
                assert list(rig.received()) == script.outgoing

        self._run(self._connected(script, run))

    def test_an_answer_comes_after_its_question(self) -> None:
        """Frames in both directions alternate."""
        script = Script.of(
            *(
                step
                for n in range(20)
                for step in (_step("out", event(n, q=n)), _step("in", event(n, a=n)))
            )
        )

        async def run(rig: Rig) -> None:
            frames = rig.transport.frames()
            for question, answer in zip(script.outgoing, script.incoming, strict=True):
                await rig.transport.send(question)
                assert await _next(frames) == answer

        self._run(self._connected(script, run))

    # The far side ends the connection.

    def test_a_far_side_that_closes_ends_the_frames(self) -> None:
        """Earlier frames are delivered; then the iterator ends and `send` raises."""
        if not self.closes_cleanly:
            raise SkipTest("this transport has no close handshake")
        script = Script.of(("in", event(1)), ending="closed")

        async def run(rig: Rig) -> None:
            assert await _all(rig.transport.frames()) == [event(1)]
            await _refused(rig.transport)

        self._run(self._connected(script, run))

    def test_a_far_side_that_is_lost_is_told(self) -> None:
        """Earlier frames are delivered; then `ConnectionLost` gives the reason."""
        script = Script.of(("in", event(1)), ending="lost")

        async def run(rig: Rig) -> None:
            frames = rig.transport.frames()
            assert await _next(frames) == event(1)
            lost = await _raised(ConnectionLost, _next(frames))
            assert _is_one_line(lost)
            await _refused(rig.transport)

        self._run(self._connected(script, run))

    # The client ends the connection.

    def test_closing_ends_the_frames(self) -> None:
        """A waiting iterator ends, and `send` raises."""

        async def run(rig: Rig) -> None:
            reading = asyncio.create_task(_all(rig.transport.frames()))
            await asyncio.sleep(0.01)
            await rig.transport.close()
            assert await asyncio.wait_for(reading, PATIENCE) == []
            await _refused(rig.transport)

        self._run(self._connected(Script(), run))

    def test_closing_is_idempotent_from_every_state(self) -> None:
        """Before connecting, repeated, and concurrent."""

        async def never_connected(rig: Rig) -> None:
            await rig.transport.close()
            await rig.transport.close()
            await _raised(ConnectError, rig.transport.connect(rig.target))
            await _refused(rig.transport)

        async def run(rig: Rig) -> None:
            await asyncio.gather(rig.transport.close(), rig.transport.close())
            await rig.transport.close()

        self._run(self._rigged(Script(), never_connected))
        self._run(self._connected(Script(), run))

    def test_closing_leaves_no_task(self) -> None:
        """With unread frames in the queue."""
        script = Script.of(("in", event(1)), ("in", event(2)))

        async def run(rig: Rig) -> None:
            await rig.transport.connect(rig.target)
            await _next(rig.transport.frames())
            await rig.transport.close()

        self._run(self._leaving_nothing(script, run))

    # Connecting.

    def test_it_connects_once(self) -> None:
        """A second `connect` raises."""

        async def run(rig: Rig) -> None:
            await _raised(ConnectError, rig.transport.connect(rig.target))

        self._run(self._connected(Script(), run))

    def test_nothing_is_sent_before_it_is_connected(self) -> None:
        """`send` raises before `connect`."""

        async def run(rig: Rig) -> None:
            await _refused(rig.transport)

        self._run(self._rigged(Script(), run))

    def test_a_connect_may_be_cancelled_at_any_await(self) -> None:
        """No task is left, at any point."""

        async def run(turns: int, rig: Rig) -> None:
            connecting = asyncio.create_task(_connect(rig))
            for _ in range(turns):
                await asyncio.sleep(0)
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting
            await rig.transport.close()

        async def run_all() -> None:
            for turns in (0, 1, 2, 3, 5, 8, 13, 21, 34):
                await self._leaving_nothing(Script(), partial(run, turns))

        self._run(run_all())

    def test_nobody_there_is_an_error_in_one_line(self) -> None:
        """The message of the `ConnectError` does not contain the key."""

        async def run() -> None:
            rig = self.unreachable()
            if rig is None:
                raise SkipTest("this transport always has a far side")
            error = await _raised(ConnectError, rig.transport.connect(rig.target))
            assert _is_one_line(error)
            assert rig.target.credentials.key.reveal() not in str(error)
            await rig.transport.close()

        self._run(run())

    # Optional protocols.

    def test_what_it_offers_beside_works_before_it_is_connected(self) -> None:
        """Reports, mute and volume work on a new transport."""

        async def run(rig: Rig) -> None:
            transport = rig.transport
            if isinstance(transport, Reporting):
                transport.report_to(lambda frame, way: None)
            if isinstance(transport, Audible):
                transport.set_muted(True)
                transport.set_muted(False)
                transport.set_volume(0.5)
                transport.flush_audio()

        self._run(self._rigged(Script(), run))

    # With a client.

    def test_a_client_folds_what_comes(self) -> None:
        """A session opens, gets its id, and closes."""
        greeting = {"type": "realtime", "id": "sess_1", "object": "realtime.session"}
        created = {"type": "session.created", "event_id": "e1", "session": greeting}
        script = Script.of(("in", json.dumps(created)))

        async def run(rig: Rig) -> None:
            async with Client(
                credentials=rig.target.credentials, base_url=rig.target.base_url
            ) as client:
                session = await client.start_session(
                    SessionConfig(model="a-model"), transport=rig.transport
                )
                state = await session.until(
                    lambda state: state.connection.server_id == "sess_1",
                    timeout=PATIENCE,
                )
                assert state.connection.status is SessionStatus.OPEN
            assert session.state.connection.status is SessionStatus.CLOSED
            assert session.failure is None

        self._run(self._rigged(script, run))

    # Helpers.

    def _run(self, test: Coroutine[Any, Any, None]) -> None:
        asyncio.run(asyncio.wait_for(test, 3 * PATIENCE))
        # Unclosed resources then warn in this test, not in a later one.
        gc.collect()

    async def _rigged(
        self, script: Script, run: Callable[[Rig], Coroutine[Any, Any, None]]
    ) -> None:
        async with self.rig(script) as rig:
            try:
                await run(rig)
            finally:
                await rig.transport.close()

    async def _connected(
        self, script: Script, run: Callable[[Rig], Coroutine[Any, Any, None]]
    ) -> None:
        async def connect_and_run(rig: Rig) -> None:
            await rig.transport.connect(rig.target)
            await run(rig)

        await self._rigged(script, connect_and_run)

    async def _leaving_nothing(
        self, script: Script, run: Callable[[Rig], Coroutine[Any, Any, None]]
    ) -> None:
        before = asyncio.all_tasks()
        await self._rigged(script, run)
        # The far side may need some time to end.
        async with asyncio.timeout(PATIENCE):
            while asyncio.all_tasks() - before:
                await asyncio.sleep(0.005)

    async def _reads(self, script: Script) -> None:
        async def run(rig: Rig) -> None:
            frames = rig.transport.frames()
            assert [await _next(frames) for _ in script.incoming] == script.incoming

        await self._connected(script, run)


#: Difficult JSON strings.
_TEXTS = ("plain", "", "ß 語 🎧", "\u2028", '"\\\n', "\x00\x1b[31m")


async def _next(frames: AsyncIterator[str | bytes]) -> str | bytes:
    return await asyncio.wait_for(anext(frames), PATIENCE)


async def _all(frames: AsyncIterator[str | bytes]) -> list[str | bytes]:
    return [frame async for frame in frames]


async def _connect(rig: Rig) -> None:
    with contextlib.suppress(DuologueError):
        await rig.transport.connect(rig.target)


async def _raised(
    kind: type[DuologueError], awaited: Coroutine[Any, Any, Any]
) -> DuologueError:
    """The error of this kind that the coroutine must raise."""
    try:
        await asyncio.wait_for(awaited, PATIENCE)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


async def _refused(transport: Transport) -> None:
    await _raised(NotConnected, transport.send(event(0)))


def _is_one_line(error: Exception) -> bool:
    return bool(str(error)) and str(error).isprintable()
