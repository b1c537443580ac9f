"""When the tool of a function call is run: once, and again by the next process."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from duologue.core import (
    Machine,
    Problem,
    Record,
    RunTool,
    Send,
    Session,
    State,
    Store,
    dump,
    events,
    load,
    react,
    reduce,
    select_call,
    select_is_settled,
    select_pending_calls,
    select_replies,
    select_running_calls,
)
from duologue.core import commands as build
from duologue.core.effects.reseed import reseed
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
        assert found == [each.args[0].key for each in told if each.name == "tool_call"]
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


# Services that use a ``call_id`` again.


class Reusing:
    """A service with few call ids, and an application that runs its tools."""

    def __init__(self) -> None:
        self.live, self.service = begun()
        self.number = 0
        #: The calls to run: (name, arguments), by the service and by `RunTool`.
        self.wanted: list[tuple[str, str]] = []
        self.run: list[tuple[str, str]] = []
        #: The tools that have to be run, and the outputs that were sent.
        self.waiting: list[tuple[str, tuple[str, str]]] = []
        self.sent: dict[str, str] = {}

    @property
    def session(self) -> Session:
        return self.live.state.sessions["s"]

    def note(self, frame: Frame, dir: Any = None) -> None:
        count = len(self.live.commands)
        self.live.note(frame, dir)
        for command in self.live.commands[count:]:
            if isinstance(command, RunTool):
                self.run.append(self.named(command.call_id))
                self.waiting.append((command.call_id, self.run[-1]))

    def named(self, key: str) -> tuple[str, str]:
        found = select_call(self.session, key)
        assert found is not None
        return found.name, str(found.arguments)

    def event(self, type: str, **fields: Any) -> None:
        self.number += 1
        event_id = f"v{self.number}"
        self.note({"type": type, "event_id": event_id, **fields})

    def begin(self, response: str) -> None:
        known = {"id": response, "conversation_id": "c", "status": "in_progress"}
        self.event("response.created", response=known)

    def end(self, response: str, output: list[Frame]) -> None:
        known = {"id": response, "conversation_id": "c", "status": "completed"}
        self.event("response.done", response={**known, "output": output})

    def item(self, response: str, index: int, call_id: str) -> Frame:
        """A call, each with its own arguments."""
        self.wanted.append((f"f{index}", f'{{"n":{len(self.wanted)}}}'))
        item: Frame = {"id": f"{response}_{index}", "type": "function_call"}
        item |= {"call_id": call_id, "name": f"f{index}", "status": "completed"}
        return {**item, "arguments": self.wanted[-1][1]}

    def story(self, response: str, index: int, item: Frame) -> list[Frame]:
        """The events of a call, in their order."""
        at: Frame = {"response_id": response, "output_index": index}
        growing = {**item, "arguments": "", "status": "in_progress"}
        text = item["arguments"]
        named = {**at, "item_id": item["id"], "call_id": item["call_id"]}
        arguments = "response.function_call_arguments"
        return [
            {"type": "response.output_item.added", **at, "item": growing},
            {"type": "conversation.item.added", "item": growing},
            {"type": f"{arguments}.delta", **named, "delta": text[:3]},
            {"type": f"{arguments}.delta", **named, "delta": text[3:]},
            {"type": f"{arguments}.done", **named, "arguments": text}
            | {"name": item["name"]},
            {"type": "conversation.item.done", "item": item},
            {"type": "response.output_item.done", **at, "item": item},
        ]

    def start(self, key: str) -> None:
        self.note({"type": "duologue.tool_started", "call_id": key})

    def finish(self, key: str, named: tuple[str, str]) -> None:
        """The tool ends; its output is sent and confirmed."""
        assert self.named(key) == named
        found = select_call(self.session, key)
        assert found is not None
        self.note({"type": "duologue.tool_finished", "call_id": key})
        number = len(self.sent)
        item: Frame = {"id": f"o{number}", "type": "function_call_output"}
        item |= {"call_id": found.call_id, "output": f"of {named[1]}"}
        self.sent[item["id"]] = named[1]
        sent = {"type": "conversation.item.create", "event_id": f"e{number}"}
        self.note({**sent, "item": item}, "out")
        self.event("conversation.item.added", item=item)
        self.event("conversation.item.done", item=item)

    def outputs(self) -> dict[str, str | None]:
        """The output of each call, by its arguments."""
        found = (item.call for item in self.session.items.values() if item.call)
        return {str(each.arguments): each.output for each in found if each.name}


@enough
@given(st.data())
def test_each_call_is_run_once_whatever_its_call_id(data: st.DataObject) -> None:
    """With its own name and arguments, in any order; each output is that of its call.

    Tools run while others of the same ``call_id`` wait, and over a snapshot. In the end
    all is settled.
    """
    world = Reusing()
    numbers = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    for number, count in enumerate(numbers):
        response = f"r{number}"
        world.begin(response)
        items = [
            world.item(response, index, data.draw(st.sampled_from("ab")))
            for index in range(count)
        ]
        shows_items = data.draw(st.booleans())
        stories = [
            [
                frame
                for frame in world.story(response, index, item)
                if shows_items or "arguments" in frame["type"]
            ]
            for index, item in enumerate(items)
        ]
        stories = stories if data.draw(st.booleans()) else []
        lists_them = not shows_items or not stories or data.draw(st.booleans())
        while stories := [story for story in stories if story]:
            frame = data.draw(st.sampled_from(stories)).pop(0)
            world.event(**frame)
        world.end(response, items if lists_them else [])
        work(world, data, all=data.draw(st.booleans()))
        if data.draw(st.booleans()):
            world.live.state = load(dump(world.live.state))
    work(world, data, all=True)
    world.begin("last")
    world.end("last", [])
    world.note({"type": "duologue.tick"})

    assert sorted(world.run) == sorted(world.wanted)
    assert world.outputs() == {text: f"of {text}" for _, text in world.wanted}
    assert select_pending_calls(world.session) == ()
    assert select_running_calls(world.session) == ()
    assert select_is_settled(world.session)
    assert world.session.problems == ()


def work(world: Reusing, data: st.DataObject, *, all: bool) -> None:
    """Run the waiting tools, or some of them, in any order."""
    chosen = [
        each for each in world.waiting if all or data.draw(st.booleans(), "run it")
    ]
    world.waiting = [each for each in world.waiting if each not in chosen]
    for key, _ in data.draw(st.permutations(chosen)):
        world.start(key)
    for key, named in data.draw(st.permutations(chosen)):
        world.finish(key, named)


ONE: Frame = {"id": "i", "type": "function_call", "call_id": "a", "name": "f"}
ONE |= {"arguments": '{"n":1}', "status": "completed"}


def done(item: Frame, response: str = "r") -> Frame:
    return {"type": "response.output_item.done", "response_id": response, "item": item}


def added(item: Frame, response: str = "r") -> Frame:
    item = {**item, "status": "in_progress", "arguments": ""}
    return {**done(item, response), "type": "response.output_item.added"}


def arguments(how: str, **fields: Any) -> Frame:
    known = {"response_id": "r", "item_id": "i", "call_id": "a"}
    return {"type": f"response.function_call_arguments.{how}", **known, **fields}


TEXT = ONE["arguments"]
OTHER: Frame = {**ONE, "id": "j"}


@pytest.mark.parametrize(
    ("frames", "output"),
    [
        ([added(ONE), done(ONE)], [OTHER]),
        ([added(ONE)], [OTHER]),
        ([added(ONE), done(OTHER)], []),
        ([added(ONE), done(OTHER), done(ONE)], []),
        ([arguments("delta", delta=TEXT), done(OTHER)], []),
        ([arguments("delta", delta=TEXT)], [OTHER]),
        ([arguments("done", arguments=TEXT), done(OTHER)], []),
        ([arguments("done", arguments=TEXT, name="f"), done(OTHER)], [OTHER, OTHER]),
        ([done(ONE), added(OTHER), done(OTHER)], []),
        ([done(ONE), done({**OTHER, "arguments": '{ "n": 1 }'})], []),
        ([done(ONE), {"type": "conversation.item.done", "item": OTHER}], [ONE]),
        ([{"type": "conversation.item.done", "item": OTHER}, done(ONE)], []),
        ([added(OTHER)], [ONE]),
    ],
)
def test_a_call_that_is_listed_under_two_item_ids(
    frames: list[Frame], output: list[Frame]
) -> None:
    """It is one call: run once, with its arguments, answered once, restored once."""
    world = Reusing()
    world.begin("r")
    for frame in frames:
        world.event(**frame)
    world.end("r", output)
    assert world.run == [("f", TEXT)]
    [(key, named)] = world.waiting
    world.start(key)
    world.finish(key, named)
    [reply] = select_replies(world.session)
    assert [str(each.arguments) for each in reply.calls] == [TEXT]
    sent = [each.event for each in world.live.commands if isinstance(each, Send)]
    assert [each.type for each in sent] == ["response.create"]
    restored = [
        each.item
        for each in reseed(moved(world.session))
        if isinstance(each, events.ConversationItemCreate)
    ]
    assert [type(each) for each in restored] == [
        events.FunctionCallItem,
        events.FunctionCallOutputItem,
    ]


def moved(session: Session) -> Session:
    """The session on the next connection."""
    connection = replace(session.connection, epoch=session.connection.epoch + 1)
    return replace(session, connection=connection)


def test_a_call_that_is_listed_twice_is_a_problem() -> None:
    """A response may mean two calls, so it is counted: once for each item."""
    world = Reusing()
    world.begin("r")
    for item in (ONE, OTHER, OTHER):
        world.event(**done(item))
    world.end("r", [ONE, OTHER])
    message = "the call a of f is listed twice, as i and as j: it is run once"
    assert world.session.problems == (
        Problem("call_repeated", message, item_id="j", response_id="r"),
    )


@pytest.mark.parametrize(
    "fields", [{"arguments": '{"n":2}'}, {"name": "g"}, {"arguments": "{"}]
)
@pytest.mark.parametrize("first", ["waits", "runs", "has ended", "is answered"])
@pytest.mark.parametrize("response", ["r", "r2"])
def test_another_call_with_the_same_id(
    fields: Frame, first: str, response: str
) -> None:
    """It is run too, whatever has become of the first one."""
    world = Reusing()
    world.begin("r")
    world.event(**done(ONE))
    [(key, named)] = world.waiting
    if first != "waits":
        world.start(key)
    if first == "has ended":
        world.note({"type": "duologue.tool_finished", "call_id": key})
    if first == "is answered":
        world.finish(key, named)
    if response != "r":
        world.end("r", [ONE])
        world.begin(response)
    second = {**OTHER, **fields}
    world.event(**added(second, response))
    world.event(**done(second, response))
    world.end(response, [ONE, second] if response == "r" else [second])
    assert world.run == [("f", TEXT), (second["name"], second["arguments"])]
    assert world.session.problems == ()


def test_the_same_call_in_a_later_response() -> None:
    """It is another call, even with the same arguments, and on a later connection."""
    world = Reusing()
    for epoch in (0, 1):
        world.live.epoch = epoch
        if epoch:
            world.note({"type": "duologue.disconnected", "lost": True})
            world.note({"type": "duologue.connected"})
        for number in (1, 2):
            response = f"r{epoch}{number}"
            item = {**ONE, "id": f"i{epoch}{number}"}
            world.begin(response)
            world.event(**added(item, response))
            world.event(type="conversation.item.done", item=item)
            world.event(**done(item, response))
            world.end(response, [item])
            [(key, named)] = world.waiting
            assert key == "a"
            world.start(key)
            world.finish(key, named)
            world.waiting.clear()
    assert world.run == [("f", TEXT)] * 4
    assert [item.call.output for item in world.session.items.values() if item.call] == [
        f"of {TEXT}"
    ] * 8
    assert world.session.problems == ()


def test_an_echo_under_another_id_is_not_run() -> None:
    """A service may give restored items ids of its own: they have no response."""
    world = Reusing()
    world.begin("r")
    world.event(**done(ONE))
    world.end("r", [ONE])
    [(key, named)] = world.waiting
    world.start(key)
    world.finish(key, named)
    for item in (OTHER, ONE):
        world.event(type="conversation.item.added", item=item)
        world.event(type="conversation.item.done", item=item)
    assert world.run == [("f", TEXT)]
    assert world.session.problems == ()


def test_the_history_of_a_session_that_used_ids_again() -> None:
    """None of its calls is run; a new one with the same id is."""
    driven = opened()
    items: list[Frame] = [{**ONE, "id": f"i{n}", "arguments": str(n)} for n in range(3)]
    for item in items:
        driven.request({"type": "conversation.item.create", "item": item})
    for item in items:
        driven.receive(0, "conversation.item.added", item=item)
        driven.receive(0, "conversation.item.done", item=item)
    assert run_by(driven) == []
    called(driven, "a")
    assert run_by(driven) == ["a"]


def test_an_output_that_names_the_command() -> None:
    """The service gets the ``call_id`` that it gave."""
    driven = opened()
    created = {"id": "r", "status": "in_progress", "conversation_id": "c"}
    driven.receive(0, "response.created", response=created)
    for item in (ONE, {**OTHER, "name": "g"}):
        driven.receive(0, "response.output_item.done", response_id="r", item=item)
    driven.receive(0, "response.done", response={**created, "status": "completed"})
    assert run_by(driven) == ["a", "a/j"]
    tool_output(driven, "a/j")
    tool_output(driven, "unknown")
    sent = [each.event for each in driven.done if isinstance(each, Send)]
    outputs = [
        each.item for each in sent if isinstance(each, events.ConversationItemCreate)
    ]
    assert [getattr(each, "call_id", None) for each in outputs] == ["a", "unknown"]


# Calls without a ``call_id``.


@pytest.mark.parametrize("call_id", [{}, {"call_id": None}, {"call_id": ""}])
def test_a_call_without_an_id(call_id: Frame) -> None:
    """It is seen, it is a problem once, and nothing waits for its output."""
    world = Reusing()
    item = {key: ONE[key] for key in ONE if key != "call_id"} | call_id
    world.begin("r")
    world.event(**added(item))
    world.event(**done(item))
    world.end("r", [item])
    world.event(type="conversation.item.done", item=item)
    world.event(type="response.output_item.done", response_id="r", item=item)
    assert world.run == []
    assert select_is_settled(world.session)
    assert [each.name for each in select_pending_calls(world.session)] == ["f"]
    found = select_call(world.session, "i")
    assert found is not None
    assert found.key == "i"
    message = (
        "the call of f has no call_id, so its output cannot be sent: it is not run"
    )
    assert [
        (each.kind, each.message, each.item_id) for each in world.session.problems
    ] == [("call_without_id", message, "i")]
    [reply] = select_replies(world.session)
    assert (reply.status, reply.reason) == ("failed", "a call has no output")


def test_calls_beside_one_without_an_id() -> None:
    """Their outputs are answered as ever, and the answer is part of the reply."""
    world = Reusing()
    item = {**OTHER, "call_id": None}
    world.begin("r")
    for each in (item, ONE):
        world.event(**done(each))
    world.end("r", [item, ONE])
    [(key, named)] = world.waiting
    world.start(key)
    world.finish(key, named)
    assert [type(each) for each in world.live.commands[-1:]] == [Send]
    world.begin("r2")
    world.end("r2", [])
    [reply] = select_replies(world.session)
    assert (reply.status, len(reply.responses)) == ("completed", 2)
    assert select_is_settled(world.session)


def test_an_output_for_the_id_of_the_item() -> None:
    """The application may try it: some services accept it."""
    world = Reusing()
    item = {**ONE, "call_id": None}
    world.begin("r")
    world.end("r", [item])
    output: Frame = {"id": "o", "type": "function_call_output", "call_id": "i"}
    output["output"] = "1"
    world.note({"type": "conversation.item.create", "item": output}, "out")
    assert not select_is_settled(world.session)
    world.event("conversation.item.added", item=output)
    assert [type(each) for each in world.live.commands[-1:]] == [Send]
    assert select_pending_calls(world.session) == ()


def test_a_call_that_gets_its_id_late() -> None:
    """Then it is run."""
    world = Reusing()
    world.begin("r")
    world.end("r", [{**ONE, "call_id": None}])
    assert world.run == []
    world.event(type="conversation.item.done", item=ONE)
    assert world.run == [("f", TEXT)]
    [(key, named)] = world.waiting
    world.start(key)
    world.finish(key, named)
    assert world.outputs() == {TEXT: f"of {TEXT}"}


def test_events_of_a_call_that_are_repeated() -> None:
    """It is run once, also if all its events arrive again after its output."""
    world = Reusing()
    events_of: list[Frame] = [
        added(ONE),
        {"type": "conversation.item.added", "item": {**ONE, "status": "in_progress"}},
        arguments("delta", delta=TEXT),
        arguments("done", arguments=TEXT, name="f"),
        arguments("done", arguments=TEXT, item_id="", name="f"),
        done(ONE),
        done(ONE),
        {"type": "conversation.item.done", "item": ONE},
    ]
    world.begin("r")
    for frame in events_of:
        world.event(**frame)
    world.end("r", [ONE])
    world.end("r", [ONE, OTHER])
    [(key, named)] = world.waiting
    world.start(key)
    for frame in events_of:
        world.event(**frame)
    world.finish(key, named)
    for frame in events_of:
        world.event(**frame)
    world.end("r", [ONE])
    world.event(type="conversation.item.retrieved", item=ONE)
    assert world.run == [("f", TEXT)]
    assert sorted(world.session.items) == ["i", "o0"]
    assert world.session.problems == ()


def test_arguments_for_no_item() -> None:
    """They are those of the call with their ``call_id``."""
    world = Reusing()
    world.begin("r")
    world.event(**added(ONE))
    world.event(**arguments("delta", item_id="", delta="{"))
    world.event(**arguments("done", item_id="", arguments=TEXT, name="f"))
    world.end("r", [])
    assert world.run == [("f", TEXT)]
