"""The service in the client's process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from duologue.local import Options, Parts, in_process
from duologue.local.faults.injector import Cut, Fault, Faults
from duologue.local.interfaces import Synthesiser
from duologue.transports.contract import Target, Transport
from duologue.transports.errors import ConnectError, ConnectionLost, NotConnected
from duologue.transports.http.credentials import Credentials

QUICK = Options(pace=float("inf"))


def target(**session: Any) -> Target:
    return Target(
        base_url="http://127.0.0.1/v1",
        credentials=Credentials("made-up"),
        session={"type": "realtime", **session},
    )


async def until(transport: Transport, kind: str) -> list[dict[str, Any]]:
    """The events up to the first of this type."""
    events = []
    async with asyncio.timeout(10):
        async for frame in transport.frames():
            events.append(json.loads(frame))
            if events[-1]["type"] == kind:
                break
    return events


async def test_a_conversation_without_a_network(tone_voice: Synthesiser) -> None:
    before = asyncio.all_tasks()
    transport = in_process(parts=Parts(voice=tone_voice), options=QUICK)
    await transport.connect(target(model="some-model"))
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "count to three"}],
    }
    create = {"type": "conversation.item.create", "item": item}
    await transport.send(json.dumps(create))
    await transport.send('{"type": "response.create"}')
    events = await until(transport, "response.done")
    assert events[0]["type"] == "session.created"
    assert events[0]["session"]["model"] == "some-model"
    [answer] = events[-1]["response"]["output"]
    assert answer["content"][0]["transcript"] == "One, two, three."
    await transport.close()
    await transport.close()
    assert [frame async for frame in transport.frames()][1:] == []
    with pytest.raises(NotConnected):
        await transport.send("{}")
    assert asyncio.all_tasks() == before


async def test_two_sessions_share_no_more_than_their_parts(
    tone_voice: Synthesiser,
) -> None:
    parts = Parts(voice=tone_voice)
    one, two = (
        in_process(parts=parts, options=QUICK),
        in_process(parts=parts, options=QUICK),
    )
    for transport in (one, two):
        await transport.connect(target(output_modalities=["text"]))
    await one.send('{"type": "response.create"}')
    assert (await until(one, "response.done"))[-1]["type"] == "response.done"
    await one.close()
    await two.send('{"type": "response.create"}')
    assert (await until(two, "response.done"))[-1]["type"] == "response.done"
    await two.close()


async def test_a_session_that_is_wrong_does_not_connect() -> None:
    transport = in_process()
    with pytest.raises(ConnectError, match="smell"):
        await transport.connect(target(output_modalities=["smell"]))
    await transport.close()


async def test_ids_and_time_may_be_the_tests_own() -> None:
    """With them, two runs give the same frames."""

    async def run() -> list[dict[str, Any]]:
        count = iter(range(1000))
        transport = in_process(
            options=QUICK,
            clock=lambda: 5.0,
            ids=lambda prefix: f"{prefix}_{next(count)}",
        )
        await transport.connect(target(output_modalities=["text"]))
        await transport.send('{"type": "response.create"}')
        events = await until(transport, "rate_limits.updated")
        await transport.close()
        return events

    assert await run() == await run()


async def test_a_reconnect_is_the_next_session() -> None:
    """A fault can apply to the first connection only."""
    cut = Fault(does=Cut(), events=("session.created",), sessions=frozenset({1}))
    first = in_process(faults=Faults((cut,)))
    second = first.again()  # type: ignore[attr-defined]
    for transport in (first, second):
        await transport.connect(target())
        await until(transport, "session.created")
    with pytest.raises(ConnectionLost, match="1006"):
        await until(first, "nothing")
    await second.send('{"type": "input_audio_buffer.clear"}')
    await until(second, "input_audio_buffer.cleared")
    for transport in (first, second):
        await transport.close()


async def test_a_session_that_is_over_ends_the_connection() -> None:
    """It closes after the last event, with the reason."""
    transport = in_process(options=Options(life=0.05))
    await transport.connect(target())
    events = await until(transport, "error")
    assert events[-1]["error"]["code"] == "session_expired"
    with pytest.raises(ConnectionLost, match="maximum duration"):
        await until(transport, "nothing")
    await transport.close()
