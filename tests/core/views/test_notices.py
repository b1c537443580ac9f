"""Notices, derived from two states and a record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import (
    Record,
    SessionStatus,
    State,
    fold,
    reduce,
    select_responses,
    select_transcripts,
)
from duologue.core.testing import Script
from duologue.core.testing import to_records as in_epochs
from duologue.core.testing.stream import Stream
from duologue.core.views.notices import NAMES, Notice, notices

from ..strategies import enough, hostile, legal, scripts
from ..talk import POLICY, Frame, Service, audio, to_record, to_records


def epochs(frames: Iterable[Frame]) -> list[Record]:
    """The records of these frames; a second ``connecting`` begins the next epoch."""
    return list(in_epochs(frames))


def notices_of(frames: Iterable[Frame]) -> list[Notice]:
    """All notices of these frames."""
    return notices_of_stream(epochs(frames))


def notices_of_stream(stream: Iterable[Record]) -> list[Notice]:
    """All notices of a stream."""
    state = State()
    found: list[Notice] = []
    for record in stream:
        after = reduce(state, record)
        if record.session in after.sessions:
            before = state.sessions.get(record.session)
            found += notices(before, record, after.sessions[record.session])
        state = after
    return found


@given(legal(2))
def test_the_final_lines_are_those_of_the_transcript(stream: Stream) -> None:
    """Each final line has one notice with its final text."""
    session = fold(stream).sessions["s"]
    final = [n.args[0] for n in notices_of_stream(stream) if n.name == "transcript"]
    words = {line.item_id: line.text for line in final}
    shown = [line for line in select_transcripts(session) if line.final]

    assert len(words) == len(final)
    assert [words.get(line.item_id) for line in shown] == [line.text for line in shown]


def final_lines(frames: list[Frame]) -> dict[str, str]:
    """The texts of the final lines, by item."""
    told_final = [n.args[0] for n in notices_of(frames) if n.name == "transcript"]
    words = {line.item_id: line.text for line in told_final}
    assert len(words) == len(told_final)
    return words


ENDS = [
    *({"type": "duologue.disconnected", **how} for how in ({}, {"expected": True})),
    *({"type": "duologue.closed"}, {"type": "session.closed", "event_id": "end"}),
]


@enough
@given(scripts(2), st.integers(0, 999), st.sampled_from(ENDS))
def test_a_connection_that_ends_anywhere(played: Script, at: int, end: Frame) -> None:
    """The end of a connection gives one notice for each line and response."""
    cut = list(played.frames)[: at % (len(played.frames) + 1)]
    later = Service("later_")
    later.note("duologue.connecting")
    later.spoken("hello")
    later.reply("good", " day")
    for frames in ([*cut, end], [*cut, end, *later.frames]):
        session = fold(epochs(frames)).sessions["s"]
        lines = [line for line in select_transcripts(session) if line.final]
        words = final_lines(frames)
        assert [words.get(line.item_id) for line in lines] == [it.text for it in lines]
        over = [n.args[0].id for n in notices_of(frames) if n.name == "response_done"]
        assert sorted(over) == sorted(
            response.id
            for response in select_responses(session)
            if response.status != "in_progress"
        )


def test_a_reply_ends_with_its_connection() -> None:
    """The end of a connection ends the reply with the text so far."""
    service = Service()
    user = service.start_speech()
    service.send("input_audio_buffer.cleared")
    response = service.begin()
    item = service.say(response, ["good"])["item_id"]
    service.note("duologue.disconnected")
    found = notices_of(service.frames)

    assert [(user, ""), (item, "good")] == [
        (n.args[0].item_id, n.args[0].text) for n in found if n.name == "transcript"
    ]
    (done,) = (n.args[0] for n in found if n.name == "response_done")
    assert (done.id, done.status) == (response, "incomplete")


def test_the_end_of_a_connection_visits_its_own_items() -> None:
    """Items of earlier responses are not visited."""
    looks: set[int] = set()
    for count in (4, 100):
        service = Service()
        service.note("duologue.connecting")
        for _ in range(count):
            service.reply("good", " day")
        service.note("duologue.disconnected", retrying=True)
        service.note("duologue.connecting")
        service.say(service.begin(), ["good"])
        service.note("duologue.disconnected")
        *records, last = epochs(service.frames)
        state = fold(records)
        before, after = state.sessions["s"], reduce(state, last).sessions["s"]
        looked = Counted(after.items)
        found = notices(before, last, replace(after, items=looked))
        assert "transcript" in [notice.name for notice in found]
        looks.add(looked.looks)
    assert len(looks) == 1


def test_a_reply_of_a_connection_without_an_end() -> None:
    """An open reply ends with the next connection if its own had no end."""
    service = Service()
    service.note("duologue.connecting")
    response = service.begin()
    item = service.say(response, ["good"])["item_id"]
    service.note("duologue.connecting")
    service.note("input_audio_buffer.cleared")
    service.typed("hello")
    service.note("duologue.closed")
    found = notices_of(service.frames)

    assert item in [n.args[0].item_id for n in found if n.name == "transcript"]
    assert [n.args[0].id for n in found if n.name == "response_done"] == [response]


class Counted:
    """A map that counts its lookups."""

    def __init__(self, of: Any) -> None:
        self.of = of
        self.looks = 0

    def get(self, key: str) -> Any:
        self.looks += 1
        return self.of.get(key)

    def __getitem__(self, key: str) -> Any:
        self.looks += 1
        return self.of[key]


@given(hostile())
def test_no_stream_raises(stream: Stream) -> None:
    """Every notice has a name of the table."""
    assert {n.name for n in notices_of_stream(stream)} <= set(NAMES)


def test_the_life_of_a_connection() -> None:
    """A connection has notices for its start, its errors and its end."""
    frames: list[Frame] = [
        {"type": "duologue.connecting"},
        {"type": "duologue.connected"},
        {"type": "error", "error": {"message": "m"}},
        {"type": "duologue.disconnected", "reason": "gone"},
    ]
    state = fold(to_records(frames)).sessions["s"]

    assert [
        Notice("connected"),
        Notice("status", (SessionStatus.OPEN,)),
        Notice("error", (state.problems[0],)),
        Notice("disconnected", ("gone",)),
        Notice("status", (SessionStatus.FAILED,)),
        Notice("error", (state.problems[1],)),
    ] == notices_of(frames)


def test_speech_and_playing() -> None:
    """Speech and playback have notices, and so does a cleared buffer."""
    service = Service()
    user = service.start_speech()
    service.end_speech(user)
    response = service.begin()
    service.send("output_audio_buffer.started", response_id=response)
    service.send("output_audio_buffer.cleared", response_id=response)

    assert [
        Notice("speech_started", (user,)),
        Notice("speech_stopped", (user,)),
        Notice("speaking_changed", (True,)),
        Notice("speaking_changed", (False,)),
        Notice("playback_cleared", (response,)),
    ] == notices_of(service.frames)


def test_words_as_they_come() -> None:
    """Each delta, the final line and the end of the response have a notice."""
    service = Service()
    service.reply("good", " day")
    found = notices_of(service.frames)

    assert [
        (n.name, [*n.args[1:], n.args[0].text][0])
        for n in found
        if n.name.startswith("transcript")
    ] == [
        ("transcript_delta", "good"),
        ("transcript_delta", " day"),
        ("transcript", "good day"),
    ]
    assert found[-1].name == "response_done"


@pytest.mark.parametrize("again", [0, -1])
def test_a_duplicate_has_no_notice(again: int) -> None:
    """A duplicate has no notice."""
    service = Service()
    service.spoken("hello")
    service.reply("good", " day")
    state = fold(to_records(service.frames))
    record = to_record(service.frames[again])
    after = reduce(state, record)

    assert notices(state.sessions["s"], record, after.sessions["s"]) == ()


def test_a_cancelled_response_ends_its_lines() -> None:
    """A cancelled response ends its lines even if it lists no items."""
    service = Service()
    response = service.begin()
    service.say(response, ["good"])
    service.end(response, [], "cancelled")
    service.end("other", [], "cancelled")
    again = {**service.frames[-1], "event_id": "again"}

    assert [notice.name for notice in notices_of([*service.frames, again])] == [
        "transcript_delta",
        "transcript",
        "response_done",
        "response_done",
    ]


def test_a_final_line_has_one_notice() -> None:
    """A line that is already final has no second notice."""
    service = Service()
    response = service.begin()
    first = service.finish(service.say(response, ["good"]))
    second = service.say(response, ["day"])["item_id"]
    service.end(response, [first], "cancelled")
    lines = [n.args[0] for n in notices_of(service.frames) if n.name == "transcript"]

    assert [first["id"], second] == [line.item_id for line in lines]


def test_items_that_come_whole() -> None:
    """A complete item has one notice; an item without an id has none."""
    service = Service()
    service.typed("hello")
    nameless: Frame = {"type": "conversation.item.added", "item": {"type": "message"}}

    assert [n.name for n in notices_of([*service.frames, nameless])] == ["transcript"]


def test_other_items_have_no_notice() -> None:
    """Calls and changes of final lines have no transcript notice."""
    service = Service()
    response = service.begin()
    call = {"id": "c", "type": "function_call", "name": "f"}
    service.send("conversation.item.added", item=call, previous_item_id=None)
    service.send("output_audio_buffer.started", response_id=response)
    service.say(response, ["good"], spoken=False)
    service.send("output_audio_buffer.cleared", response_id=response)

    assert [
        *("speaking_changed", "transcript_delta"),
        *("speaking_changed", "playback_cleared"),
    ] == [notice.name for notice in notices_of(service.frames)]


# Function calls.


def called(
    status: str = "completed", *, id: str = "c", type: str = "function_call"
) -> Frame:
    fields = {"call_id": "call", "name": "f", "arguments": "{}", "server_label": "l"}
    return {"id": id, "type": type, "status": status, **fields}


def calls(frames: list[Any]) -> list[str]:
    return [
        str(n.args[0].arguments) for n in notices_of(frames) if n.name == "tool_call"
    ]


def test_a_call_has_one_notice() -> None:
    """A call has one notice, at the first event that completes its item."""
    service = Service()
    response = service.begin()
    at: Frame = {"response_id": response, "output_index": 0}
    begun = {**called("in_progress"), "arguments": ""}
    service.send("response.output_item.added", item=begun, **at)
    service.send("conversation.item.added", item=begun, previous_item_id=None)
    arguments: Frame = {**at, "item_id": "c", "call_id": "call"}
    name = "response.function_call_arguments"
    service.send(f"{name}.delta", delta="{}", **arguments)
    service.send(f"{name}.done", arguments="{}", **arguments)
    assert calls(service.frames) == []
    service.send("conversation.item.done", item=called(), previous_item_id=None)
    assert calls(service.frames) == ["{}"]
    service.send("response.output_item.done", item=called(), **at)
    service.end(response, [called()])

    assert calls(service.frames) == ["{}"]


def test_calls_of_a_response_that_shows_them_only_at_its_end() -> None:
    """Calls that only ``response.done`` holds have one notice each."""
    service = Service()
    response = service.begin()
    second = {**called(id="d"), "call_id": "other", "arguments": "[]"}
    service.end(response, [called(), second])

    assert calls(service.frames) == ["{}", "[]"]


@pytest.mark.parametrize(
    "item",
    [called("incomplete"), called(type="mcp_call"), {"id": "x", "type": "new"}],
)
def test_calls_that_are_not_run(item: Frame) -> None:
    """Incomplete calls, and calls that the service runs, have no notice."""
    service = Service()
    service.send("conversation.item.done", item=item, previous_item_id=None)

    assert calls(service.frames) == []


def test_a_call_whose_output_is_there() -> None:
    """A restored call with an output has no notice."""
    service = Service()
    output = {"type": "function_call_output", "id": "o", "call_id": "call"}
    output["output"] = "1"
    for item in (output, called()):
        service.send("conversation.item.done", item=item, previous_item_id=None)

    assert calls(service.frames) == []


# Problems.


def test_a_problem_has_one_notice() -> None:
    """Each problem has one notice, even above the limit of a hundred."""
    errors: list[Any] = [
        {"type": "error", "error": {"message": str(n)}} for n in range(130)
    ]
    service = Service()
    service.reply("hello")
    found = notices_of([*errors, *service.frames])

    assert [str(n) for n in range(130)] == [
        notice.args[0].message for notice in found if notice.name == "error"
    ]


def test_disconnected_once_per_connection() -> None:
    """The end of a connection has one notice, whatever follows."""
    frames: list[Frame] = [
        {"type": "duologue.connected"},
        {"type": "duologue.disconnected", "expected": True},
        {"type": "duologue.disconnected"},
        {"type": "duologue.closed"},
    ]

    assert [notice.name for notice in notices_of(frames)] == [
        "connected",
        "status",
        "disconnected",
        "status",
    ]


def test_audio_of_a_response_that_was_interrupted_before_it() -> None:
    """Its first delta clears the playback, once; another response is played."""
    delta: Frame = {"type": "response.output_audio.delta", "delta": audio(480)}
    frames: list[Frame] = [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "duologue.interrupted"},
        *({**delta, "item_id": "a", "response_id": "r"},) * 2,
        {"type": "response.done", "response": {"id": "r", "status": "cancelled"}},
        {"type": "response.created", "response": {"id": "s"}},
        {**delta, "item_id": "b", "response_id": "s"},
    ]
    cleared = [each for each in notices_of(frames) if each.name == "playback_cleared"]

    assert cleared == [Notice("playback_cleared", ("r",))]


def test_a_connection_that_was_made_again() -> None:
    """The notice has the reconnection with its reason."""
    facts: list[tuple[Frame, int]] = [
        ({"type": "duologue.connecting", "policy": POLICY}, 0),
        ({"type": "duologue.connected"}, 0),
        ({"type": "duologue.disconnected", "lost": True, "can_repeat": True}, 0),
        ({"type": "duologue.connecting", "reason": "gone"}, 1),
        ({"type": "duologue.connected"}, 1),
    ]
    stream = [to_record(frame, epoch=epoch) for frame, epoch in facts]
    found = [n.args for n in notices_of_stream(stream) if n.name == "reconnected"]

    assert found == [fold(stream).sessions["s"].connection.reconnections]
    assert [each.epoch for (each,) in found] == [1]
