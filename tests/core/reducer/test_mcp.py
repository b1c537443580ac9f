"""MCP tools that the service calls: lists, calls and approvals."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from duologue.core import Problem, Session
from duologue.core.state.model import Call, McpCall, McpTool
from duologue.core.state.rope import Rope

from ..talk import Frame, fold_frames


def listing(what: str) -> Frame:
    return {"type": f"mcp_list_tools.{what}", "item_id": "l"}


def calling(what: str) -> Frame:
    return {"type": f"response.mcp_call.{what}", "item_id": "m", "output_index": 0}


def done(item: Frame, type: str = "conversation.item.done") -> Frame:
    return {"type": type, "item": item}


TOOLS: Frame = {
    "id": "l",
    "type": "mcp_list_tools",
    "server_label": "maps",
    "tools": [{"name": "route", "input_schema": {"type": "object", "a": 1}}],
}
CALL: Frame = {
    "id": "m",
    "type": "mcp_call",
    "server_label": "maps",
    "name": "route",
    "arguments": "{}",
}
ROUTE = McpTool("route", '{"input_schema":{"a":1,"type":"object"},"name":"route"}')


def seen(session: Session, item_id: str) -> tuple[str, Call | None]:
    return session.items[item_id].status, session.items[item_id].call


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([listing("in_progress")], "in_progress"),
        ([listing("completed")], "completed"),
        ([listing("in_progress"), listing("completed")], "completed"),
        ([listing("in_progress"), listing("failed")], "failed"),
        ([done(TOOLS), listing("failed"), listing("failed")], "failed"),
        ([listing("failed"), listing("completed"), done(TOOLS)], "failed"),
        ([listing("completed"), listing("in_progress")], "completed"),
    ],
)
def test_how_far_a_list_is(frames: list[Frame], status: str) -> None:
    """The status of a list never goes back; `failed` may follow `completed`."""
    assert status == fold_frames(*frames).items["l"].status


def test_the_tools_of_a_list() -> None:
    """The tools are kept by name, with all of their JSON in canonical form."""
    session = fold_frames(
        listing("in_progress"), done(TOOLS), listing("completed"), done({**TOOLS})
    )
    expected = Call(final=True, complete=True, mcp=McpCall("maps", tools=(ROUTE,)))

    assert ("completed", expected) == seen(session, "l")
    assert expected.server_label == "maps"
    assert Call().server_label is None


def test_a_list_that_failed_is_a_problem() -> None:
    """A failed list is one problem, with the label of its server if it is known."""
    known = fold_frames(done(TOOLS), listing("failed"), listing("failed"))
    unknown = fold_frames(listing("failed"))

    assert [
        Problem(
            "mcp_failed", "the tools of maps could not be listed", None, "l", 1000.2
        )
    ] == list(known.problems)
    assert [p.message for p in unknown.problems] == [
        "the tools of an MCP server could not be listed"
    ]


MAPS = McpCall("maps")


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([calling("in_progress")], ("in_progress", Call(running=True, mcp=McpCall()))),
        (
            [calling("in_progress"), calling("in_progress"), calling("completed")],
            ("completed", Call(mcp=McpCall())),
        ),
        ([calling("completed")], ("completed", None)),
        ([calling("failed")], ("failed", None)),
        ([calling("completed"), calling("in_progress")], ("completed", None)),
        (
            [calling("in_progress"), done({**CALL, "output": "5"})],
            (
                "completed",
                Call(None, "route", Rope("{}"), True, True, "5", mcp=MAPS),
            ),
        ),
        (
            [done({**CALL, "output": "5"}), calling("completed"), done(CALL)],
            (
                "completed",
                Call(None, "route", Rope("{}"), True, True, "5", mcp=MAPS),
            ),
        ),
        (
            [done({**CALL, "error": {"type": "http_error"}}), calling("failed")],
            (
                "failed",
                Call(
                    *(None, "route", Rope("{}"), True, True),
                    error="http_error",
                    mcp=MAPS,
                ),
            ),
        ),
    ],
)
def test_a_call(frames: list[Frame], expected: Any) -> None:
    """A call is running until it completes or fails."""
    assert expected == seen(fold_frames(*frames), "m")


@pytest.mark.parametrize(
    "frames",
    [
        [calling("failed"), done({**CALL, "error": {"message": "no route"}})],
        [done({**CALL, "error": {"message": "no route"}}), calling("failed")],
        [
            *(calling("failed"), done({**CALL, "error": {"message": "no route"}})),
            *(done({**CALL, "error": {"message": "no route"}}), calling("failed")),
        ],
    ],
)
def test_a_call_that_failed_is_one_problem(frames: list[Frame]) -> None:
    """The reason replaces the general message, in any order of arrival."""
    (problem,) = fold_frames(*frames).problems

    assert (problem.kind, problem.message, problem.item_id) == (
        "mcp_failed",
        "no route",
        "m",
    )


@pytest.mark.parametrize("known", [[], [done(CALL, "conversation.item.added")]])
def test_a_call_that_failed_without_a_reason(known: list[Frame]) -> None:
    """The problem then names the tool, if it is known."""
    session = fold_frames(*known, calling("failed"))
    name = "route" if known else "an MCP tool"

    assert [f"the call of {name} failed"] == [p.message for p in session.problems]


@pytest.mark.parametrize(
    ("error", "message"), [({}, "the call failed"), ({"type": "t"}, "t")]
)
def test_the_reason_of_a_call(error: Frame, message: str) -> None:
    """The error is its message, or else its type, or else a general text."""
    found = fold_frames(done({**CALL, "error": error})).items["m"].call

    assert found is not None
    assert message == found.error


def test_arguments_of_a_call() -> None:
    """Deltas append to the arguments, and the final arguments close them."""
    at = {"response_id": "r", "item_id": "m", "output_index": 0}
    kind = "response.mcp_call_arguments"
    first = {"type": f"{kind}.delta", **at, "delta": '{"a"'}
    last = {"type": f"{kind}.done", **at, "arguments": '{"a":1}'}

    assert ("in_progress", Call(arguments=Rope('{"a"'))) == seen(
        fold_frames(first), "m"
    )
    session = fold_frames(first, last, first)
    assert ("in_progress", Call(arguments=Rope('{"a":1}'), final=True)) == seen(
        session, "m"
    )
    assert (session.items["m"].type, session.dedup.late) == ("mcp_call", 1)


ASKED: Frame = {**CALL, "id": "q", "type": "mcp_approval_request"}
ANSWER: Frame = {
    "id": "a",
    "type": "mcp_approval_response",
    "approval_request_id": "q",
    "approve": False,
}


@pytest.mark.parametrize("items", [*permutations([ASKED, ANSWER])])
def test_an_approval_finds_its_request(items: list[Frame]) -> None:
    """They are linked in any order; a refusal differs from no answer."""
    session = fold_frames(*map(done, items))
    alone = fold_frames(done(ASKED))
    mcp = McpCall("maps", "q", False)

    assert Call(None, "route", Rope("{}"), True, True, mcp=mcp) == (
        session.items["q"].call
    )
    assert alone.items["q"].call is not None
    assert McpCall("maps", "q") == alone.items["q"].call.mcp


def test_an_approval_of_nothing() -> None:
    """An approval without a request id links nothing."""
    session = fold_frames(done({**ANSWER, "approval_request_id": None}))

    assert dict(session.conversation.calls) == {}


def test_a_call_names_its_approval() -> None:
    """A call keeps the id of its approval request."""
    found = fold_frames(done({**CALL, "approval_request_id": "q"})).items["m"].call

    assert found is not None
    assert McpCall("maps", "q") == found.mcp


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("boom", "boom"),
        ({"type": "http_error"}, "http_error"),
        ({"code": 500}, "error 500"),
        ({}, "the call failed"),
        (["a", "b"], '["a","b"]'),
        (7, "7"),
    ],
)
def test_the_error_of_a_call_in_any_form(error: Any, message: str) -> None:
    """The call has failed, and a problem has the reason."""
    session = fold_frames(done({**CALL, "error": error}))
    status, call = seen(session, "m")

    assert (status, call and call.error) == ("failed", message)
    assert [(it.kind, it.message, it.item_id) for it in session.problems] == [
        ("mcp_failed", message, "m")
    ]


@pytest.mark.parametrize("error", [None, "", False])
@pytest.mark.parametrize(
    ("output", "text"), [("ok", "ok"), ({"a": 1}, '{"a":1}'), (["b"], '["b"]')]
)
def test_the_output_of_a_call_in_any_form(error: Any, output: Any, text: str) -> None:
    """An object or a list is its JSON; an empty error is none."""
    session = fold_frames(done({**CALL, "output": output, "error": error}))
    status, call = seen(session, "m")

    assert (status, call and call.output) == ("completed", text)
    assert session.problems == ()
