"""The methods of a live session."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from duologue.core import (
    SessionConfig,
    events,
    select_is_settled,
    select_problems,
    select_transcripts,
)
from duologue.local import Options, in_process
from duologue.transports import Client, LiveSession, NotConnected, Transport
from duologue.transports.drivers.memory import MemoryTransport, pair

from ..virtual import VirtualClock, ids, virtually

TYPED = SessionConfig(output_modalities=("text",))


def client() -> Client:
    return Client(base_url="http://127.0.0.1/v1", clock=VirtualClock())


def service() -> Transport:
    kind = Options(pace=float("inf"))
    return in_process(clock=VirtualClock(), options=kind, ids=ids())


async def ask(session: LiveSession, text: str) -> None:
    count = len(select_transcripts(session.state)) + 1
    await session.send_text(text)
    await session.until(
        lambda s: select_is_settled(s) and len(select_transcripts(s)) > count,
        timeout=60,
    )


class Audible(MemoryTransport):
    """A transport with mute and volume."""

    levels: list[Any]

    def set_muted(self, muted: bool) -> None:
        self.levels.append(("muted", muted))

    def set_volume(self, volume: float) -> None:
        self.levels.append(("volume", volume))

    def flush_audio(self) -> None:
        self.levels.append("flushed")


# Changes of the configuration.


@virtually
async def test_a_change_names_what_changes() -> None:
    """Other fields stay; the service confirms the change in the state."""
    async with client() as live:
        session = await live.start_session(TYPED, transport=service())
        await session.update(instructions="Be brief.", turn_detection=None)
        state = await session.until(
            lambda s: getattr(s.connection.confirmed, "instructions", 0) == "Be brief.",
            timeout=5,
        )
        confirmed: Any = state.connection.confirmed
        assert confirmed.audio.input.turn_detection is None
        assert confirmed.output_modalities == ("text",)
        asked = json.loads(state.connection.requested or "{}")
        assert asked["instructions"] == "Be brief."
        assert asked["output_modalities"] == ["text"]
        assert select_problems(state) == ()


@pytest.mark.parametrize(
    ("changes", "error", "why"),
    [
        ({"temperature": 1}, TypeError, "the GA has no equivalent"),
        ({"modalities": ["text"]}, TypeError, "output_modalities"),
        ({"new": 1}, TypeError, "'new'"),
        ({"voice": 5}, ValueError, "voice"),
        ({"model": "other"}, ValueError, "cannot be changed"),
    ],
)
def test_a_change_that_is_none(changes: Any, error: type[Exception], why: str) -> None:
    """An invalid change is refused before sending, with the GA name."""

    @virtually
    async def run() -> None:
        async with client() as live:
            session = await live.start_session(TYPED, transport=service())
            before = session.state.connection.requested
            with pytest.raises(error, match=why):
                await session.update(**changes)
            assert session.state.connection.requested == before

    run()


@virtually
async def test_a_change_holds_on_later_connections() -> None:
    """The next connection uses it, also if it was made while disconnected."""
    opened: list[Any] = []
    ends: list[Any] = []

    def make() -> Transport:
        ours, theirs = pair()
        ends.append(theirs)
        connect = ours.connect

        async def connected(target: Any) -> None:
            opened.append(target.session)
            await connect(target)

        ours.connect = connected  # type: ignore[method-assign]
        return ours

    async with client() as live:
        session = await live.start_session(TYPED, transport=make)
        await session.update(instructions="a", voice="x")
        await ends[0].close("gone")
        state = await session.until(lambda s: s.connection.epoch == 1, timeout=5)
        assert state.connection.epoch == 1
        await session.until(lambda s: s.connection.status == "open", timeout=5)
        assert opened[1]["instructions"] == "a"
        assert opened[1]["audio"]["output"] == {"voice": "x"}
        assert opened[1]["audio"]["input"] == opened[0]["audio"]["input"]


@virtually
async def test_tools_change_in_flight() -> None:
    """Functions are sent to the service as specifications."""

    def now() -> str:
        """The time."""
        return "noon"

    async with client() as live:
        session = await live.start_session(TYPED, transport=service())
        await session.update(tools=[now])
        state = await session.until(
            lambda s: bool(getattr(s.connection.confirmed, "tools", ())), timeout=5
        )
        told: Any = getattr(state.connection.confirmed, "tools", (None,))[0]
        assert (told.name, told.description) == ("now", "The time.")


# Volume and transcripts.


@virtually
async def test_both_sides_can_be_turned_down() -> None:
    """The state has each change, and the transport carries it out once."""
    plain, _ = pair()
    ours = Audible(plain._end, inbox=plain._inbox, outbox=plain._outbox)
    ours.levels = []
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        session.mute()
        session.mute()
        session.set_volume(0.5)
        session.set_volume(0.5)
        assert session.state.activity.muted
        assert session.state.activity.volume == 0.5
        session.unmute()
        assert ours.levels == [
            ("muted", True),
            ("volume", 1.0),
            ("muted", True),
            ("volume", 0.5),
            ("muted", False),
            ("volume", 0.5),
        ]
        with pytest.raises(ValueError, match="0 to 1"):
            session.set_volume(1.5)
        await session.interrupt()
        assert ours.levels[-1] == "flushed"


@virtually
async def test_a_muted_session_goes_on_muted() -> None:
    """The first transport of a continued session gets the mute and the volume."""
    async with client() as live:
        first = await live.start_session(TYPED, id="s", transport=pair()[0])
        first.mute()
        first.set_volume(0.5)
        await first.close()
        plain, _ = pair()
        ours = Audible(plain._end, inbox=plain._inbox, outbox=plain._outbox)
        ours.levels = []
        await live.start_session(TYPED, id="s", transport=ours)
        assert ours.levels == [("muted", True), ("volume", 0.5)]


@virtually
async def test_cleared_transcripts_are_not_shown() -> None:
    """Later lines are shown."""
    async with client() as live:
        session = await live.start_session(TYPED, transport=service())
        await ask(session, "hello")
        session.clear_transcripts()
        assert select_transcripts(session.state) == ()
        await ask(session, "count to three")
        shown = [line.text for line in select_transcripts(session.state)]
        assert shown == ["count to three", "One, two, three."]


@virtually
async def test_lines_can_be_iterated() -> None:
    """The final lines so far, then each new one, until the end."""
    async with client() as live:
        session = await live.start_session(TYPED, transport=service())
        await ask(session, "hello")
        got: list[str] = []

        async def read() -> None:
            async for line in session.transcripts():
                got.append(line.text)

        reading = asyncio.create_task(read())
        await ask(session, "count to three")
        await session.close()
        await asyncio.wait_for(reading, 5)
        assert got == [
            "hello",
            "Hello there. It is good to hear you.",
            "count to three",
            "One, two, three.",
        ]
        assert [line.text async for line in session.transcripts()] == got


# Sending.


@virtually
async def test_a_new_item_has_an_id_of_ours() -> None:
    """So it can be recognised later; an existing id is kept."""
    sent: list[Any] = []
    ours, _ = pair()
    async with client() as live:
        live.store.subscribe(lambda before, record, after: sent.append(record.event))
        session = await live.start_session(TYPED, id="me", transport=ours)
        await session.send_text("hello")
        item = {"type": "message", "id": "mine", "role": "user", "content": []}
        await session.send_event({"type": "conversation.item.create", "item": item})
    created: Any = [
        e.item.id for e in sent if isinstance(e, events.ConversationItemCreate)
    ]
    assert created[1] == "mine"
    assert created[0].startswith("item_")
    assert len(created[0]) <= 32


@virtually
async def test_a_cancelled_send_is_sent_once() -> None:
    """An accepted event is recorded and sent once, even if its sender is cancelled."""
    from duologue.transports.drivers.memory import LIMIT

    ours, theirs = pair()
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        for _ in range(LIMIT):
            await session.send_event({"type": "response.cancel"})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                session.send_event({"type": "input_audio_buffer.commit"}), 1
            )
        frames = theirs.frames()
        kinds = {json.loads(await anext(frames))["type"] for _ in range(LIMIT)}
        await session.send_event({"type": "input_audio_buffer.clear"})
        last = [json.loads(await anext(frames))["type"] for _ in range(2)]
        assert kinds == {"response.cancel"}
        assert last == ["input_audio_buffer.commit", "input_audio_buffer.clear"]


@virtually
async def test_nothing_more_after_the_end() -> None:
    """Every send method raises."""
    async with client() as live:
        session = await live.start_session(TYPED, transport=service())
        await session.close()
        for saying in (
            session.send_text("hello"),
            session.send_event({"type": "response.cancel"}),
            session.update(instructions="a"),
        ):
            with pytest.raises(NotConnected):
                await saying


@virtually
async def test_nothing_is_noted_after_the_end() -> None:
    """The log has ended, and a forgotten session stays forgotten."""
    async with client() as live:
        session = await live.start_session(TYPED, transport=service())
        await ask(session, "hello")
        await session.close()
        ended = live.store.state

        def change() -> None:
            session.mute()
            session.set_volume(0.5)
            session.clear_transcripts()

        change()
        assert live.store.state is ended
        last = await live.close_session(session.id)
        change()
        assert live.store.session(session.id) is None
        assert session.state is last


@virtually
async def test_an_interrupted_reply_is_stopped() -> None:
    """Nothing is sent if the assistant is silent."""
    ours, theirs = pair()
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        await session.interrupt()
        response = {"id": "r", "conversation_id": "c"}
        created = {"type": "response.created", "event_id": "e", "response": response}
        await theirs.send(json.dumps(created))
        await session.until(lambda s: s.responses.active == "r", timeout=5)
        await session.interrupt()
        sent = json.loads(await anext(theirs.frames()))
        assert sent["type"] == "response.cancel"


@virtually
async def test_an_interruption_before_the_response_begins() -> None:
    """The requested response is cancelled when it begins, its audio discarded; once."""
    plain, theirs = pair()
    ours = Audible(plain._end, inbox=plain._inbox, outbox=plain._outbox)
    ours.levels = []
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        await session.send_text("tell me a story")
        await session.interrupt()
        await session.interrupt()
        response = {"id": "r", "conversation_id": "c"}
        await theirs.send(
            json.dumps({"type": "response.created", "response": response})
        )
        at = {"response_id": "r", "item_id": "a", "content_index": 0}
        for _ in range(2):
            delta = {"type": "response.output_audio.delta", **at, "delta": "AAAA"}
            await theirs.send(json.dumps(delta))
        await session.interrupt()
        await session.until(lambda s: s.item("a") is not None, timeout=5)
        await session.interrupt()
        done = {**response, "status": "cancelled"}
        await theirs.send(json.dumps({"type": "response.done", "response": done}))
        await session.until(select_is_settled, timeout=5)
        sent = []
        async with asyncio.timeout(5):
            async for frame in theirs.frames():
                sent.append(json.loads(frame))
                if sent[-1]["type"] == "response.cancel":
                    break
        assert [each["type"] for each in sent] == [
            "conversation.item.create",
            "response.create",
            "response.cancel",
        ]
        assert sent[-1]["response_id"] == "r"
        assert ours.levels.count("flushed") == 5
    await session.interrupt()
