"""Function calls: arguments, outputs, and the tools that the client runs."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from duologue.core import (
    Item,
    Problem,
    Record,
    Session,
    events,
    fold,
    reduce,
    select_pending_calls,
)
from duologue.core.reducer.calls import (
    close_call,
    end_call,
    link_call,
    merge_call,
    release_calls,
)
from duologue.core.reducer.handler import put_item
from duologue.core.reducer.requests.tool_outputs import find_call
from duologue.core.state.model import Call, CallLink, McpCall, McpTool
from duologue.core.state.rope import Rope

from ..talk import Frame, fold_frames, to_record

AT: Frame = {"response_id": "r", "item_id": "i", "output_index": 0, "call_id": "c"}


def grown(delta: str | None) -> Frame:
    return {
        "type": "response.function_call_arguments.delta",
        **AT,
        "delta": delta,
    }


def closed(arguments: str | None, **fields: Any) -> Frame:
    return {
        "type": "response.function_call_arguments.done",
        **AT,
        "arguments": arguments,
        **fields,
    }


def shown(status: str | None = "completed", arguments: str = "{}") -> Frame:
    item = {
        "id": "i",
        "type": "function_call",
        "call_id": "c",
        "name": "f",
        "arguments": arguments,
        "status": status,
    }
    return {"type": "response.output_item.done", "response_id": "r", "item": item}


def output(text: str = "5") -> Frame:
    item = {"id": "o", "type": "function_call_output", "call_id": "c", "output": text}
    return {"type": "conversation.item.added", "item": item}


def call(session: Session, item_id: str = "i") -> Call | None:
    return session.items[item_id].call


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([grown('{"a"')], Call("c", "", Rope('{"a"'))),
        ([grown('{"a"'), grown(":1}")], Call("c", "", Rope('{"a":1}'))),
        ([grown(None)], None),
        ([grown("x"), closed("{}")], Call("c", "", Rope("{}"), True)),
        ([grown("{}"), closed("{}")], Call("c", "", Rope("{}"), True)),
        ([grown("{"), closed(None)], Call("c", "", Rope("{"), True)),
        ([closed("{}", name="f")], Call("c", "f", Rope("{}"), True)),
        ([closed("{}"), closed("{}")], Call("c", "", Rope("{}"), True)),
        ([closed("{}"), grown("late")], Call("c", "", Rope("{}"), True)),
        ([grown("x"), shown()], Call("c", "f", Rope("{}"), True, True)),
        ([shown(), closed("x")], Call("c", "f", Rope("{}"), True, True)),
        ([closed("{"), shown("incomplete", "{")], Call("c", "f", Rope("{"), True)),
    ],
)
def test_arguments(frames: list[Frame], expected: Call | None) -> None:
    """Deltas append, final arguments replace them, the item sets `complete`."""
    assert expected == call(fold_frames(*frames))


def test_a_call_stands_in_the_conversation_by_its_first_delta() -> None:
    """The first delta creates the item with its type, its response and no role."""
    session = fold_frames(grown("{"))
    item = session.items["i"]

    assert (item.type, item.role, item.status) == ("function_call", None, "in_progress")
    assert session.responses.by_id["r"].item_ids == ("i",)
    assert {"c": CallLink("i")} == dict(session.conversation.calls)


def test_late_arguments_are_counted() -> None:
    """A delta after the final arguments, or for a deleted call, counts as late."""
    deleted = {"type": "conversation.item.deleted", "item_id": "i"}
    session = fold_frames(shown(), grown("x"), deleted, grown("x"), closed("x"))

    assert session.dedup.late == 2
    assert call(session) is None


@pytest.mark.parametrize("frames", [*permutations([grown("{}"), shown(), output()])])
def test_the_output_finds_its_call(frames: list[Frame]) -> None:
    """A call and its output are linked by ``call_id``, in any order of arrival."""
    session = fold_frames(*frames)

    assert Call("c", "f", Rope("{}"), True, True, "5") == call(session)
    assert Call("c", "", Rope(), True, True, "5") == call(session, "o")
    assert {"c": CallLink("i", "o")} == dict(session.conversation.calls)


def test_a_deleted_call_takes_no_output() -> None:
    """An output does not restore a deleted call."""
    deleted = {"type": "conversation.item.deleted", "item_id": "i"}

    assert call(fold_frames(shown(), deleted, output())) is None


def test_the_arguments_that_a_cut_off_response_left_open() -> None:
    """The end of a cancelled response makes open arguments final, not complete."""
    done = {"type": "response.done", "response": {"id": "r", "status": "cancelled"}}
    session = fold_frames(grown('{"a"'), done)

    assert Call("c", "", Rope('{"a"'), True) == call(session)
    assert session.items["i"].status == "incomplete"


def test_whole_and_then_cut_off() -> None:
    """An incomplete call in `response.done` overrides a complete one."""
    done = {
        "type": "response.done",
        "response": {
            "id": "r",
            "status": "cancelled",
            "output": [shown("incomplete")["item"]],
        },
    }
    assert Call("c", "f", Rope("{}"), True, False) == call(fold_frames(shown(), done))


STARTED: Frame = {"type": "duologue.tool_started", "call_id": "c"}
FINISHED: Frame = {"type": "duologue.tool_finished", "call_id": "c"}


UNTOUCHED = (False, False, None)


@pytest.mark.parametrize(
    ("facts", "running", "answered", "error"),
    [
        ([], False, False, None),
        ([STARTED], True, False, None),
        ([STARTED, STARTED], True, False, None),
        ([STARTED, FINISHED], False, True, None),
        ([FINISHED], False, True, None),
        ([FINISHED, FINISHED], False, True, None),
        ([STARTED, {**FINISHED, "error": "oh"}], False, True, "oh"),
        ([STARTED, {**FINISHED, "error": "oh"}, STARTED], True, False, None),
        ([{**STARTED, "call_id": "?"}, {**FINISHED, "call_id": "?"}], *UNTOUCHED),
    ],
)
def test_a_tool_at_work(
    facts: list[Frame], running: bool, answered: bool, error: str | None
) -> None:
    """Tool facts set `running`, `answered` and `error`; a new run clears the error."""
    found = call(fold_frames(shown(), *facts))

    expected = Call("c", "f", Rope("{}"), True, True, None, error, running, answered)
    assert expected == found


def out(item: Frame) -> Record:
    return to_record({"type": "conversation.item.create", "item": item}, dir="out")


GIVEN = out({"type": "function_call_output", "call_id": "c", "output": "1"})


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (GIVEN, True),
        (out({"type": "function_call_output", "call_id": "?", "output": "1"}), False),
        (out({"type": "function_call_output", "output": "1"}), False),
        (out({"type": "message", "role": "user", "content": []}), False),
    ],
)
def test_a_call_whose_output_was_sent(sent: Record, answered: bool) -> None:
    """A sent output marks its call as answered before the service echoes it."""
    before = fold([to_record(shown())])
    after = reduce(before, sent)
    session = after.sessions["s"]

    found = call(session)
    assert found is not None
    assert answered == found.answered
    assert answered == (select_pending_calls(session) == ())
    again = reduce(after, sent).sessions["s"]
    assert again.items is session.items


def test_a_tool_that_failed_is_a_problem() -> None:
    """The problem has the error message and the id of the call's item."""
    session = fold_frames(shown(), {**FINISHED, "error": "oh"})

    assert (Problem("tool_failed", "oh", None, "i", 1000.2),) == session.problems


def test_a_tool_of_a_deleted_call() -> None:
    """Tool facts do not restore a deleted call."""
    deleted = {"type": "conversation.item.deleted", "item_id": "i"}

    assert call(fold_frames(shown(), deleted, STARTED, FINISHED)) is None


# --- Complete or incomplete -----------------------------------------------------

CREATED: Frame = {
    "type": "response.created",
    "response": {"id": "r", "conversation_id": "c"},
}


def begun(status: str | None, arguments: str = "") -> Frame:
    return {**shown(status, arguments), "type": "response.output_item.added"}


def ended(status: str, *items: Frame) -> Frame:
    response = {"id": "r", "conversation_id": "c", "status": status}
    return {"type": "response.done", "response": {**response, "output": [*items]}}


def pending(*frames: Frame) -> list[str]:
    """The arguments of the pending calls."""
    calls = select_pending_calls(fold_frames(CREATED, begun("in_progress"), *frames))
    return [str(each.arguments) for each in calls]


@pytest.mark.parametrize("status", ["in_progress", None, "incomplete"])
def test_a_call_of_a_cancelled_response_is_not_run(status: str | None) -> None:
    """It is pending only if its own item is `completed`."""
    cut = shown(status, '{"a"')["item"]

    assert pending(grown('{"a"'), ended("cancelled", cut)) == []
    whole = shown("completed", "{}")["item"]
    assert pending(grown("{}"), ended("cancelled", whole)) == ["{}"]


def test_a_call_that_is_done_and_in_progress() -> None:
    """The status of the response decides whether the call is complete."""
    done = shown("in_progress", '{"a"')

    assert pending(grown('{"a"'), done) == []
    assert pending(grown('{"a"'), done, ended("cancelled")) == []
    assert pending(grown('{"a":1}'), done, ended("completed")) == ['{"a":1}']


def test_a_call_is_not_whole_before_its_arguments() -> None:
    """Some services announce a call as `completed` without arguments."""
    early = begun("completed")

    assert pending(early) == []
    assert pending(early, grown("{"), grown("}"), closed("{}"), shown()) == ["{}"]
    assert pending(begun("completed", "{}")) == ["{}"]


@pytest.mark.parametrize("late", [closed('{"a":1}'), shown(arguments='{"a":1}')])
def test_arguments_that_come_behind_an_empty_call(late: Frame) -> None:
    """Final arguments replace empty ones, even if the item was already complete."""
    assert pending(shown(arguments=""), late) == ['{"a":1}']
    # Complete arguments stay unchanged.
    assert pending(shown(arguments="{}"), late) == ["{}"]


def wire_call(arguments: str = "", **fields: Any) -> events.FunctionCallItem:
    return events.FunctionCallItem(name="f", call_id="c", arguments=arguments, **fields)


@pytest.mark.parametrize(
    ("known", "wire", "done", "expected"),
    [
        (None, wire_call(), False, Call("c", "f")),
        (None, wire_call("{"), False, Call("c", "f", Rope("{"))),
        (Call(arguments=Rope("{1")), wire_call("{"), False, Call("c", "f", Rope("{1"))),
        (
            Call(arguments=Rope("{1")),
            wire_call("{}"),
            True,
            Call("c", "f", Rope("{}"), True),
        ),
        (
            Call(arguments=Rope("{}")),
            wire_call("{}"),
            True,
            Call("c", "f", Rope("{}"), True),
        ),
        (
            Call("c", "f", Rope("{}"), True, True),
            wire_call("x"),
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
    """They replace the known arguments, unless those are complete or newer."""
    assert expected == merge_call(Item("i", call=known), wire, done=done).call


def test_what_is_no_call() -> None:
    """An item without a call stays the same object."""
    item = Item("i")

    assert item is merge_call(item, events.ItemReference(id="x"), done=True)
    assert item is close_call(item, "completed")


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
    """A later copy of an item does not clear the fields that it omits."""
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
    """The end makes the arguments final; only a function can still be running."""
    item = close_call(Item("i", type, call=Call(running=True)), status)

    assert expected == item.call
    assert item is close_call(item, status)


def test_both_sides_of_a_call() -> None:
    """Call and answer are linked by the id that they share, if there is one."""
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
        tied = link_call(tied, item_id)
    asking = find_call(tied, "c")

    assert {"c": CallLink("i", "o")} == dict(tied.conversation.calls)
    assert asking is not None
    assert Call("c", output="5", mcp=McpCall()) == asking.call
    assert tied is link_call(tied, "o")
    assert find_call(tied, "?") is None


def test_a_side_that_is_gone() -> None:
    """A deleted call gets no output."""
    gone = Item("i", "function_call", "deleted")
    output = Item("o", "function_call_output", call=Call("c", output="5"))
    session = put_item(put_item(Session("s"), output), gone)
    session = link_call(session, "o")
    session = link_call(put_item(session, Item("i", call=Call("c"))), "i")

    assert link_call(put_item(session, gone), "o").items["i"] is gone


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
    """The call has the output, the approval or the error of the item."""
    assert merge_call(Item("i"), wire, done=True).call == expected


@pytest.mark.parametrize("first", ["asks", "says"])
def test_a_permission_reaches_what_asked_for_it(first: str) -> None:
    """The approval is copied to its request, in any order; a repeat changes nothing."""
    items = {
        "asks": Item("asks", "mcp_approval_request", call=Call(mcp=McpCall("m", "q"))),
        "says": Item(
            "says", "mcp_approval_response", call=Call(mcp=McpCall("", "q", True))
        ),
    }
    session = Session("s")
    for item in (items.pop(first), *items.values()):
        session = link_call(put_item(session, item), item.id)
    asking = session.items["asks"]

    assert asking.call == Call(mcp=McpCall("m", "q", True))
    assert session is link_call(session, asking.id)


def test_a_call_that_was_sent() -> None:
    """This client created it, unless the session already had it; it is no answer."""
    item = {"type": "function_call", "call_id": "c", "name": "f", "id": "i"}
    created = fold([out(item)]).sessions["s"]
    before = fold([to_record(shown())])
    restored = reduce(before, out(item)).sessions["s"]

    assert created.conversation.calls["c"] == CallLink(call_sent=True)
    assert restored.conversation.calls["c"] == CallLink("i")
    assert call(restored) == call(before.sessions["s"])


@pytest.mark.parametrize(
    ("records", "running"),
    [
        ([to_record(shown()), to_record(STARTED)], False),
        # Its output was sent, or arrived; its arguments are incomplete.
        ([to_record(shown()), to_record(STARTED), GIVEN], None),
        ([to_record(shown()), to_record(STARTED), to_record(output())], None),
        ([to_record(grown("{"))], None),
        # The output alone.
        ([to_record(output())], None),
    ],
)
def test_tools_of_a_process_that_has_ended(
    records: list[Record], running: bool | None
) -> None:
    """A complete call without an output waits for its tool again; others stay."""
    session = fold(records).sessions["s"]
    tick = to_record({"type": "duologue.tick"}, at=9.0)
    after = release_calls(session, tick)

    if running is None:
        assert after is session
    else:
        assert call(session) == Call("c", "f", Rope("{}"), True, True, running=True)
        assert call(after) == Call("c", "f", Rope("{}"), True, True)
        assert after.items["i"].placement.tool_at == 9.0


# A ``call_id`` that is used again, or missing.


def listed(item_id: str, response: str | None = "r", **fields: Any) -> Frame:
    """A call that is complete, in a response or in the conversation only."""
    item: Frame = {"id": item_id, "type": "function_call", "call_id": "c", "name": "f"}
    item |= {"arguments": "{}", "status": "completed", **fields}
    if response is None:
        return {"type": "conversation.item.done", "item": item}
    return {**shown(), "response_id": response, "item": item}


TOLD: Frame = {"type": "duologue.tool_finished", "call_id": "c"}
DELETED: Frame = {"type": "conversation.item.deleted", "item_id": "i"}


@pytest.mark.parametrize(
    ("frames", "calls"),
    [
        # The first one waits, or runs: the second has a key of its own.
        (
            [listed("i"), *[listed("j", name="g")] * 2],
            {"c": CallLink("i", others=("c/j",)), "c/j": CallLink("j")},
        ),
        (
            [listed("i"), STARTED, listed("j", "r2")],
            {"c": CallLink("i", others=("c/j",)), "c/j": CallLink("j")},
        ),
        # Its tool has ended: the second one has the plain key.
        (
            [listed("i"), TOLD, listed("j", "r2")],
            {"c": CallLink("j", others=("c/i",)), "c/i": CallLink("i")},
        ),
        (
            [listed("i"), output(), listed("j", "r2")],
            {"c": CallLink("j"), "c/i": CallLink("i", "o")},
        ),
        ([listed("i"), DELETED, listed("j")], {"c": CallLink("j")}),
        # An interrupted one never runs.
        (
            [listed("i", status="incomplete"), listed("j", "r2")],
            {"c": CallLink("j"), "c/i": CallLink("i")},
        ),
        # One call, listed twice, in a response or outside.
        ([listed("i"), listed("j")], {"c": CallLink("i")}),
        ([listed("i"), listed("j", None)], {"c": CallLink("i")}),
        ([listed("j", None), listed("i")], {"c": CallLink("j")}),
        ([listed("i"), listed("j", arguments="")], {"c": CallLink("i")}),
        ([listed("i", name=""), listed("j", None)], {"c": CallLink("i")}),
        ([grown("{}"), listed("j")], {"c": CallLink("j")}),
        ([closed("{}"), listed("j")], {"c": CallLink("j")}),
        # Its arguments are not known yet, or are no JSON.
        ([listed("i"), grown("x") | {"item_id": "j"}], {"c": CallLink("i")}),
        (
            [listed("i", arguments="["), listed("j")],
            {"c": CallLink("i", others=("c/j",)), "c/j": CallLink("j")},
        ),
        # The other one was final, and differs.
        (
            [closed("[]"), listed("j")],
            {"c": CallLink("i", others=("c/j",)), "c/j": CallLink("j")},
        ),
    ],
)
def test_the_keys_of_calls_with_one_id(
    frames: list[Frame], calls: dict[str, CallLink]
) -> None:
    """Each call has one: the ``call_id``, or one with the id of its item."""
    session = fold_frames(*frames)

    assert dict(session.conversation.calls) == calls
    for key, link in calls.items():
        found = session.item(link.call)
        assert found is not None
        assert found.call is not None
        assert found.call.key == key


def test_facts_that_name_a_call_id_of_several_calls() -> None:
    """Each is about the next of them, in their order; a key is exact."""
    three = [listed("i"), listed("j", name="g"), listed("k", name="h")]
    session = fold_frames(*three, STARTED, STARTED, TOLD)
    states = [call(session, name) for name in "ijk"]
    assert [(each.running, each.answered) for each in states if each] == [
        (False, True),
        (True, False),
        (False, False),
    ]
    exact = fold_frames(*three, {**STARTED, "call_id": "c/k"})
    assert [call(exact, name) for name in "ij"] == [
        call(fold_frames(*three), name) for name in "ij"
    ]
    assert call(exact, "k") == Call(
        "c", "h", Rope("{}"), True, True, running=True, alias="c/k"
    )


def test_outputs_of_calls_with_one_id() -> None:
    """They are those of the calls whose tools ended first; then of all others."""
    three = [listed("i"), listed("j", name="g"), listed("k", name="h")]
    ended = [{**TOLD, "call_id": key} for key in ("c/j", "c")]
    outputs: list[Frame] = []
    for name in "xyz":
        frame = output(f"of {name}")
        outputs.append({**frame, "item": {**frame["item"], "id": name}})
    session = fold_frames(*three, *ended, *outputs, *outputs)

    assert {name: each.output for name in "ijk" if (each := call(session, name))} == {
        "i": "of y",
        "j": "of x",
        "k": "of z",
    }
    assert [each.alias for name in "xyz" if (each := call(session, name))] == [
        "c/j",
        None,
        "c/k",
    ]
    assert session.conversation.calls["c"] == CallLink("i", "y")
    assert session.conversation.last_output == "z"


def test_a_call_without_an_id_at_the_end_of_its_response() -> None:
    """Its key is the id of its item; a late ``call_id`` is its key then."""
    ended = {"type": "response.done", "response": {"id": "r", "status": "completed"}}
    lacking = listed("i", call_id=None, name="")
    session = fold_frames(lacking, ended)
    assert dict(session.conversation.calls) == {"i": CallLink("i")}
    assert call(session) == Call(None, "", Rope("{}"), True, True, alias="i")
    why = "the call of a function has no call_id, so its output cannot be sent"
    assert session.problems == (
        Problem("call_without_id", f"{why}: it is not run", item_id="i", at=1000.2),
    )
    assert end_call(session, "i", 5.0) is session
    late = fold_frames(lacking, ended, listed("i", None))
    assert call(late) == Call("c", "f", Rope("{}"), True, True)
    assert late.conversation.calls["c"] == CallLink("i")


def test_items_that_are_no_complete_calls() -> None:
    """The end of their response changes nothing."""
    frames = [listed("i", call_id=None, status="incomplete"), output()]
    for frame in frames:
        session = fold_frames(frame)
        assert end_call(session, frame["item"]["id"], 5.0) is session


def test_a_restored_output_answers_its_own_call() -> None:
    """A call that has the same ``call_id`` now is not answered by it."""
    frame = output()
    sent = {"type": "conversation.item.create", "item": frame["item"]}
    frames = [listed("i"), frame, listed("j", "r2")]
    records = [to_record(each, at=float(n)) for n, each in enumerate(frames)]
    session = fold([*records, to_record(sent, dir="out", at=9.0)]).sessions["s"]
    assert [each.answered for name in "ij" if (each := call(session, name))] == [
        True,
        False,
    ]
    gone = {**DELETED, "item_id": "o"}
    records += [to_record(gone), to_record(sent, dir="out", at=9.0)]
    found = call(fold(records).sessions["s"], "j")
    assert found is not None
    assert found.answered


def test_a_tombstone_has_no_key() -> None:
    """A deleted output stays as it is when its call gets another key."""
    gone = {**DELETED, "item_id": "o"}
    session = fold_frames(listed("i"), output(), gone, listed("j", "r2"))
    assert session.items["o"].call is None
    assert call(session) == replace(
        Call("c", "f", Rope("{}"), True, True, "5"), alias="c/i"
    )
