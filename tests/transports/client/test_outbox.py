"""Events of the application: accepted at once, sent in order, and once."""

from __future__ import annotations

import asyncio
import json

import pytest

from duologue.core import (
    Session,
    SessionStatus,
    Store,
    dump,
    load,
    select_is_settled,
)
from duologue.local import Options, in_process
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.transports import (
    ReplyError,
    ReplyTimeout,
    ServiceUnreachable,
    SignallingError,
    Target,
    Transport,
)
from duologue.transports.drivers.memory import LIMIT, pair

from ..virtual import VirtualClock, ids, virtually
from .test_driver import TYPED, Line, client, status, words


def user(session: Session) -> list[str]:
    return [text for role, text in words(session) if role == "user"]


@virtually
async def test_a_question_while_reconnecting_is_answered() -> None:
    """`ask` returns its reply; until then the session is not settled."""
    cuts, made = [Faults((Fault(does=Cut(), at=60.0),))], ids()
    busy = [SignallingError("busy", status=503)]

    def making() -> Transport:
        clock, options = VirtualClock(), Options(pace=float("inf"))
        faults = cuts.pop() if cuts else Faults()
        transport = in_process(clock=clock, options=options, ids=made, faults=faults)
        connect = transport.connect

        async def connected(target: Target) -> None:
            if is_open.is_set() and busy:
                raise busy.pop()
            await connect(target)

        transport.connect = connected  # type: ignore[method-assign]
        return transport

    is_open = asyncio.Event()
    async with client() as live:
        session = await live.start_session(TYPED, transport=making)
        is_open.set()
        first = await session.ask("my name is Ada", timeout=30)
        await status(session, SessionStatus.RECONNECTING)
        asking = asyncio.create_task(session.ask("hello", timeout=60))
        await asyncio.sleep(0)
        assert session.state.connection.status is SessionStatus.RECONNECTING
        assert not select_is_settled(session.state)
        second = await asking
    assert (first.status, second.status) == ("completed", "completed")
    assert user(session.state) == ["my name is Ada", "hello"]
    assert [role for role, _ in words(session.state)] == ["user", "assistant"] * 2


@virtually
async def test_a_snapshot_has_the_text_that_was_accepted() -> None:
    """A process that ends while it reconnects loses no accepted text."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, id="one", transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")] * 3
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await session.send_text("hello")
        await session.update(instructions="be brief")
        snapshot = dump(live.store.state)
    following = Line("another")
    async with client(store=Store(load(snapshot))) as other:
        again = await other.start_session(id="one", transport=following)
        sent = await following.sent(4, 0)
        assert not select_is_settled(again.state)
    assert [event["type"] for event in sent] == [
        "session.update",
        "session.update",
        "conversation.item.create",
        "response.create",
    ]
    assert sent[1]["session"]["instructions"] == "be brief"
    assert sent[2]["item"]["content"][0]["text"] == "hello"


@virtually
async def test_events_keep_their_order_while_reconnecting() -> None:
    """An update, audio and its end, a text: as the application sent them."""
    line = Line()
    async with client() as live:
        session = await live.start_session(TYPED, transport=line)
        line.refusals = [ServiceUnreachable("nothing answers")]
        await line.ends[0].close("gone")
        await status(session, SessionStatus.RECONNECTING)
        await session.send_event({"type": "input_audio_buffer.append", "audio": "AAAA"})
        await session.send_event({"type": "input_audio_buffer.commit"})
        await session.send_text("hello")
        await status(session, SessionStatus.OPEN)
        sent = await line.sent(5)
    assert [event["type"] for event in sent] == [
        "session.update",
        "conversation.item.create",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "response.create",
    ]


@virtually
async def test_a_question_that_is_given_up_is_sent_once() -> None:
    """`ask` that times out while the transport holds the frame back."""
    ours, theirs = pair()
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        for _ in range(LIMIT):
            await session.send_event({"type": "response.cancel"})
        with pytest.raises(ReplyTimeout):
            await session.ask("hello", timeout=0.05)
        frames = theirs.frames()
        found = [json.loads(await anext(frames))["type"] for _ in range(LIMIT + 2)]
    assert found[LIMIT:] == ["conversation.item.create", "response.create"]


@virtually
async def test_two_events_with_the_same_id_are_both_sent() -> None:
    """The id is the application's; each call returns when its event is sent."""
    ours, theirs = pair()
    clear = {"type": "input_audio_buffer.clear", "event_id": "mine"}
    async with client() as live:
        session = await live.start_session(TYPED, transport=ours)
        sending = (session.send_event(clear), session.send_event(clear))
        await asyncio.wait_for(asyncio.gather(*sending), 1)
        frames = theirs.frames()
        assert [json.loads(await anext(frames)) for _ in range(2)] == [clear, clear]


@virtually
async def test_a_service_that_never_answers() -> None:
    """The reply has failed with the reason, even if its message is not confirmed."""
    async with client() as live:
        session = await live.start_session(TYPED, transport=Line())
        with pytest.raises(ReplyError, match="did not answer") as caught:
            await session.ask("hello", timeout=60)
    assert caught.value.reply.status == "failed"
