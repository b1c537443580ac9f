"""What an application is told, worked out from two states and a record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from duologue.core import SessionStatus, State, fold, reduce, select_transcripts
from duologue.core.notices import NAMES, Notice, notices

from .strategies import Talk, hostile, talks
from .talk import Frame, Service, to_record, to_records


def told(frames: list[Any]) -> list[Notice]:
    """All notices of a stream."""
    state = State()
    found: list[Notice] = []
    for record in to_records(frames):
        after = reduce(state, record)
        if record.session in after.sessions:
            before = state.sessions.get(record.session)
            found += notices(before, record, after.sessions[record.session])
        state = after
    return found


@given(talks(max_size=3))
def test_the_final_lines_are_those_of_the_transcript(talk: Talk) -> None:
    """Each is told once, with the words that it keeps."""
    session = fold(to_records(talk.frames)).sessions["s"]
    final = [n.args[0] for n in told([*talk.frames]) if n.name == "transcript"]

    assert {t.item_id: t.text for t in select_transcripts(session)} == {
        t.item_id: t.text for t in final if t.item_id in session.conversation.order
    }
    assert len({t.item_id for t in final}) == len(final)


@given(hostile())
def test_no_stream_raises(frames: list[Any]) -> None:
    """And every name is one of the table."""
    assert {n.name for n in told(frames)} <= set(NAMES)


def test_the_life_of_a_connection() -> None:
    """Open, a problem, and the end with its reason."""
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
        Notice("error", (state.ledger.problems[0],)),
        Notice("disconnected", ("gone",)),
        Notice("status", (SessionStatus.FAILED,)),
        Notice("error", (state.ledger.problems[1],)),
    ] == told(frames)


def test_speech_and_playing() -> None:
    """Who speaks, and when what was received must not be heard any more."""
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
    ] == told(service.frames)


def test_words_as_they_come() -> None:
    """Each delta with its line, the final line, the end of the response."""
    service = Service()
    service.reply("good", " day")
    found = told(service.frames)

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
def test_a_duplicate_is_not_told(again: int) -> None:
    """Nothing but the tally changed."""
    service = Service()
    service.spoken("hello")
    service.reply("good", " day")
    state = fold(to_records(service.frames))
    record = to_record(service.frames[again])
    after = reduce(state, record)

    assert notices(state.sessions["s"], record, after.sessions["s"]) == ()


def test_a_cancelled_response_ends_its_lines() -> None:
    """Although it may show none of its items."""
    service = Service()
    response = service.begin()
    service.say(response, ["good"])
    service.end(response, [], "cancelled")
    service.end("other", [], "cancelled")
    again = {**service.frames[-1], "event_id": "again"}

    assert [notice.name for notice in told([*service.frames, again])] == [
        "transcript_delta",
        "transcript",
        "response_done",
        "response_done",
    ]


def test_items_that_come_whole() -> None:
    """A typed line is final when it is there; one without an id is none."""
    service = Service()
    service.typed("hello")
    nameless: Frame = {"type": "conversation.item.added", "item": {"type": "message"}}

    assert [n.name for n in told([*service.frames, nameless])] == ["transcript"]


def test_items_that_are_no_lines_are_not_told() -> None:
    """Calls, and marks on what was said already."""
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
    ] == [notice.name for notice in told(service.frames)]
