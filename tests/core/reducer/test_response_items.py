"""What a lost connection takes with it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from duologue.core import Record, fold, select_transcripts
from duologue.core.reducer.response_items import with_turn
from duologue.core.state.model import Part
from duologue.core.state.rope import Rope

from ..talk import Service, audio, changed, message, to_record, to_records

LOST = {"type": "duologue.disconnected", "reason": "gone"}


def answering() -> tuple[Service, str]:
    """A service in the middle of an answer."""
    service = Service()
    service.created()
    said = service.say(service.begin(), ["good", " da"])
    return service, said["item_id"]


@pytest.mark.parametrize(
    "fact", [LOST, {**LOST, "expected": True}, {"type": "duologue.closed"}]
)
def test_the_response_in_work_is_lost(fact: Any) -> None:
    """It is over, its item keeps the words that came, and nothing is active."""
    service, item_id = answering()
    session = fold(to_records([*service.frames, fact])).sessions["s"]
    (response,) = session.responses.by_id.values()

    assert (response.status, response.reason) == ("incomplete", "disconnected")
    assert session.responses.active is None
    assert session.items[item_id].status == "incomplete"
    assert [(t.text, t.final) for t in select_transcripts(session)] == [
        ("good da", True)
    ]


def test_what_comes_after_it_is_lost_heals_nothing() -> None:
    """A response ends once."""
    service, _ = answering()
    state = fold(to_records([*service.frames, LOST]))
    (response_id,) = state.sessions["s"].responses.by_id
    service.frames.clear()
    service.end(response_id)
    again = fold(to_records([*service.frames, LOST]), state)

    assert changed(state.sessions["s"], again.sessions["s"]) == []


def test_a_connection_that_handed_over() -> None:
    """Its end takes only what it brought itself."""
    service, item_id = answering()
    records = to_records(service.frames)
    newer = [
        to_record({"type": "duologue.connecting"}, epoch=1),
        to_record({"type": "duologue.connected"}, epoch=1),
    ]
    service.frames.clear()
    theirs = service.begin()
    service.say(theirs, ["hello"])
    records += [*newer, *(to_record(f, epoch=1) for f in service.frames)]
    records.append(to_record(LOST))
    session = fold(records).sessions["s"]

    assert session.connection.status == "open"
    assert session.responses.active == theirs
    assert session.items[item_id].status == "incomplete"
    assert [r.status for r in session.responses.by_id.values()].count(
        "in_progress"
    ) == 1


def test_an_item_before_its_response() -> None:
    """Its response is known from then on, with its epoch."""
    item = message("a", "assistant", [{"type": "output_text", "text": "x"}])
    frame = {"type": "response.output_item.done", "response_id": "r", "item": item}
    records: list[Record] = [
        to_record({"type": "duologue.connected"}, epoch=2),
        to_record(frame, epoch=2),
        to_record(frame, epoch=2),
    ]
    session = fold(records).sessions["s"]
    response = session.responses.by_id["r"]

    assert (response.item_ids, response.epoch, response.announced) == (("a",), 2, False)
    assert (Part("output_text", Rope("x"), True),) == session.items["a"].parts


CREATED: Any = {"type": "response.created", "response": {"id": "r"}}
DELTA: Any = {
    "type": "response.output_text.delta",
    "response_id": "r",
    "item_id": "a",
    "delta": "x",
}
SHOWN: Any = message("a", "assistant", [], status="in_progress")
ADDED: Any = {"type": "conversation.item.added", "item": SHOWN}
OUTPUT: Any = {
    "type": "response.output_item.added",
    "response_id": "r",
    "item": SHOWN,
}


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([DELTA], ("r", ["r"])),
        ([CREATED, DELTA], ("r", ["r"])),
        ([{**DELTA, "response_id": ""}], (None, [])),
        ([OUTPUT, DELTA], ("r", ["r"])),
        ([ADDED, OUTPUT], ("r", ["r"])),
        ([ADDED, DELTA], ("r", ["r"])),
    ],
)
def test_an_item_and_its_response(frames: list[Any], expected: Any) -> None:
    """They know each other from the first event that names both as a pair."""
    session = fold(to_records(frames)).sessions["s"]
    named = [r.id for r in session.responses.by_id.values() if r.item_ids == ("a",)]

    assert (session.items["a"].placement.response_id, named) == expected


@pytest.mark.parametrize(
    ("status", "ended"), [("completed", "completed"), ("cancelled", "incomplete")]
)
def test_no_item_of_a_response_that_is_over_stays_open(status: str, ended: str) -> None:
    """Those that it forgot end as it did, those that had ended stay as they were."""
    service = Service()
    response = service.begin()
    whole = service.say(response, ["one"], index=0)
    service.finish(whole)
    open_ = service.say(response, ["two"], index=1)
    service.end(response, [], status)
    items = fold(to_records(service.frames)).sessions["s"].items

    assert items[whole["item_id"]].status == "completed"
    assert items[open_["item_id"]].status == ended


DONE: Any = {"type": "response.done", "response": {"id": "r", "status": "completed"}}


@pytest.mark.parametrize(
    "frames",
    [
        # Words behind the end of their item, in its part or in another one.
        [{**OUTPUT, "type": "response.output_item.done"}, DELTA],
        [
            {**OUTPUT, "type": "response.output_item.done"},
            {**DELTA, "content_index": 1},
        ],
        # Nobody but the deltas says that it belongs to the response.
        [ADDED, DELTA],
        [ADDED, {**DELTA, "delta": ""}],
    ],
)
def test_no_part_of_a_response_that_is_over_stays_open(frames: list[Any]) -> None:
    """So that its line is final, whatever came when."""
    session = fold(to_records([CREATED, *frames, DONE])).sessions["s"]
    item = session.items["a"]

    assert (item.status, all(part.final for part in item.parts)) == ("completed", True)


@pytest.mark.parametrize(
    "item",
    [
        {**SHOWN, "role": None},
        {key: value for key, value in SHOWN.items() if key != "type"},
        {"id": "a", "type": "odd"},
    ],
)
@pytest.mark.parametrize("kind", ["response.output_item.added", ADDED["type"]])
def test_a_reply_that_does_not_say_whose_it_is(item: Any, kind: str) -> None:
    """What a response puts out is the assistant's: its words are in the transcript."""
    shown = {"type": kind, "response_id": "r", "item": item}
    session = fold(to_records([CREATED, shown, DELTA])).sessions["s"]

    assert [(line.role, line.text) for line in select_transcripts(session)] == [
        ("assistant", "x")
    ]
    assert session.items["a"].type == (item.get("type") or "message")


def test_a_deleted_item_gets_no_role() -> None:
    """A tombstone stays as it is."""
    shown = {**ADDED, "item": {**SHOWN, "role": None}}
    deleted = {"type": "conversation.item.deleted", "item_id": "a"}
    session = fold(to_records([shown, deleted, DELTA, DONE])).sessions["s"]

    assert (session.items["a"].status, session.items["a"].role) == ("deleted", None)


SPOKEN: Any = {
    "type": "response.output_audio.delta",
    "response_id": "r",
    "item_id": "a",
    "delta": audio(48_000),
}
PART: Any = {
    "type": "response.content_part.added",
    "response_id": "r",
    "item_id": "a",
    "part": {"type": "audio", "transcript": "one two three four"},
}
CALL: Any = {"type": "function_call", "id": "c", "name": "f", "call_id": "c"}


@pytest.mark.parametrize(
    ("frames", "lost_at", "expected"),
    [
        # What the player said, or else what the clock says.
        (
            [PART, SPOKEN, {"type": "duologue.played", "item_id": "a", "ms": 300}],
            9.0,
            300,
        ),
        ([PART, SPOKEN], 1.5, 500),
        # Words ran ahead of the audio: nothing of them was heard.
        ([PART], 9.0, 0),
        # Nothing is known without times, or where they run backwards.
        ([PART, SPOKEN], None, None),
        ([PART, SPOKEN], 0.5, None),
        # Text is read, not heard, and a call is neither.
        ([OUTPUT, DELTA], 9.0, None),
        ([{**OUTPUT, "item": CALL}], 9.0, None),
    ],
)
def test_what_was_heard_of_an_answer_that_is_lost(
    frames: list[Any], lost_at: float | None, expected: int | None
) -> None:
    """An answer that a lost connection cuts off is marked with where it was."""
    records = [to_record(frame, at=1.0) for frame in (CREATED, *frames)]
    session = fold([*records, to_record(LOST, at=lost_at)]).sessions["s"]
    cut = [item.truncation for item in session.items.values()]

    assert [found and found.audio_end_ms for found in cut] == [expected]


def test_an_answer_of_which_nothing_stands() -> None:
    """Where its item was deleted there is nothing to mark."""
    deleted = {"type": "conversation.item.deleted", "item_id": "a"}
    session = fold(to_records([CREATED, PART, SPOKEN, deleted, LOST])).sessions["s"]

    assert session.items["a"].truncation is None
    assert session.responses.by_id["r"].status == "incomplete"


def test_times_that_are_known() -> None:
    """A response that has them is left as it is."""
    session = fold(to_records([CREATED])).sessions["s"]
    response = session.responses.by_id["r"]

    assert with_turn(session, response, replace(response.turn)) is session
    later = replace(response.turn, first_text_at=9.0)
    after = with_turn(session, response, later)
    assert after.responses.by_id["r"] == replace(response, turn=later)
