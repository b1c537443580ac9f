"""A log instead of a service: frames, times, ids and drift."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from duologue.core import (
    Session,
    SessionConfig,
    SessionStatus,
    dump,
    events,
    fold,
    select_is_settled,
    select_transcripts,
)
from duologue.local import in_process
from duologue.transports import (
    Client,
    ConnectError,
    ConnectionLost,
    Credentials,
    LogError,
    NotConnected,
    ReplayDrift,
    Target,
    read_log_file,
    record,
    replay,
)
from duologue.transports.testing import default_target

TYPED = SessionConfig(output_modalities=("text",))
SHARED = Path("/work/shared/recordings")
CREATED = {"type": "session.created", "session": {"type": "realtime", "id": "sess_1"}}


def is_answered(session: Session) -> bool:
    last = [line.role for line in select_transcripts(session)][-1:]
    return last == ["assistant"] and select_is_settled(session)


def log(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def line(dir: str, type: str, **more: Any) -> dict[str, Any]:
    return {"dir": dir, "event": {"type": type}, **more}


async def read(transport: Any, count: int) -> list[str]:
    """The types of the next frames."""
    frames = transport.frames()
    async with asyncio.timeout(10):
        return [json.loads(await anext(frames))["type"] for _ in range(count)]


@pytest.fixture
async def hello(tmp_path: Path) -> Path:
    """A recording of one typed turn."""
    path = tmp_path / "hello.jsonl"
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(
            TYPED, transport=record(in_process(), path)
        )
        await session.send_text("hello")
        await session.until(is_answered, timeout=10)
    return path


async def rehearse(path: Path, *, config: SessionConfig = TYPED, **options: Any) -> Any:
    """Replay the same turn; return the state of the store."""
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(config, transport=replay(path, **options))
        await session.send_text("hello")
        await session.until(is_answered, timeout=10)
    return client.store.state


def target_of(path: Path) -> Target:
    """A target with the recorded configuration."""
    for each in read_log_file(path):
        if isinstance(each.event, events.Requested):
            session = each.event.event["session"]
            return attrs.evolve(default_target(), session=session)
    raise AssertionError


# Received frames.


async def test_times_and_ids_are_those_of_the_recording(hello: Path) -> None:
    """So the state and its dump are equal."""
    assert dump(await rehearse(hello)) == dump(fold(read_log_file(hello)))


async def test_two_replays_of_one_log_have_two_names(hello: Path) -> None:
    """The second gets a new id and the recorded clock."""
    async with Client(credentials=Credentials("x")) as client:
        one = await client.start_session(TYPED, transport=replay(hello))
        two = await client.start_session(TYPED, transport=replay(hello))
        named = await client.start_session(TYPED, transport=replay(hello), id="mine")
        recorded = next(iter(read_log_file(hello)))
        assert one.id == recorded.session
        assert two.id not in (one.id, "mine")
        assert named.id == "mine"


async def test_what_the_transport_did_it_does_again(tmp_path: Path) -> None:
    """Sent audio and played durations are reported, in order and in time."""
    path = log(
        tmp_path / "log.jsonl",
        line("local", "duologue.connecting", at=1.0),
        line("out", "session.update", at=2.0, src="transport"),
        line("local", "duologue.connected", at=3.0),
        line("in", "one", at=4.0),
        line("out", "input_audio_buffer.append", at=5.0, src="transport"),
        line("out", "response.cancel", at=6.0),
        line("local", "duologue.tick", at=7.0),
        line("in", "two", at=8.0),
    )
    transport = replay(path)
    told: list[tuple[str, str, float]] = []

    def take(frame: str, way: str) -> None:
        told.append((way, json.loads(frame)["type"], transport.clock.now()))

    transport.report_to(take)
    assert transport.clock.now() == 1.0
    await transport.connect(default_target())
    assert told == [("out", "session.update", 2.0)]
    assert transport.clock.now() == 3.0
    frames = transport.frames()
    assert json.loads(await anext(frames))["type"] == "one"
    assert transport.clock.now() == 4.0
    second = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0.01)
    assert told[1:] == [("out", "input_audio_buffer.append", 5.0)]
    assert transport.clock.now() == 6.0
    await transport.send('{"type":"response.cancel"}')
    assert json.loads(await second)["type"] == "two"
    assert told[2:] == [("local", "duologue.tick", 7.0)]
    assert [transport.clock.now(), transport.clock.now()] == [8.0, 8.0]
    await transport.close()


@pytest.mark.parametrize(("speed", "recorded"), [(1, 0.3), (20, 6.0)])
async def test_speed(tmp_path: Path, speed: float, recorded: float) -> None:
    """1 is as recorded, 20 takes a twentieth."""
    path = log(
        tmp_path / "log.jsonl",
        *(line("in", "x", at=1 + n * recorded / 3) for n in range(4)),
    )
    transport = replay(path, speed=speed)
    await transport.connect(default_target())
    started = asyncio.get_running_loop().time()
    await read(transport, 4)
    assert 0.28 < asyncio.get_running_loop().time() - started < 5
    await transport.close()


async def test_closing_ends_a_long_wait(tmp_path: Path) -> None:
    """A close does not wait for a recorded pause."""
    path = log(
        tmp_path / "log.jsonl", line("in", "x", at=1.0), line("in", "x", at=9999.0)
    )
    transport = replay(path, speed=1)
    await transport.connect(default_target())
    reading = asyncio.create_task(read(transport, 2))
    await asyncio.sleep(0.01)
    await transport.close()
    with pytest.raises(StopAsyncIteration):
        await asyncio.wait_for(reading, 5)


async def test_step_by_step(tmp_path: Path) -> None:
    """`step` returns after that many records."""
    path = log(tmp_path / "log.jsonl", *(line("in", f"n{n}") for n in range(4)))
    transport = replay(path, speed="step")
    await transport.connect(default_target())
    got: list[str] = []

    async def collect() -> None:
        async for frame in transport.frames():
            got.append(json.loads(frame)["type"])

    reading = asyncio.create_task(collect())
    await asyncio.sleep(0.01)
    seen = [list(got)]
    for count in (1, 2, 5):
        await asyncio.wait_for(transport.step(count), 5)
        seen.append(list(got))
    await transport.close()
    await reading
    assert seen == [[], ["n0"], ["n0", "n1", "n2"], ["n0", "n1", "n2", "n3"]]
    with pytest.raises(ValueError, match="in steps"):
        await replay(path).step()


async def test_up_to_a_record(tmp_path: Path) -> None:
    """No frame follows it, and the session stays open."""
    path = log(tmp_path / "log.jsonl", *(line("in", f"n{n}") for n in range(4)))
    transport = replay(path, until=2)
    await transport.connect(default_target())
    assert await read(transport, 2) == ["n0", "n1"]
    third = asyncio.create_task(read(transport, 1))
    await asyncio.sleep(0.02)
    assert not third.done()
    await transport.close()
    with pytest.raises(StopAsyncIteration):
        await third


async def test_one_session_of_a_log_and_one_connection_of_it(tmp_path: Path) -> None:
    """The first one by default."""
    path = log(
        tmp_path / "log.jsonl",
        line("in", "a0", session="a"),
        line("in", "b0", session="b"),
        line("in", "a1", session="a", epoch=1),
        line("in", "other", session="a", src="sideband"),
    )
    chosen: Iterable[tuple[dict[str, Any], str, str]] = (
        ({}, "a", "a0"),
        ({"session": "b"}, "b", "b0"),
        ({"epoch": 1}, "a", "a1"),
    )
    for options, name, first in chosen:
        transport = replay(path, **options)
        assert transport.session_id == name
        await transport.connect(default_target())
        assert await read(transport, 1) == [first]
        await transport.close()
    with pytest.raises(LogError, match="no records of c, epoch 0"):
        replay(path, session="c")


async def test_a_log_of_a_sideband_alone(tmp_path: Path) -> None:
    """The sideband's frames are used; the browser's are not."""
    path = log(
        tmp_path / "log.jsonl",
        line("local", "duologue.connecting"),
        line("out", "session.update", src="transport"),
        line("local", "duologue.connected"),
        line("in", "told", src="browser"),
        line("in", "one", src="sideband"),
        line("out", "response.create"),
        line("in", "two", src="sideband"),
    )
    transport = replay(path)
    await transport.connect(default_target())
    await transport.send('{"type":"response.create"}')
    assert await read(transport, 2) == ["one", "two"]
    assert transport.src == "sideband"
    await transport.close()
    transport.check()


async def test_the_next_connection_of_a_session(tmp_path: Path) -> None:
    """It has the same clock; the last one has none after it."""
    gone = {"type": "duologue.disconnected", "reason": "it broke"}
    path = log(
        tmp_path / "log.jsonl",
        line("in", "a0", at=1.0),
        {"dir": "local", "event": gone, "at": 2.0},
        line("local", "duologue.connecting", at=3.0, epoch=1),
        line("in", "a1", at=4.0, epoch=1),
    )
    first = replay(path)
    await first.connect(default_target())
    assert await read(first, 1) == ["a0"]
    second = first.again()
    assert second is not None
    assert second.clock is first.clock
    await second.connect(default_target())
    assert await read(second, 1) == ["a1"]
    assert second.clock.now() == 4.0
    assert second.again() is None
    await second.close()


@pytest.mark.parametrize("speed", [0, -1, float("nan")])
def test_a_speed_is_above_0(tmp_path: Path, speed: float) -> None:
    path = log(tmp_path / "log.jsonl", line("in", "x"))
    with pytest.raises(ValueError, match="speed"):
        replay(path, speed=speed)


def test_an_empty_log_is_none(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no records of any session"):
        replay(log(tmp_path / "log.jsonl"))


# The end.


async def test_a_lost_connection_is_lost_again(tmp_path: Path) -> None:
    """With its reason and its code."""
    gone = {"type": "duologue.disconnected", "code": 1011, "reason": "it broke"}
    path = log(tmp_path / "log.jsonl", line("in", "x"), {"dir": "local", "event": gone})
    transport = replay(path)
    await transport.connect(default_target())
    frames = transport.frames()
    await anext(frames)
    with pytest.raises(ConnectionLost, match="it broke") as caught:
        await anext(frames)
    assert caught.value.code == 1011
    with pytest.raises(NotConnected):
        await transport.send("{}")


async def test_a_far_side_that_closed_closes(tmp_path: Path) -> None:
    """The session ends as recorded; a client's close is not repeated."""
    lines = (line("local", "duologue.connected"), {"dir": "in", "event": CREATED})
    path = log(tmp_path / "theirs.jsonl", *lines, {"close": {"code": 1000}})
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(TYPED, transport=replay(path))
        await session.until(
            lambda state: state.connection.status is SessionStatus.CLOSED, timeout=5
        )
    ours = {"type": "duologue.disconnected", "expected": True}
    path = log(tmp_path / "ours.jsonl", *lines, {"dir": "local", "event": ours})
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(TYPED, transport=replay(path))
        await session.until(lambda s: s.connection.server_id == "sess_1", timeout=5)
        await asyncio.sleep(0.01)
        assert session.state.connection.status is SessionStatus.OPEN


# Sent events.


async def test_another_configuration_is_drift(hello: Path) -> None:
    """Except the model, whose default changes over time."""
    await rehearse(hello, config=SessionConfig(model="m", output_modalities=("text",)))
    brief = SessionConfig(output_modalities=("text",), instructions="Be brief.")
    message = r'at \$.instructions: recorded nothing, sent "Be brief."'
    with pytest.raises(ReplayDrift, match=message):
        await rehearse(hello, config=brief)
    await rehearse(hello, config=brief, sends="order")


async def test_what_drifted_is_kept(hello: Path) -> None:
    """`check` raises it again if the first exception was caught."""
    transport = replay(hello)
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(TYPED, transport=transport)
        with pytest.raises(ReplayDrift):
            await session.send_text("goodbye")
    assert transport.drift is not None
    with pytest.raises(ReplayDrift, match='sent "goodbye"'):
        transport.check()


async def test_what_was_not_sent_is_drift(hello: Path) -> None:
    """At the end, and after `patience`."""
    transport = replay(hello, patience=0.05)
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(TYPED, transport=transport)
        message = "event 1 was not sent: record .* is conversation.item.create"
        with pytest.raises(ConnectionLost, match=message):
            await session.until(is_answered, timeout=10)
        assert isinstance(session.failure, ReplayDrift)
    with pytest.raises(ReplayDrift, match=message):
        transport.check()
    never_used = replay(hello)
    with pytest.raises(ReplayDrift, match="event 1 was not sent"):
        never_used.check()
    replay(hello, sends="ignore").check()


async def test_it_connects_once(hello: Path) -> None:
    transport = replay(hello)
    await transport.connect(target_of(hello))
    with pytest.raises(ConnectError):
        await transport.connect(default_target())
    await transport.close()


@pytest.mark.skipif(not SHARED.exists(), reason="the recordings are not there")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("openai-ws-text-in-audio-out-turn", "Say a short greeting."),
        ("azure-ws-text-in-audio-out-turn", "Say a short greeting."),
        ("gateway-ws-gateway-openai-text-in-audio-out", "Say a short greeting."),
        ("openai-ws-sideband-webrtc-sideband-text-turn", "Say hello."),
    ],
)
async def test_logs_of_other_programs(name: str, text: str) -> None:
    """Frames only, from real services: the client gets its answer."""
    transport = replay(SHARED / f"{name}.jsonl", patience=5)
    async with Client(credentials=Credentials("x")) as client:
        session = await client.start_session(TYPED, transport=transport)
        await session.send_text(text)
        state = await session.until(is_answered, timeout=10)
        roles = [shown.role for shown in select_transcripts(state)]
        assert roles == ["user", "assistant"]
    transport.check()
