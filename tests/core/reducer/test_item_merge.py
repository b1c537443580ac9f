"""An item as the service shows it, folded into the item that we have."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Item, fold
from duologue.core.reducer.item_merge import finish
from duologue.core.state.model import Call, McpCall, Part
from duologue.core.state.rope import Rope

from ..talk import Frame, changed, fold_frames, message, to_record

SAID = [{"type": "output_text", "text": "hello"}]


def shown(item: Frame, what: str = "done") -> Frame:
    return {"type": f"conversation.item.{what}", "item": item}


def delta(item_id: str = "i") -> Frame:
    at = {"response_id": "r", "item_id": item_id, "content_index": 0}
    return {"type": "response.output_text.delta", **at, "delta": "hel"}


def call(status: str, arguments: str) -> Frame:
    item = {"id": "i", "type": "function_call", "call_id": "c", "name": "f"}
    return {**item, "status": status, "arguments": arguments}


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([shown(message("i", "assistant", []), "added")], "in_progress"),
        ([shown(message("i", "user", [], "in_progress"), "added")], "in_progress"),
        ([shown(message("i", "user", []), "added")], "completed"),
        ([shown(message("i", "assistant", [], "in_progress"))], "completed"),
        ([shown(message("i", "assistant", SAID, "incomplete"))], "incomplete"),
        ([shown(message("i", "user", [], "odd"), "added")], "in_progress"),
        ([shown(call("completed", ""), "added")], "in_progress"),
        ([shown(call("completed", "{}"), "added")], "completed"),
        ([shown(call("in_progress", "{}"))], "in_progress"),
    ],
)
def test_when_an_item_is_over(frames: list[Frame], status: str) -> None:
    """When it is done, or comes complete and nobody is still to say it."""
    assert status == fold_frames(*frames).items["i"].status


def test_incomplete_once_is_incomplete_for_good() -> None:
    """A late echo does not heal it."""
    cut = shown(message("i", "assistant", SAID, "incomplete"))
    echo = shown(message("i", "assistant", SAID))

    assert fold_frames(cut, echo).items["i"].status == "incomplete"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (message("i", "system", []), ("message", "system")),
        ({"id": "i", "type": "function_call"}, ("function_call", "assistant")),
        ({"id": "i", "type": "new"}, ("new", "assistant")),
        (message("i", "", []), ("message", "assistant")),
    ],
)
def test_its_type_and_role(item: Frame, expected: tuple[str, str]) -> None:
    """As the service shows them, whatever a delta had made of it."""
    found = fold_frames(delta(), shown(item, "added")).items["i"]

    assert expected == (found.type, found.role)


@pytest.mark.parametrize("what", ["added", "done", "retrieved"])
@pytest.mark.parametrize(
    "item",
    [
        message("i", "assistant", SAID),
        {"id": "i", "type": "function_call", "call_id": "c", "arguments": "{}"},
        {"id": "i", "type": "function_call_output", "call_id": "c", "output": "5"},
        {"id": "i", "type": "mcp_call", "error": {"type": "t"}},
        {"id": "i", "type": "mcp_list_tools", "tools": [{"name": "f"}]},
        {"id": "i", "type": "mcp_approval_request"},
        {"id": "i", "type": "mcp_approval_response", "approve": True},
        {"id": "i", "type": "new", "status": "completed"},
        {"type": "message"},
    ],
)
def test_the_same_again_changes_nothing(item: Frame, what: str) -> None:
    """Every node but the dedup is the same object."""
    before = fold([to_record(shown(item, what))])
    after = fold([to_record(shown(item, what))], before)

    assert changed(before.sessions["s"], after.sessions["s"]) == []


def test_a_tombstone_stays_one() -> None:
    """Whatever is shown of it."""
    deleted = {"type": "conversation.item.deleted", "item_id": "i"}
    item = {"id": "i", "type": "mcp_call", "error": {"type": "t"}}
    session = fold_frames(deleted, shown(item), shown(message("i", "user", SAID)))

    assert (session.items["i"].status, session.items["i"].parts) == ("deleted", ())
    assert session.problems == ()


def test_an_echo_of_an_epoch_before() -> None:
    """What we put in again changes neither its words nor its end."""
    again = shown(message("i", "user", [{"type": "input_text", "text": "other"}]))
    session = fold(
        [
            to_record(shown(message("i", "user", SAID)), at=1.0),
            to_record({"type": "duologue.connected"}, epoch=1),
            to_record(again, at=9.0, epoch=1),
        ]
    ).sessions["s"]

    assert (Part("output_text", Rope("hello"), True),) == session.items["i"].parts
    assert session.items["i"].placement.finished_at == 1.0


@pytest.mark.parametrize("item_id", [None, ""])
def test_an_item_without_an_id(item_id: Any) -> None:
    """It cannot be kept."""
    assert len(fold_frames(shown(message(item_id, "user", []))).items) == 0


def test_the_phase() -> None:
    """It stays when a later copy leaves it out."""
    item = message("i", "assistant", SAID)
    frames = [shown({**item, "phase": "commentary"}), shown(item)]

    assert fold_frames(*frames, frames[0]).items["i"].placement.phase == "commentary"


def test_why_a_call_failed() -> None:
    """It is told once, and again when the reason is another."""
    call = {"id": "i", "type": "mcp_call", "error": {"type": "t"}}
    other = {**call, "error": {"type": "t", "message": "m"}}
    session = fold_frames(
        shown(call), shown(call), shown(other), shown({**call, "error": None})
    )

    assert [(p.kind, p.message, p.code) for p in session.problems] == [
        ("mcp_failed", "m", "t")
    ]


def test_finishing_closes_what_grows() -> None:
    """The parts of an assistant's message and the arguments of a call."""
    item = Item("i", role="assistant", parts=(Part("output_text", Rope("a")),))
    call = Item("c", "mcp_call", call=Call(running=True, mcp=McpCall("maps")))

    assert (Part("output_text", Rope("a"), True),) == finish(
        item, 5.0, "completed"
    ).parts
    assert Call(final=True, complete=True, mcp=McpCall("maps")) == (
        finish(call, 5.0, "failed").call
    )
    assert finish(finish(call, 5.0, "failed"), 6.0, "failed").placement.finished_at == 5
