"""Fault injection: lines on their own, then sessions over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.core import Store, select_transcripts
from duologue.local import Options, Parts, in_process
from duologue.local.engine.effects import CloseConnection
from duologue.local.faults.injector import (
    TRANSCRIBED,
    Cut,
    Deed,
    Delay,
    Drop,
    Duplicate,
    Errors,
    Expire,
    Fail,
    Fault,
    Faults,
    FaultyLine,
    Late,
    Mute,
    Orphan,
    Outcome,
    Reorder,
    TimedDeed,
)
from duologue.local.interfaces import Call, Say
from duologue.local.server.calls import Calls
from duologue.local.server.session_factory import SessionFactory
from duologue.transports.contract import Target
from duologue.transports.drivers.webrtc.peer import Peer
from duologue.transports.errors import ConnectionLost
from duologue.transports.http.credentials import Credentials

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

#: Three events, and two that belong to a response.
A, B, C = (
    "input_audio_buffer.cleared",
    "conversation.item.deleted",
    "output_audio_buffer.stopped",
)
DELTA, AUDIO = "response.output_text.delta", "response.output_audio.delta"
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}
FIELDS: dict[str, dict[str, Any]] = {
    A: {},
    B: {"item_id": "i"},
    C: {"response_id": "r"},
    DELTA: {**PLACE, "delta": "Hi"},
    AUDIO: {**PLACE, "delta": "AAAA"},
}


def frame(kind: str, number: int = 0) -> str:
    return json.dumps({"type": kind, "event_id": f"event_{number}", **FIELDS[kind]})


def line_of(*faults: Fault, seed: int = 0, number: int = 1) -> FaultyLine:
    numbers = itertools.count(1)
    line = Faults(faults, seed).line(
        number, "some-model", lambda prefix: f"{prefix}_new{next(numbers)}"
    )
    assert line is not None
    line.start(100.0)
    return line


def passed(line: FaultyLine, *frames: str, step: float = 0.1) -> list[Outcome]:
    """The output for these events, after enough time."""
    out: list[Outcome] = []
    at = 100.0
    for each in frames:
        line.put(each, at)
        out += line.take(at)
        at += step
    while (due := line.deadline) is not None:
        out += line.take(due)
    return out


def types(outcomes: list[Outcome]) -> list[Any]:
    return [
        json.loads(each)["type"] if isinstance(each, str) else each for each in outcomes
    ]


# -- one fault at a time


def test_drop() -> None:
    line = line_of(Fault(does=Drop(), events=(A,), nth=frozenset({2, 3})))
    given = [frame(A, n) for n in range(4)]
    assert passed(line, *given) == [given[0], given[3]]


def test_duplicate_keeps_the_id() -> None:
    """Like a retransmission: the same event, not a new one."""
    given = frame(A)
    line = line_of(Fault(does=Duplicate(2), events=(A,)))
    assert passed(line, given) == [given] * 3


def test_what_follows_a_delayed_event_waits_for_it() -> None:
    line = line_of(Fault(does=Delay(1, 1), events=(A,)))
    line.put(frame(A), 100.0)
    line.put(frame(B), 100.2)
    assert line.take(100.9) == []
    assert line.deadline == 101.0
    assert types(line.take(101.0)) == [A, B]
    line.put(frame(B), 101.2)
    assert types(line.take(101.2)) == [B]
    assert line.deadline is None


def test_a_late_event_is_overtaken() -> None:
    line = line_of(Fault(does=Late(1, 1), events=(A,)))
    line.put(frame(A), 100.0)
    line.put(frame(B), 100.2)
    assert types(line.take(100.2)) == [B]
    assert types(line.take(101.0)) == [A]


def test_reorder_puts_it_behind_so_many() -> None:
    line = line_of(Fault(does=Reorder(2), events=(A,)))
    assert types(passed(line, *map(frame, (A, B, C, B)))) == [B, C, A, B]


def test_what_nobody_overtakes_comes_after_a_second() -> None:
    line = line_of(Fault(does=Reorder(2), events=(A,)))
    line.put(frame(A), 100.0)
    line.put(frame(B), 100.1)
    assert types(line.take(100.1)) == [B]
    assert line.deadline == 101.0
    assert types(line.take(101.0)) == [A]


def test_a_transcription_that_fails() -> None:
    """`failed` replaces `completed`, for the same item."""
    done = {"type": TRANSCRIBED, "event_id": "e", "item_id": "i", "content_index": 0}
    line = line_of(Fault(does=Fail("No.", "busy"), events=(TRANSCRIBED,)))
    [out] = passed(line, json.dumps(done | {"transcript": "hello"}))
    assert isinstance(out, str)
    error = json.loads(out)
    assert error["type"] == TRANSCRIBED.replace("completed", "failed")
    assert (error["item_id"], error["content_index"]) == ("i", 0)
    assert error["error"]["message"] == "No."
    assert error["error"]["code"] == "busy"
    assert error["event_id"] != "e"


def test_an_orphan_is_a_stray_copy() -> None:
    """Its response and item were never announced."""
    line = line_of(Fault(does=Orphan(), events=("*",)))
    out = passed(line, frame(DELTA), frame(A))
    assert types(out) == [DELTA, DELTA, A]
    given, stray = json.loads(str(out[0])), json.loads(str(out[1]))
    changed = {key for key in given if given[key] != stray[key]}
    assert changed == {"event_id", "response_id", "item_id"}


def test_a_burst_of_errors_comes_behind() -> None:
    line = line_of(Fault(does=Errors(3, code="odd"), events=(A,)))
    out = passed(line, frame(A))
    assert types(out) == [A, "error", "error", "error"]
    burst = [json.loads(str(each)) for each in out[1:]]
    assert {each["error"]["code"] for each in burst} == {"odd"}
    assert len({each["event_id"] for each in burst}) == 3


def test_expiry_is_an_error_and_a_close() -> None:
    line = line_of(Fault(does=Expire(), events=(A,)))
    kind, error, close = passed(line, frame(A), frame(B))
    assert types([kind]) == [A]
    assert json.loads(str(error))["error"]["code"] == "session_expired"
    assert isinstance(close, CloseConnection)
    assert close.code == 1001


def test_nothing_comes_after_a_cut() -> None:
    late = Fault(does=Late(5, 5), events=(C,))
    line = line_of(late, Fault(does=Cut(1011), events=(A,)))
    out = passed(line, *map(frame, (C, A, B)))
    assert types(out[:1]) == [A]
    assert [each.code for each in out[1:] if isinstance(each, CloseConnection)] == [
        1011
    ]
    assert len(out) == 2


def test_muted_audio_goes_missing_and_events_stay() -> None:
    line = line_of(Fault(does=Mute(), events=(A,)))
    out = passed(line, *map(frame, (A, AUDIO, B)))
    assert types(out) == [A, Mute(), B]


def test_at_a_time_it_happens_by_itself() -> None:
    line = line_of(Fault(does=Cut(), at=2.5))
    assert line.deadline == 102.5
    assert line.take(102.4) == []
    [cut] = line.take(102.5)
    assert isinstance(cut, CloseConnection)
    assert cut.code == 1006


@pytest.mark.parametrize("does", [Cut(1011), Expire(), Errors(1), Mute()])
def test_at_a_time_it_waits_behind_no_delay(does: TimedDeed) -> None:
    """Delayed events follow it if the connection remains open."""
    delay = Fault(does=Delay(5, 5), events=(A,))
    line = line_of(delay, Fault(does=does, at=1))
    line.put(frame(A), 100.0)
    assert line.deadline == 101
    assert len(line.take(101.0)) == (2 if does == Expire() else 1)
    late = line.take(105.0)
    assert types(late) == ([] if isinstance(does, Cut | Expire) else [A])


# -- which


def test_the_first_that_strikes_has_the_event() -> None:
    """The other faults count the event too: a dropped one is in `nth`."""
    line = line_of(
        Fault(does=Drop(), events=(A,), nth=frozenset({1})),
        Fault(does=Duplicate(), events=(A,), nth=frozenset({2})),
    )
    given = [frame(A, n) for n in range(3)]
    assert passed(line, *given) == [given[1], given[1], given[2]]


def test_a_session_by_its_number_or_its_model() -> None:
    def new_id(prefix: str) -> str:
        return prefix

    second = Faults((Fault(does=Drop(), events=("*",), sessions=frozenset({2})),))
    assert second.line(1, "any", new_id) is None
    assert second.line(2, "any", new_id) is not None
    flaky = Faults((Fault(does=Drop(), events=("*",), model="*-flaky"),))
    assert flaky.line(1, "some-model", new_id) is None
    assert flaky.line(1, None, new_id) is None
    assert flaky.line(9, "some-flaky", new_id) is not None


def test_every_session_has_the_same_dice() -> None:
    """They depend on the seed, not on earlier sessions."""
    fault = Fault(does=Drop(), events=("*",), chance=0.5)
    given = [frame(A, n) for n in range(200)]
    one = passed(line_of(fault, seed=1, number=1), *given)
    again = passed(line_of(fault, seed=1, number=5), *given)
    other = passed(line_of(fault, seed=2, number=1), *given)
    assert one == again != other
    assert 60 < len(one) < 140


def test_a_fault_more_leaves_the_others_dice_alone() -> None:
    fault = Fault(does=Drop(), events=(A,), chance=0.5)
    given = [frame(A, n) for n in range(50)]
    behind = Fault(does=Duplicate(), events=(B,), chance=0.5)
    assert passed(line_of(fault), *given) == passed(line_of(fault, behind), *given)


# -- a whole conversation


EVENTS = st.sampled_from(
    [
        "*",
        "*.delta",
        "*.done",
        "conversation.item.*",
        "response.created",
        "response.done",
        TRANSCRIBED,
    ]
)
SPANS = st.tuples(st.floats(0, 2), st.floats(0, 2)).map(sorted)
DEEDS: st.SearchStrategy[Deed | TimedDeed] = st.one_of(
    st.sampled_from([Drop(), Orphan(), Mute(), Expire(), Cut(), Cut(1011)]),
    SPANS.map(lambda span: Delay(*span)),
    SPANS.map(lambda span: Late(*span)),
    st.integers(1, 3).map(Duplicate),
    st.integers(1, 5).map(Reorder),
    st.integers(1, 5).map(Errors),
)
FAULTS = st.builds(
    Fault,
    does=DEEDS,
    events=st.tuples(EVENTS),
    nth=st.frozensets(st.integers(1, 20), max_size=3),
    chance=st.sampled_from([0.1, 0.5, 1.0]),
) | st.just(Fault(does=Fail("No."), events=(TRANSCRIBED,)))


def conversation(make: Make) -> list[str]:
    """A spoken turn, a function call and a typed turn, from the engine."""
    desk = make()
    desk.turn()
    desk.run(3)
    desk.thoughts = (Say("One moment. "), Call("look", '{"where": "there"}'))
    desk.send("response.create", response={"output_modalities": ["text"]})
    desk.run(3)
    desk.thoughts = ()
    part = {"type": "input_text", "text": "and now?"}
    item = {"type": "message", "role": "user", "content": [part]}
    desk.send("conversation.item.create", item=item)
    desk.send("response.create")
    desk.run(3)
    return [json.dumps(event) for event in desk.events]


def texts_of(frames: list[str]) -> dict[str, str]:
    """The text of each item: the final text, or the deltas if there is none."""
    final: dict[str, str] = {}
    parts: dict[str, dict[str, str]] = {}
    for event in map(json.loads, frames):
        kind, item = event["type"], event.get("item_id", "")
        if kind.endswith((".completed", "_text.done", "_transcript.done")):
            final[item] = event.get("transcript", event.get("text"))
        elif kind.endswith("transcription.failed"):
            final[item] = "".join(parts.get(item, {}).values())
        elif kind.endswith(("_text.delta", "transcript.delta", "transcription.delta")):
            parts.setdefault(item, {}).setdefault(event["event_id"], event["delta"])
    joined = {item: "".join(seen.values()) for item, seen in parts.items()}
    return {item: text.strip() for item, text in (joined | final).items()}


def whole_items(frames: list[str]) -> set[str]:
    """The assistant's items that also arrived complete, with their text."""
    events = list(map(json.loads, frames))
    found = [event.get("item") for event in events]
    for event in events:
        found += event.get("response", {}).get("output", [])
    return {
        item["id"]
        for item in found
        if item and item.get("content") and item["role"] == "assistant"
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(faults=st.lists(FAULTS, min_size=1, max_size=4), seed=st.integers(0, 99))
def test_the_core_takes_any_faulty_stream(
    bench: Make, faults: list[Fault], seed: int
) -> None:
    """It never raises, and keeps every text that arrived."""
    out = passed(line_of(*faults, seed=seed), *conversation(bench), step=0.02)
    frames = [each for each in out if isinstance(each, str)]
    store = Store()
    for number, each in enumerate(frames):
        store.feed("s", each, at=float(number))
    if not frames:
        return
    session = store.session("s")
    assert session is not None
    kept = {line.item_id: line.text for line in select_transcripts(session)}
    arrived = texts_of(frames)
    whole = whole_items(frames)
    assert {item: kept.get(item) for item in arrived if item not in whole} == {
        item: text for item, text in arrived.items() if item not in whole
    }
    assert all(kept.get(item) for item in whole & set(arrived))


def test_a_stream_without_a_stroke_is_the_same(bench: Make) -> None:
    given = conversation(bench)
    never = Fault(does=Drop(), events=("*",), chance=0.0)
    line = line_of(never)
    for number, each in enumerate(given):
        at = 100 + number * 0.02
        line.put(each, at)
        assert line.take(at) == [each]
        assert line.deadline is None
    assert Faults().line(1, "any", lambda prefix: prefix) is None


# -- in a session


async def types_in_memory(faults: Faults) -> list[str]:
    """The event types of a typed turn, until the connection ends."""
    options = Options(pace=float("inf"))
    transport = in_process(parts=Parts(), options=options, faults=faults)
    session = {"type": "realtime", "output_modalities": ["text"]}
    await transport.connect(
        Target(
            base_url="http://127.0.0.1/v1",
            credentials=Credentials("made-up"),
            session=session,
        )
    )
    await transport.send('{"type": "response.create"}')
    found: list[str] = []
    with contextlib.suppress(ConnectionLost):
        async for each in transport.frames():
            found.append(json.loads(each)["type"])
    await transport.close()
    return found


async def test_the_same_seed_gives_the_same_stream() -> None:
    """In a real session, whose ids and times differ each time."""
    deltas = ("*.delta",)
    faults = (
        Fault(does=Drop(), events=deltas, chance=0.3),
        Fault(does=Duplicate(), events=deltas, chance=0.3),
        Fault(does=Reorder(3), events=deltas, chance=0.3),
        Fault(does=Cut(), events=("rate_limits.updated",)),
    )
    one = await types_in_memory(Faults(faults, seed=3))
    assert one == await types_in_memory(Faults(faults, seed=3))
    plain = await types_in_memory(Faults(faults[3:]))
    assert one != plain
    assert one != await types_in_memory(Faults(faults, seed=4))


@pytest.mark.realtime
async def test_the_media_stops_and_the_channel_stays() -> None:
    """Over WebRTC no more packets arrive, not even silence."""
    mute = Fault(
        does=Mute(), events=("input_audio_buffer.cleared",), nth=frozenset({1})
    )
    calls = Calls(
        SessionFactory(Parts(), Options(), faults=Faults((mute,))), loopback=True
    )
    types: list[str] = []
    packets: list[bytes] = []
    peer = Peer(
        on_message=lambda text: types.append(json.loads(text)["type"]),
        on_packet=packets.append,
        next_audio=None,
        on_closed=lambda _: None,
        loopback=True,
    )
    _, answer = await calls.answer(await peer.offer(), {})
    await peer.accept(answer)
    async with asyncio.timeout(10):
        for times in (1, 2):
            await peer.wait_open()
            while not packets:
                await asyncio.sleep(0.02)
            peer.send('{"type": "input_audio_buffer.clear"}')
            while types.count("input_audio_buffer.cleared") < times:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
            if times == 1:
                before = len(packets)
                await asyncio.sleep(0.3)
    assert len(packets) == before > 0
    await peer.close()
    await calls.close()
