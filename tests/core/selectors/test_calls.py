"""Calls that are pending or running, and approvals."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import (
    fold,
    select_call,
    select_pending_approvals,
    select_pending_calls,
    select_running_calls,
)
from duologue.core.selectors.calls import awaits_output, is_call_of

from ..talk import Frame, Service, fold_frames, to_record


def done(type: str, id: str, **fields: Any) -> Frame:
    fields.setdefault("status", "completed")
    item = {"type": type, "id": id, **fields}
    event_id = f"{id} {fields['status']}"
    return {"type": "conversation.item.done", "event_id": event_id, "item": item}


def called(call_id: str, status: str = "completed") -> Frame:
    fields = {"name": "f", "arguments": "{}", "status": status, "call_id": call_id}
    return done("function_call", f"i_{call_id}", **fields)


def gave(call_id: str) -> Frame:
    return done("function_call_output", f"o_{call_id}", call_id=call_id, output="1")


STARTED = {"type": "duologue.tool_started", "call_id": "a"}


DELETED = {"type": "conversation.item.deleted", "item_id": "i_a"}


@pytest.mark.parametrize(
    ("frames", "pending", "running"),
    [
        ([called("b"), called("a")], ["b", "a"], []),
        ([called("a", "incomplete"), called("b")], ["b"], []),
        ([called("a"), called("b"), STARTED], ["b"], ["a"]),
        ([called("a"), STARTED, gave("a")], [], []),
        ([gave("a")], [], []),
        ([called("a"), DELETED], [], []),
        ([called("a"), gave("a"), {**DELETED, "item_id": "o_a"}], ["a"], []),
        ([done("mcp_call", "m", name="f", arguments="{}", server_label="l")], [], []),
        (
            [done("mcp_approval_request", "a", name="f", arguments="{}")],
            [],
            [],
        ),
    ],
)
def test_calls_that_wait_and_calls_that_run(
    frames: list[Frame], pending: list[str], running: list[str]
) -> None:
    """Complete calls without output are pending or running, in conversation order."""
    session = fold_frames(*frames)

    assert (pending, running) == (
        [call.call_id for call in select_pending_calls(session)],
        [call.call_id for call in select_running_calls(session)],
    )


def test_calls_beside_the_conversation_come_last() -> None:
    """Out-of-band calls follow those of the conversation, sorted by id."""
    service = Service()
    response = service.begin(in_band=False)
    for name in ("z", "y"):
        item = called(name)["item"]
        at = {"response_id": response, "output_index": 0}
        service.send("response.output_item.done", item=item, **at)
    service.frames.append(called("a"))
    session = fold_frames(*service.frames)

    assert [c.call_id for c in select_pending_calls(session)] == ["a", "y", "z"]


def test_an_item_with_an_empty_id_answers_no_call() -> None:
    """A call without an output is not linked to the item with the empty id."""
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "g"}
    done = {**call, "arguments": "{}", "status": "completed"}
    session = fold_frames(
        {"type": "input_audio_buffer.speech_started", "item_id": ""},
        {"type": "response.output_item.done", "response_id": "r", "item": done},
    )

    assert [each.call_id for each in select_pending_calls(session)] == ["c"]


def test_approvals_that_wait() -> None:
    """An approval request is pending until it is answered."""
    asks = done("mcp_approval_request", "r", server_label="l", name="f", arguments="{}")
    answer = done("mcp_approval_response", "x", approval_request_id="r", approve=False)

    assert [i.id for i in select_pending_approvals(fold_frames(asks))] == ["r"]
    assert select_pending_approvals(fold_frames(asks, answer)) == ()


def test_a_call_by_its_call_id() -> None:
    """The call, not its output; None for an unknown id."""
    session = fold_frames(called("a"), gave("a"), gave("b"))
    call = select_call(session, "a")
    assert call is not None
    assert (call.name, call.output) == ("f", "1")
    assert select_call(session, "b") is select_call(session, "") is None


def test_outputs_that_are_awaited() -> None:
    """Not one that has arrived, was refused, or cannot be sent."""
    sent = {"type": "conversation.item.create", "event_id": "e"}
    item = {"id": "o", "type": "function_call_output", "call_id": "a", "output": "1"}
    output = to_record({**sent, "item": item}, dir="out")
    refused = to_record({"type": "error", "error": {"event_id": "e", "message": "no"}})
    lacking = to_record(done("function_call", "i_a", name="f", arguments="{}"))
    found = []
    for records in (
        [to_record(called("a"))],
        [to_record(called("a")), output],
        [to_record(called("a")), output, refused],
        [to_record(called("a")), to_record(gave("a"))],
        [lacking],
    ):
        session = fold(records).sessions["s"]
        call = session.items["i_a"].call
        assert call is not None
        found.append(awaits_output(session, call))
    assert found == [True, True, False, False, False]


def test_the_items_that_are_calls() -> None:
    """Not an output, a message, or a call that is listed again."""
    again = called("a")
    again = {**again, "event_id": "e", "item": {**again["item"], "id": "j"}}
    message = done("message", "m", role="user", content=[])
    session = fold_frames(called("a"), again, gave("a"), message)
    found = [item.id for item in session.items.values() if is_call_of(session, item)]
    assert found == ["i_a"]
