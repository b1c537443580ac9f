"""Random talks over bad lines: what was accepted is said, once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.core import (
    Record,
    Session,
    SessionStatus,
    Store,
    dump,
    events,
    load,
    select_is_settled,
    select_running_calls,
)
from duologue.core.effects.backoff import Backoff
from duologue.local import Options, in_process
from duologue.transports import (
    ConnectionLost,
    LiveSession,
    NotConnected,
    ReplyError,
    SignallingError,
    Target,
    Transport,
)

from ..virtual import VirtualClock, ids, virtually
from .test_driver import TYPED, client, words

#: What the application or the network does.
Deed = Literal[
    "say",
    "ask",
    "call",
    "update",
    "interrupt",
    "cut",
    "refuse",
    "expire",
    "restart",
    "out",
]
#: And the number of seconds in which nothing follows.
PAUSES = [0.0, 0.0, 0.01, 0.3, 1.0, 2.5, 12.0]
STEPS = st.lists(
    st.tuples(st.sampled_from(get_args(Deed)), st.sampled_from(PAUSES)),
    min_size=1,
    max_size=14,
)


async def stock(what: str = "ink") -> str:
    """How much there is."""
    await asyncio.sleep(0.7)
    return f"12 {what}"


class Cuttable:
    """A transport of the local service that can break off."""

    def __init__(self, world: World, inner: Transport) -> None:
        self._world, self._inner = world, inner
        self.is_cut = asyncio.Event()
        #: The items that the service has: the created ones and its own.
        self.sent: list[dict[str, Any]] = []
        self.expires: float | None = None

    async def connect(self, target: Target) -> None:
        if self._world.refusals:
            self._world.refusals -= 1
            raise SignallingError("busy", status=503)
        await self._inner.connect(target)

    async def send(self, frame: str) -> None:
        if self.is_cut.is_set():
            raise ConnectionLost("cut", code=1006)
        self.sent.append(json.loads(frame))
        await self._inner.send(frame)

    async def frames(self) -> AsyncIterator[str | bytes]:
        frames, cut = self._inner.frames(), asyncio.ensure_future(self.is_cut.wait())
        try:
            while True:
                following = asyncio.ensure_future(anext(frames, None))
                await asyncio.wait(
                    {following, cut}, return_when=asyncio.FIRST_COMPLETED
                )
                if cut.done():
                    following.cancel()
                    await asyncio.wait({following})
                    raise ConnectionLost("cut", code=1006)
                frame = following.result()
                if frame is None:
                    return
                yield self._expiring(frame)
        finally:
            cut.cancel()

    def _expiring(self, frame: str | bytes) -> str | bytes:
        event = json.loads(frame)
        if self._world.life and "expires_at" in event.get("session", {}):
            if self.expires is None:
                self.expires = VirtualClock().now() + self._world.life
            event["session"]["expires_at"] = self.expires
            return json.dumps(event)
        return frame

    async def close(self) -> None:
        await self._inner.close()


class World:
    """The application, its process and the network."""

    def __init__(self) -> None:
        self.refusals = 0
        #: The life of a connection in seconds, if it is not that of the service.
        self.life = 0.0
        self.lines: list[Cuttable] = []
        self.said: list[str] = []
        self.asked: list[asyncio.Task[str]] = []
        self.restarts = 0
        #: The started tools, by their ``call_id``.
        self.started: Counter[str] = Counter()
        self._ids = ids()
        self._live = client(backoff=Backoff(patience=600.0))
        self._talk: LiveSession | None = None

    def line(self) -> Transport:
        options = Options(pace=float("inf"))
        inner = in_process(clock=VirtualClock(), options=options, ids=self._ids)
        self.lines.append(Cuttable(self, inner))
        return self.lines[-1]

    @property
    def talk(self) -> LiveSession:
        assert self._talk is not None
        return self._talk

    async def start(self) -> None:
        self._watch()
        self._talk = await self._live.start_session(
            TYPED, id="x", transport=self.line, tools=[stock]
        )

    def _watch(self) -> None:
        def note(before: object, record: Record, after: object) -> None:
            if isinstance(record.event, events.ToolStarted):
                self.started[record.event.call_id] += 1

        self._live.store.subscribe(note)

    async def restart(self) -> None:
        """The process ends; another one goes on from the last snapshot."""
        snapshot = dump(self._live.store.state)
        for task in self.asked:
            task.cancel()
        await self._live.close()
        self._live = client(
            store=Store(load(snapshot)), backoff=Backoff(patience=600.0)
        )
        self.refusals = 0
        self.restarts += 1
        self._watch()
        self._talk = await self._live.start_session(
            id="x", transport=self.line, tools=[stock]
        )

    async def do(self, step: Deed) -> None:
        text = f"count to {len(self.said) + 1}"
        if step in ("ask", "out") and not all(task.done() for task in self.asked):
            # Concurrent questions wait for each other.
            step = "say"
        match step:
            case "say":
                self.said.append(text)
                await self.talk.send_text(text)
            case "call":
                text = f"stock of {len(self.said) + 1}"
                self.said.append(text)
                await self.talk.send_text(text)
            case "ask":
                self.said.append(text)
                self.asked.append(asyncio.create_task(self._ask(text)))
                await asyncio.sleep(0)
            case "out":
                self.said.append(text)
                with contextlib.suppress(ReplyError):
                    await self.talk.ask(text, timeout=0.001)
            case "update":
                await self.talk.update(instructions=f"be brief {len(self.said)}")
            case "interrupt":
                await self.talk.interrupt()
            case "cut":
                self.lines[-1].is_cut.set()
            case "refuse":
                self.refusals = 3
            case "expire":
                self.life = 0.0 if self.life else 400.0
            case _:
                await self.restart()

    async def _ask(self, text: str) -> str:
        try:
            reply = await self.talk.ask(text, timeout=300)
        except (ReplyError, ConnectionLost, NotConnected) as error:
            return f"{type(error).__name__}: {error}"
        return reply.status

    async def close(self) -> None:
        await self._live.close()


def user(session: Session) -> list[str]:
    return [text for role, text in words(session) if role == "user"]


async def talk(steps: list[tuple[Deed, float]]) -> None:
    world = World()
    await world.start()
    for step, seconds in steps:
        await world.do(step)
        await asyncio.sleep(seconds)
    # The last text is said on a line that works.
    await world.do("say")
    state = await world.talk.until(
        lambda s: s.connection.status is SessionStatus.OPEN and select_is_settled(s),
        timeout=900,
    )
    assert user(state) == world.said
    problems = {p.code or p.kind for p in state.problems}
    # A response may end before the service gets its cancellation.
    expected = {"disconnected", "connect_failed", "response_cancel_not_active"}
    assert problems <= expected, state.problems
    assert words(state)[-1][0] == "assistant"
    asked = await asyncio.gather(*world.asked, return_exceptions=True)
    for result in asked:
        assert isinstance(result, asyncio.CancelledError) or (
            result == "completed" or "interrupted" in str(result)
        ), result
    # The service has the whole conversation, in its order.
    last = world.lines[-1].sent
    created = [each["item"] for each in last if "item" in each]
    heard = [
        item["content"][0]["text"]
        for item in created
        if item["type"] == "message" and item["role"] == "user"
    ]
    assert heard == world.said
    assert len({item["id"] for item in created}) == len(created)
    outputs = [item["call_id"] for item in created if "output" in item]
    assert len(set(outputs)) == len(outputs)
    assert all(count <= 1 + world.restarts for count in world.started.values())
    assert select_running_calls(state) == ()
    wanted = json.loads(state.connection.requested or "{}").get("instructions")
    confirmed = state.connection.confirmed
    assert isinstance(confirmed, events.RealtimeSessionConfig)
    assert (confirmed.instructions or None) == wanted
    await world.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_a_talk(steps: list[tuple[Deed, float]]) -> None:
    """Whatever happens: one transcript, nothing lost, nothing twice, in order."""
    virtually(talk)(steps)


@pytest.mark.deep
@settings(deadline=None, max_examples=3000)
@given(STEPS)
def test_a_long_run_of_talks(steps: list[tuple[Deed, float]]) -> None:
    """The same with more examples."""
    virtually(talk)(steps)
