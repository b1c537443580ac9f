"""The last lines and calls of a conversation."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from duologue.core import (
    CallLine,
    CallState,
    Session,
    Transcript,
    select_latest,
    select_transcripts,
)

from ..talk import Frame, Service, fold_frames

STARTED: Frame = {"type": "duologue.tool_started", "call_id": "c"}


def asked(type: str = "function_call", status: str = "completed", **more: Any) -> Frame:
    """A complete call or approval request in wire format."""
    item = {"id": "i", "type": type, "name": "f", "arguments": "{}", "status": status}
    item |= {"call_id": "c"} if type == "function_call" else {"server_label": "maps"}
    return {"type": "conversation.item.done", "item": item | more}


def finished(error: str | None = None) -> Frame:
    return {"type": "duologue.tool_finished", "call_id": "c", "error": error}


def output(text: str = "5") -> Frame:
    item = {"id": "o", "type": "function_call_output", "call_id": "c", "output": text}
    return {"type": "conversation.item.added", "item": item}


COMING: Frame = {
    "type": "response.function_call_arguments.delta",
    **{"response_id": "r", "item_id": "i", "output_index": 0, "call_id": "c"},
    "delta": '{"a',
}
AT_WORK: Frame = {"type": "response.mcp_call.in_progress", "item_id": "i"}
ANSWER: Frame = {
    "type": "conversation.item.done",
    "item": {
        **{"id": "a", "type": "mcp_approval_response"},
        **{"approval_request_id": "i", "approve": False},
    },
}


@pytest.mark.parametrize(
    ("frames", "state"),
    [
        ([COMING], CallState.COMING),
        ([COMING, asked(status="incomplete")], CallState.CUT_OFF),
        ([asked()], CallState.WAITING),
        ([asked(), STARTED], CallState.RUNNING),
        ([asked(), STARTED, finished()], CallState.DONE),
        ([asked(), STARTED, finished("no")], CallState.FAILED),
        ([asked(), output()], CallState.DONE),
        ([AT_WORK], CallState.RUNNING),
        ([asked("mcp_call", output="5")], CallState.DONE),
        ([asked("mcp_call", error={"message": "no"})], CallState.FAILED),
        ([{**AT_WORK, "type": "response.mcp_call.failed"}], CallState.FAILED),
        ([asked("mcp_approval_request")], CallState.WAITING),
        ([asked("mcp_approval_request"), ANSWER], CallState.DONE),
    ],
)
def test_the_progress_of_a_call(frames: list[Frame], state: CallState) -> None:
    """The line of a call has its state, from the first arguments to the end."""
    session = fold_frames(*frames)
    shown = select_latest(session, 5)
    if session.items["i"].call is None:
        assert shown == ()  # only its failure is known
    else:
        assert [line.state for line in shown if isinstance(line, CallLine)] == [state]


def test_a_call_whole() -> None:
    """A line has every field of a function call or an MCP call."""
    of_a_function = fold_frames(asked(), STARTED, output())
    of_a_server = fold_frames(asked("mcp_call", error={"message": "no route"}))

    assert select_latest(of_a_function, 1) == (
        CallLine("i", "f", "{}", CallState.RUNNING, None, "5", None),
    )
    assert select_latest(of_a_server, 1) == (
        CallLine("i", "f", "{}", CallState.FAILED, "maps", None, "no route"),
    )


def talked() -> Service:
    """A question, a call with its output, and the answer."""
    service = Service()
    service.typed("be kind", role="system")
    service.typed("how far is it?")
    response = service.begin()
    call = service.call(response, "route", ["{}"])
    service.end(response, [call])
    service.answer(call["call_id"], "5")
    service.reply("Five ", "miles.")
    return service


def test_lines_and_calls_in_the_order_of_the_conversation() -> None:
    """The last lines and calls, without system messages and outputs."""
    session = fold_frames(*talked().frames)
    shown = select_latest(session, 10)
    question, call, answer = shown

    assert (question, answer) == select_transcripts(session)
    assert isinstance(call, CallLine)
    assert (call.name, call.output) == ("route", "5")
    assert select_latest(session, 2) == (call, answer)
    assert select_latest(session, 0) == ()
    assert select_latest(Session("new"), 9) == ()


def test_what_was_cleared_or_deleted_is_not_shown() -> None:
    """Cleared and deleted items have no line."""
    service = talked()
    service.note("duologue.cleared")
    gone = service.typed("no")
    service.send("conversation.item.deleted", item_id=gone)
    service.typed("anew")
    (line,) = select_latest(fold_frames(*service.frames), 10)

    assert isinstance(line, Transcript)
    assert line.text == "anew"


def test_only_shown_items_are_visited() -> None:
    """The cost does not depend on the length of the conversation."""
    service = Service()
    for number in range(300):
        service.typed(f"line {number}")
    session = fold_frames(*service.frames)
    looked_at: list[str] = []

    class Items:
        def __getitem__(self, item_id: str) -> Any:
            looked_at.append(item_id)
            return session.items[item_id]

    watched = replace(session, items=Items())
    assert select_latest(watched, 5) == select_transcripts(session)[-5:]
    assert len(looked_at) == 5
