"""The rules of calls, on one item."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import Item, Session, events
from duologue.core.reducer.call_items import connect, end_call, find_call, merge_call
from duologue.core.reducer.parts import put_item
from duologue.core.state.model import Call, CallLink, McpCall, McpTool
from duologue.core.state.rope import Rope


def call(arguments: str = "", **fields: Any) -> events.FunctionCallItem:
    return events.FunctionCallItem(name="f", call_id="c", arguments=arguments, **fields)


@pytest.mark.parametrize(
    ("known", "wire", "done", "expected"),
    [
        (None, call(), False, Call("c", "f")),
        (None, call("{"), False, Call("c", "f", Rope("{"))),
        (Call(arguments=Rope("{1")), call("{"), False, Call("c", "f", Rope("{1"))),
        (
            Call(arguments=Rope("{1")),
            call("{}"),
            True,
            Call("c", "f", Rope("{}"), True),
        ),
        (
            Call(arguments=Rope("{}")),
            call("{}"),
            True,
            Call("c", "f", Rope("{}"), True),
        ),
        (
            Call("c", "f", Rope("{}"), True, True),
            call("x"),
            True,
            Call("c", "f", Rope("{}"), True, True),
        ),
        (
            Call("k", "g", Rope("{")),
            events.FunctionCallItem(name="", arguments=""),
            False,
            Call("k", "g", Rope("{")),
        ),
    ],
)
def test_arguments_that_are_shown(
    known: Call | None, wire: Any, done: bool, expected: Call
) -> None:
    """They take the place of what came, unless that is whole or newer."""
    assert expected == merge_call(Item("i", call=known), wire, done=done).call


def test_what_is_no_call() -> None:
    """It is left alone."""
    item = Item("i")

    assert item is merge_call(item, events.ItemReference(id="x"), done=True)
    assert item is end_call(item, "completed")


MCP = McpCall("maps", "q", None, (McpTool("t", "{}"),))


@pytest.mark.parametrize(
    "wire",
    [
        events.McpCallItem(id="i"),
        events.McpListToolsItem(id="i"),
        events.McpApprovalRequestItem(id="q"),
    ],
)
def test_what_is_left_out_stays(wire: Any) -> None:
    """A later copy that says less takes nothing away."""
    known = Call(None, "t", Rope("{}"), True, True, "5", "oh", mcp=MCP)

    assert known == merge_call(Item("i", call=known), wire, done=True).call


@pytest.mark.parametrize(
    ("type", "status", "expected"),
    [
        ("function_call", "completed", Call(final=True, complete=True, running=True)),
        ("function_call", "incomplete", Call(final=True, running=True)),
        ("mcp_call", "failed", Call(final=True, complete=True)),
        ("mcp_list_tools", "failed", Call(running=True)),
    ],
)
def test_the_end_of_a_call(type: str, status: str, expected: Call) -> None:
    """Its arguments are closed; only a tool of ours can still be at work."""
    item = end_call(Item("i", type, call=Call(running=True)), status)

    assert expected == item.call
    assert item is end_call(item, status)


def test_both_sides_of_a_call() -> None:
    """They find each other by what both name; what names nothing is left alone."""
    session = Session("s")
    for item in (
        Item("i", "function_call", call=Call("c", mcp=McpCall())),
        Item("o", "function_call_output", call=Call("c", output="5")),
        Item("n", "function_call", call=Call()),
        Item("a", "mcp_approval_response", call=Call()),
        Item("m"),
    ):
        session = put_item(session, item)
    tied = session
    for item_id in ("i", "o", "n", "a", "m", "i"):
        tied = connect(tied, item_id)
    asking = find_call(tied, "c")

    assert {"c": CallLink("i", "o")} == dict(tied.conversation.calls)
    assert asking is not None
    assert Call("c", output="5", mcp=McpCall()) == asking.call
    assert tied is connect(tied, "o")
    assert find_call(tied, "?") is None


def test_a_side_that_is_gone() -> None:
    """A tombstone is handed nothing."""
    gone = Item("i", "function_call", "deleted")
    output = Item("o", "function_call_output", call=Call("c", output="5"))
    session = put_item(put_item(Session("s"), output), gone)
    session = connect(session, "o")
    session = connect(put_item(session, Item("i", call=Call("c"))), "i")

    assert connect(put_item(session, gone), "o").items["i"] is gone


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (
            events.FunctionCallOutputItem(call_id="c", output="5"),
            Call("c", "", Rope(""), True, True, "5"),
        ),
        (
            events.McpApprovalResponseItem(approval_request_id="q", approve=False),
            Call(final=True, complete=True, mcp=McpCall("", "q", False)),
        ),
        (
            events.McpCallItem(error=events.McpCallError(type="http", message="no")),
            Call(final=True, error="no", mcp=McpCall()),
        ),
        (
            events.McpCallItem(error=events.McpCallError(type="http")),
            Call(final=True, error="http", mcp=McpCall()),
        ),
        (
            events.McpCallItem(error=events.McpCallError()),
            Call(final=True, error="the call failed", mcp=McpCall()),
        ),
    ],
)
def test_what_answers_a_call(wire: Any, expected: Call) -> None:
    """An output, a permission, or why there is none."""
    assert merge_call(Item("i"), wire, done=True).call == expected


@pytest.mark.parametrize("first", ["asks", "says"])
def test_a_permission_reaches_what_asked_for_it(first: str) -> None:
    """Whichever of them is known first; told again, it changes nothing."""
    items = {
        "asks": Item("asks", "mcp_approval_request", call=Call(mcp=McpCall("m", "q"))),
        "says": Item(
            "says", "mcp_approval_response", call=Call(mcp=McpCall("", "q", True))
        ),
    }
    session = Session("s")
    for item in (items.pop(first), *items.values()):
        session = connect(put_item(session, item), item.id)
    asking = session.items["asks"]

    assert asking.call == Call(mcp=McpCall("m", "q", True))
    assert session is connect(session, asking.id)
