"""The output items of a response."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Record, fold, select_transcripts
from duologue.core.state.model import Part
from duologue.core.state.rope import Rope

from ..talk import message, to_record, to_records


def test_an_item_before_its_response() -> None:
    """An output item creates its unannounced response, with the item's epoch."""
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
        ([{**DELTA, "response_id": ""}, DELTA], ("r", ["r"])),
        ([OUTPUT, DELTA], ("r", ["r"])),
        ([ADDED, OUTPUT], ("r", ["r"])),
        ([ADDED, DELTA], ("r", ["r"])),
    ],
)
def test_an_item_and_its_response(frames: list[Any], expected: Any) -> None:
    """Item and response are linked by the first event that names both."""
    session = fold(to_records(frames)).sessions["s"]
    named = [r.id for r in session.responses.by_id.values() if r.item_ids == ("a",)]

    assert (session.items["a"].placement.response_id, named) == expected


DONE: Any = {"type": "response.done", "response": {"id": "r", "status": "completed"}}


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
    """Output of a response without a role belongs to the assistant."""
    shown = {"type": kind, "response_id": "r", "item": item}
    session = fold(to_records([CREATED, shown, DELTA])).sessions["s"]

    assert [(line.role, line.text) for line in select_transcripts(session)] == [
        ("assistant", "x")
    ]
    assert session.items["a"].type == (item.get("type") or "message")


def test_a_deleted_item_gets_no_role() -> None:
    """A deleted item stays unchanged."""
    shown = {**ADDED, "item": {**SHOWN, "role": None}}
    deleted = {"type": "conversation.item.deleted", "item_id": "a"}
    session = fold(to_records([shown, deleted, DELTA, DONE])).sessions["s"]

    assert (session.items["a"].status, session.items["a"].role) == ("deleted", None)
