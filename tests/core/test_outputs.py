"""What a lost connection takes with it."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record, fold, select_transcripts
from duologue.core.state import Part
from duologue.core.text import Text

from .talk import Service, changed, message, to_record, to_records

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
    assert (Part("output_text", Text("x"), True),) == session.items["a"].parts
