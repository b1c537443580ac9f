"""When the tool of a function call is run: once, and again by the next process."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from msgspec.structs import replace

from duologue.core import (
    Machine,
    Record,
    RunTool,
    State,
    Store,
    dump,
    events,
    load,
    react,
    reduce,
    select_is_settled,
    select_pending_calls,
)
from duologue.core import commands as build
from duologue.core.testing import Stream
from duologue.core.views.notices import notices

from ..strategies import enough, hostile, legal
from ..talk import Frame
from .live import begun, call
from .test_machine import Driven

RUN = ("RunTool",)


def test_a_call_is_run_once() -> None:
    """At the first event that completes it."""
    live, service = begun()
    response = service.begin()
    item = call(service, response, "a", "completed")
    assert live.play(service) == RUN
    service.end(response, [item])
    service.send("conversation.item.done", item=item, previous_item_id=None)
    service.send("conversation.item.retrieved", item=item)
    assert live.play(service) == ()
    assert [each for each in live.commands if isinstance(each, RunTool)] == [
        RunTool("s", "a")
    ]


def test_each_call_of_a_response_that_shows_them_only_at_its_end() -> None:
    """Also if the service gives its responses no id."""
    items: list[Frame] = [
        {"id": f"i{name}", "type": "function_call", "call_id": name, "arguments": "{}"}
        for name in "ab"
    ]
    for known in ({"id": "r"}, {}):
        live, service = begun()
        service.send("response.created", response=known)
        service.send(
            "response.done", response={**known, "status": "completed", "output": items}
        )
        assert live.play(service) == RUN * 2


@pytest.mark.parametrize(
    "fields", [{"status": "incomplete"}, {"type": "mcp_call"}, {"call_id": None}]
)
def test_calls_that_are_not_run(fields: Frame) -> None:
    """Interrupted ones, those of an MCP server, and those without a ``call_id``."""
    live, service = begun()
    item: Frame = {"id": "i", "type": "function_call", "call_id": "a"}
    item |= {"arguments": "{}", "status": "completed", **fields}
    service.send("response.output_item.done", response_id=service.begin(), item=item)
    assert live.play(service) == ()


def test_a_call_that_this_client_has_created_is_not_run() -> None:
    """It is from a history, with its output or without; another one is run."""
    live, service = begun()
    item: Frame = {"id": "i", "type": "function_call", "call_id": "a"}
    item |= {"name": "f", "arguments": "{}", "status": "completed"}
    live.note({"type": "conversation.item.create", "item": item}, "out")
    service.send("conversation.item.added", item=item, previous_item_id=None)
    service.send("conversation.item.done", item=item, previous_item_id=None)
    service.send("conversation.item.retrieved", item=item)
    assert live.play(service) == ()
    other = {**item, "id": "j", "call_id": "b"}
    service.send("conversation.item.done", item=other, previous_item_id=None)
    assert live.play(service) == RUN


def test_a_long_history_is_not_run() -> None:
    """Not even its first calls, which the list of unconfirmed items has lost.

    Nor when the session is continued.
    """
    driven = opened()
    for number in range(300):
        item: Any = {
            "id": f"i{number}",
            "type": "function_call",
            "call_id": f"c{number}",
        }
        item |= {"call_id": f"c{number}", "arguments": "{}"}
        driven.request({"type": "conversation.item.create", "item": item})
    for number in range(300):
        item = {"id": f"i{number}", "type": "function_call", "call_id": f"c{number}"}
        item |= {"name": "f", "arguments": "{}", "status": "completed"}
        driven.receive(0, "conversation.item.done", item=item)
    assert run_by(driven) == run_by(opened(continued(driven))) == []


@enough
@given(legal(4) | hostile(legal(4)))
def test_the_notice_and_the_command_have_one_rule(stream: Stream) -> None:
    """`RunTool` is given with `tool_call`, once for each call."""
    state = State()
    seen: list[str] = []
    for record in stream:
        before, state = state, reduce(state, record)
        session = state.sessions.get(record.session)
        if session is None:
            continue
        found = commands_of(before, record, state)
        told = notices(before.sessions.get(session.id), record, session)
        assert found == [
            each.args[0].call_id for each in told if each.name == "tool_call"
        ]
        seen += found
    assert len(set(seen)) == len(seen)


def commands_of(before: State, record: Record, after: State) -> list[str]:
    found = react(before, record, after)
    return [each.call_id for each in found if isinstance(each, RunTool)]


# Continuing in another process.


def opened(driven: Driven | None = None) -> Driven:
    driven = driven or Driven()
    driven.open()
    return driven


def called(driven: Driven, *call_ids: str) -> None:
    """A response that calls functions."""
    epoch = driven.machine.session.connection.epoch
    response = f"r{epoch}{''.join(call_ids)}"
    created = {"id": response, "status": "in_progress", "conversation_id": "c"}
    driven.receive(epoch, "response.created", response=created)
    items: list[Any] = [
        {"id": f"i_{name}", "type": "function_call", "call_id": name, "name": "f"}
        | {"arguments": "{}", "status": "completed"}
        for name in call_ids
    ]
    for item in items:
        driven.receive(
            epoch, "response.output_item.done", response_id=response, item=item
        )
    done = {**created, "status": "completed", "output": items}
    driven.receive(epoch, "response.done", response=done)


def continued(driven: Driven) -> Driven:
    """The session, from a snapshot in another process, before it connects."""
    store = Store(load(dump(driven.machine.store.state)))
    return Driven(Machine("s", store=store), at=driven.at + 5)


def run_by(driven: Driven) -> list[str]:
    return [each.call_id for each in driven.done if isinstance(each, RunTool)]


def tool_output(driven: Driven, call_id: str) -> None:
    driven.request(build.send_tool_output(call_id, "1", item_id=f"o_{call_id}"))


def started(driven: Driven, call_id: str) -> None:
    driven.note(events.ToolStarted(call_id=call_id))


def finished(driven: Driven, call_id: str) -> None:
    driven.note(events.ToolFinished(call_id=call_id))


def test_a_call_that_ran_in_a_dead_process_is_run_again() -> None:
    """With the first connection, once; the output is answered as ever."""
    first = opened()
    called(first, "a")
    started(first, "a")
    second = continued(first)
    connect = second.connect()
    assert run_by(second) == []
    assert not select_is_settled(second.machine.session)
    second.note(connect.connected, connect.epoch)
    assert run_by(second) == ["a"]
    second.greet(connect.epoch)
    started(second, "a")
    finished(second, "a")
    tool_output(second, "a")
    assert run_by(second) == ["a"]
    item = {"id": "o_a", "type": "function_call_output", "call_id": "a", "output": "1"}
    second.receive(1, "conversation.item.done", item=item)
    assert second.types[-2:] == ["conversation.item.create", "response.create"]


def test_a_call_that_was_never_started_is_run() -> None:
    """The process ended at once; the wait for the tool begins again."""
    first = opened()
    called(first, "a", "b")
    assert run_by(first) == ["a", "b"]
    started(first, "b")
    second = continued(first)
    second.at += 100_000
    opened(second)
    assert run_by(second) == ["a", "b"]
    assert [each.call_id for each in select_pending_calls(second.machine.session)] == [
        "a",
        "b",
    ]
    second.note(events.Tick())
    assert not select_is_settled(second.machine.session)
    second.at += 400
    second.note(events.Tick())
    assert select_is_settled(second.machine.session)


def test_a_call_whose_output_was_lost_is_run_again() -> None:
    """The tool has finished, or was cancelled, and nothing was sent."""
    first = opened()
    called(first, "a", "b")
    for name in ("a", "b"):
        started(first, name)
    finished(first, "a")
    error = "the session ended before the tool did"
    first.note(events.ToolFinished(call_id="b", error=error))
    second = opened(continued(first))
    assert run_by(second) == ["a", "b"]
    call = first.machine.session.items["i_b"].call
    assert call is not None
    assert second.machine.session.items["i_b"].call == replace(
        call, answered=False, error=None
    )


@pytest.mark.parametrize(
    "how", ["accepted", "sent", "refused", "confirmed", "deleted", "by another client"]
)
def test_a_call_whose_output_was_sent_is_not_run_again(how: str) -> None:
    """Whether the service has confirmed it or not: it is sent again if not."""
    first = opened()
    called(first, "a")
    started(first, "a")
    finished(first, "a")
    item: Frame = {"id": "o_a", "type": "function_call_output", "call_id": "a"}
    if how == "accepted":
        first.note(events.Disconnected(reason="gone"))
    if how != "by another client":
        tool_output(first, "a")
    if how == "refused":
        error = {"code": "bad", "event_id": first.sent[-1][1]["event_id"]}
        first.receive(0, "error", error=error)
    if how in ("confirmed", "deleted", "by another client"):
        first.receive(0, "conversation.item.done", item={**item, "output": "1"})
    if how == "deleted":
        first.receive(0, "conversation.item.deleted", item_id="o_a")
    second = opened(continued(first))
    assert run_by(second) == []
    again = [each["item"]["id"] for _, each in second.sent if "item" in each]
    assert again == (["i_a"] if how in ("deleted", "refused") else ["i_a", "o_a"])


def test_a_reconnect_runs_nothing_again() -> None:
    """The process that runs the tools goes on: also one that never starts."""
    driven = opened()
    called(driven, "a", "b")
    started(driven, "a")
    for _ in range(2):
        driven.at += 10
        following = driven.lose()
        driven.note(following.connected, following.epoch)
        driven.greet(following.epoch)
    assert run_by(driven) == ["a", "b"]


def test_a_connection_of_the_next_process_that_is_lost_at_once() -> None:
    """The call was given with it, and is not given with the next one."""
    first = opened()
    called(first, "a")
    second = continued(first)
    connect = second.connect()
    second.note(connect.connected, connect.epoch)
    second.at += 10
    following = second.lose()
    second.note(following.connected, following.epoch)
    second.greet(following.epoch)
    assert run_by(second) == ["a"]


def test_a_session_that_ended_and_goes_on() -> None:
    """The call is run, whatever ended the session."""
    for fact in (events.Closed(), events.Disconnected(reason="gone")):
        first = opened()
        called(first, "a")
        started(first, "a")
        first.note(fact)
        second = opened(continued(first))
        assert run_by(second) == ["a"]
