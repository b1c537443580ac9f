"""Tools: functions that the model calls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Annotated, Any, Literal

import msgspec
import pytest

from duologue.core import (
    Record,
    SessionConfig,
    Store,
    dump,
    events,
    load,
    select_is_settled,
    select_running_calls,
    select_transcripts,
)
from duologue.core.events import FunctionTool
from duologue.local import Options, Parts, in_process
from duologue.local.replies.scenario_file import load_scenario
from duologue.transports import Client, Transport
from duologue.transports.client import tools
from duologue.transports.client.tools import MAX_OUTPUT, Toolbox, tool
from duologue.transports.drivers.memory import pair

TYPED = SessionConfig(output_modalities=("text",))
SCENARIO = """
rules:
  - hear: both
    call:
      - {name: weather, arguments: {city: Rome}}
      - {name: weather, arguments: {city: Oslo}}
  - hear: fail
    call: {name: broken, arguments: {}}
  - hear: wrong
    call: {name: weather, arguments: {city: 5}}
  - hear: unknown
    call: {name: nowhere, arguments: {}}
  - result: .*
    say: "It gave {output}"
"""


def weather(city: str, days: int = 1) -> dict[str, Any]:
    """The weather in a city."""
    return {"city": city, "days": days}


async def broken() -> str:
    raise ValueError("no\nluck")


def service(tmp_path: Any) -> Transport:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    parts = Parts(mind=load_scenario(path))
    return in_process(parts=parts, options=Options(pace=float("inf")))


def test_the_schema_comes_from_the_annotations() -> None:
    """Types, defaults, descriptions and choices; no other arguments."""

    def find(
        what: Annotated[str, msgspec.Meta(description="the words")],
        where: Literal["here", "there"] = "here",
        limits: list[int] = [1],  # noqa: B006 - what it is called with
    ) -> None:
        """Find something."""

    made = tool(find)
    assert made.spec.name == "find"
    assert made.spec.description == "Find something."
    assert json.loads(msgspec.json.encode(made.spec.parameters)) == {
        "type": "object",
        "properties": {
            "what": {"type": "string", "description": "the words"},
            "where": {"enum": ["here", "there"], "default": "here"},
            "limits": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["what"],
        "additionalProperties": False,
    }


def test_nested_types_stand_in_the_schema() -> None:
    """By name, next to the arguments."""

    class Place(msgspec.Struct):
        city: str

    def go(where: Place) -> None: ...

    go.__annotations__["where"] = Place
    schema = json.loads(msgspec.json.encode(tool(go).spec.parameters))
    assert schema["properties"] == {"where": {"$ref": "#/$defs/Place"}}
    assert list(schema["$defs"]) == ["Place"]


def positional(a: int, /) -> None: ...


def spread(*a: int) -> None: ...


@pytest.mark.parametrize("function", [positional, spread])
def test_arguments_have_names(function: Any) -> None:
    """The model passes arguments by name."""
    with pytest.raises(TypeError, match="by name"):
        tool(function)


async def test_what_a_tool_gives() -> None:
    """Text unchanged, other results as JSON; functions of both kinds."""

    async def later(a: int) -> int:
        return a + 1

    def text() -> str:
        return "as it is"

    def long() -> str:
        return "x" * (MAX_OUTPUT + 1)

    assert await tool(weather).call('{"city":"Rome"}') == '{"city":"Rome","days":1}'
    assert await tool(later).call('{"a":1}') == "2"
    assert await tool(text).call("") == "as it is"
    with pytest.raises(ValueError, match="more than"):
        await tool(long).call("{}")
    for wrong in ("{", '{"city":5}', '{"city":"a","new":1}', "{}"):
        with pytest.raises(msgspec.MsgspecError):
            await tool(weather).call(wrong)


async def test_calls_of_one_response_have_one_answer(tmp_path: Any) -> None:
    """Both run, both outputs are sent, and one response is requested."""
    records: list[Record] = []
    async with Client(base_url="http://127.0.0.1/v1") as client:
        client.store.subscribe(lambda before, record, after: records.append(record))
        session = await client.start_session(
            TYPED, transport=service(tmp_path), tools=[weather]
        )
        await session.send_text("both please")
        state = await session.until(
            lambda s: select_is_settled(s) and len(select_transcripts(s)) > 1,
            timeout=20,
        )
    sent = [r.event for r in records if r.dir == "out"]
    outputs = sorted(
        event.item.output
        for event in sent
        if isinstance(event, events.ConversationItemCreate)
        and isinstance(event.item, events.FunctionCallOutputItem)
    )
    assert outputs == ['{"city":"Oslo","days":1}', '{"city":"Rome","days":1}']
    asked = [event for event in sent if isinstance(event, events.ResponseCreate)]
    assert len(asked) == 2
    facts = [type(r.event).__name__ for r in records if r.dir == "local"]
    assert facts.count("ToolStarted") == facts.count("ToolFinished") == 2
    assert "It gave" in select_transcripts(state)[-1].text


@pytest.mark.parametrize(
    ("ask", "problem"),
    [
        ("fail", "ValueError: no luck"),
        ("wrong", "ValidationError: Expected `str`, got `int` - at `$.city`"),
        ("unknown", "LookupError: there is no tool 'nowhere'"),
    ],
)
async def test_the_model_is_told_what_went_wrong(
    tmp_path: Any, ask: str, problem: str
) -> None:
    """In the output and in the state; the session continues."""
    outputs: list[str] = []
    async with Client(base_url="http://127.0.0.1/v1") as client:
        facts: list[Any] = []
        client.store.subscribe(lambda before, record, after: facts.append(record.event))
        nowhere = FunctionTool(name="nowhere", parameters={"type": "object"})
        session = await client.start_session(
            TYPED, transport=service(tmp_path), tools=[weather, broken, nowhere]
        )
        if ask == "unknown":
            # The service still has the tool, the application does not.
            session._tools.replace([weather])
        await session.send_text(f"{ask} please")
        await session.until(
            lambda s: select_is_settled(s) and len(select_transcripts(s)) > 1,
            timeout=20,
        )
    outputs = [
        fact.item.output
        for fact in facts
        if isinstance(fact, events.ConversationItemCreate)
        and isinstance(fact.item, events.FunctionCallOutputItem)
    ]
    assert [json.loads(output) for output in outputs] == [{"error": problem}]
    ended = [fact for fact in facts if isinstance(fact, events.ToolFinished)]
    assert [fact.error for fact in ended] == [problem]


async def call(end: Any, name: str, status: str = "completed") -> None:
    item = {"id": "i", "type": "function_call", "call_id": "c", "name": name}
    item |= {"arguments": "{}", "status": status}
    done = {"type": "conversation.item.done", "event_id": "e", "item": item}
    await end.send(json.dumps({**done, "previous_item_id": None}))


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Fatal(BaseException):
    pass


SURROGATE = "caf\udce9"


@pytest.mark.parametrize(
    ("raised", "problem"),
    [
        (Unprintable(), "Unprintable: the exception has no message"),
        (ValueError(SURROGATE), "ValueError: caf\\udce9"),
        (ValueError("\0" * 200_000), f"ValueError: {chr(0) * (MAX_OUTPUT // 8 - 12)}"),
        (TimeoutError(SURROGATE), "caf\\udce9"),
        (Fatal("x"), "Fatal: x"),
        (BaseExceptionGroup("g", [Fatal()]), "BaseExceptionGroup: g (1 sub-exception)"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration(), "RuntimeError: {} raised StopIteration"),
        (asyncio.CancelledError(), "it was cancelled"),
        (SURROGATE, None),
        ({"name": SURROGATE}, None),
    ],
)
@pytest.mark.parametrize("is_coroutine", [True, False])
async def test_a_tool_never_ends_its_session(
    raised: Any, problem: str | None, is_coroutine: bool
) -> None:
    """The model gets every exception and every impossible result as an error."""

    def act() -> Any:
        if isinstance(raised, BaseException):
            raise raised
        return raised

    async def act_later() -> Any:
        return act()

    function = tool(act_later if is_coroutine else act, name="act", timeout=5)
    ours, theirs = pair()
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(TYPED, transport=ours, tools=[function])
        await call(theirs, "act")
        async with asyncio.timeout(5):
            output = json.loads(await anext(theirs.frames()))["item"]["output"]
        assert len(output) <= MAX_OUTPUT
        (found,) = json.loads(output).values()
        if problem is None:
            assert found.startswith("UnicodeEncodeError: ")
        else:
            assert found == problem.format("coroutine" if is_coroutine else "function")
        assert session.state.connection.status == "open"
        item_call = session.state.items["i"].call
        assert item_call is not None
        assert (item_call.running, item_call.error) == (False, found)


async def test_a_function_is_not_a_generator() -> None:
    """A task would take its GeneratorExit for its own end."""

    def act() -> None:
        raise GeneratorExit

    with pytest.raises(RuntimeError, match="function raised GeneratorExit"):
        await tool(act).call("{}")


async def test_a_tool_that_takes_too_long() -> None:
    """The model gets the error, and nothing waits for the tool."""

    async def slow() -> str:
        await asyncio.sleep(60)
        return "late"

    ours, theirs = pair()
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(
            TYPED, transport=ours, tools=[tool(slow, timeout=0.01)]
        )
        await call(theirs, "slow")
        sent = theirs.frames()
        output = json.loads(await anext(sent))["item"]["output"]
        assert json.loads(output) == {"error": "it took too long"}
        assert session.state.items["i"].call is not None


async def test_an_interrupted_call_is_not_run() -> None:
    """Its arguments may be incomplete."""
    ran: list[str] = []

    def act() -> None:
        ran.append("act")

    ours, theirs = pair()
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(TYPED, transport=ours, tools=[act])
        await call(theirs, "act", "incomplete")
        await session.until(lambda s: "i" in s.items, timeout=5)
        await asyncio.sleep(0.01)
    assert ran == []


async def test_a_tool_ends_with_its_session() -> None:
    """It is cancelled, and the state has the error."""
    ours, theirs = pair()
    started = asyncio.Event()

    async def endless() -> None:
        started.set()
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(TYPED, transport=ours, tools=[endless])
        await call(theirs, "endless")
        await asyncio.wait_for(started.wait(), 5)
        await session.close()
        found = session.state.items["i"].call
        assert found is not None
        assert (found.running, found.error) == (
            False,
            "the session ended before the tool did",
        )
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("end", ["timeout", "close"])
async def test_a_tool_that_ignores_its_cancellation_holds_nothing_up(
    end: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the tool; the model gets the timeout, the session can close."""
    monkeypatch.setattr(tools, "_GRACE", 0.01)
    started, finish = asyncio.Event(), asyncio.Event()

    async def stubborn() -> None:
        started.set()
        while not finish.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await finish.wait()

    ours, theirs = pair()
    timeout = 0.01 if end == "timeout" else 60
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(
            TYPED, transport=ours, tools=[tool(stubborn, timeout=timeout)]
        )
        await call(theirs, "stubborn")
        await asyncio.wait_for(started.wait(), 5)
        if end == "timeout":
            item = json.loads(await asyncio.wait_for(anext(theirs.frames()), 5))["item"]
            assert json.loads(item["output"]) == {"error": "it took too long"}
        await asyncio.wait_for(session.close(), 5)
        assert select_running_calls(session.state) == ()
    finish.set()
    assert "tool stubborn ignores its cancellation" in caplog.text


async def test_a_cancelled_tool_cleans_up() -> None:
    """It has a second for it; the session ends after that."""
    started, cleaned = asyncio.Event(), asyncio.Event()

    async def careful() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.set()

    ours, theirs = pair()
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(TYPED, transport=ours, tools=[careful])
        await call(theirs, "careful")
        await asyncio.wait_for(started.wait(), 5)
        await session.close()
    assert cleaned.is_set()


@pytest.mark.parametrize("end", ["killed", "closed"])
async def test_a_call_of_an_earlier_process_is_run_again(
    tmp_path: Any, end: str
) -> None:
    """Its tool was running: the continued session gives the output and the answer."""
    started = asyncio.Event()

    async def endless(city: str) -> None:
        started.set()
        await asyncio.Event().wait()

    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(
            TYPED,
            id="s",
            transport=service(tmp_path),
            tools=[tool(endless, name="weather")],
        )
        await session.send_text("both please")
        await asyncio.wait_for(started.wait(), 5)
        await session.until(lambda s: len(select_running_calls(s)) == 2, timeout=5)
        if end == "closed":
            await session.close()
        snapshot = dump(client.store.state)
    store = Store(load(snapshot))
    async with Client(base_url="http://127.0.0.1/v1", store=store) as client:
        session = await client.start_session(
            SessionConfig.changing(),
            id="s",
            transport=service(tmp_path),
            tools=[weather],
        )
        state = await session.until(
            lambda s: select_is_settled(s) and len(select_transcripts(s)) > 1,
            timeout=20,
        )
        assert "It gave" in select_transcripts(state)[-1].text
        outputs = [item.call.output for item in state.items.values() if item.call]
        assert set(outputs) == {
            '{"city":"Oslo","days":1}',
            '{"city":"Rome","days":1}',
        }
        await session.close()
        # Nothing is left to run for the next process.
        again = await client.start_session(
            id="s", transport=service(tmp_path), tools=[tool(endless, name="weather")]
        )
        await again.ask("thank you", timeout=20)
        assert select_running_calls(again.state) == ()


async def test_calls_of_a_history_are_not_run(tmp_path: Any) -> None:
    """Neither those with an output nor those without."""
    ran: list[str] = []

    def charge(amount: int) -> None:
        ran.append("charge")

    calls = [
        events.FunctionCallItem(call_id=name, name="charge", arguments='{"amount":1}')
        for name in ("a", "b")
    ]
    done = events.FunctionCallOutputItem(call_id="a", output="done")
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(
            TYPED, transport=service(tmp_path), tools=[charge], history=[*calls, done]
        )
        await session.until(lambda s: len(s.items) == 3, timeout=5)
        await session.ask("and now?", timeout=20)
    assert ran == []


async def test_a_thread_holds_nobody_up() -> None:
    """A slow plain function does not block the loop."""

    def slow() -> str:
        time.sleep(0.1)
        return "done"

    running = asyncio.create_task(tool(slow).call(""))
    begin = time.monotonic()
    await asyncio.sleep(0.01)
    assert time.monotonic() - begin < 0.09
    assert await running == "done"


def test_names_come_once() -> None:
    """Two tools with one name are refused."""
    box = Toolbox(lambda work: None, lambda fact: None, lambda event: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="duplicate"):
        box.replace([weather, FunctionTool(name="weather")])


async def test_calls_that_have_the_same_call_id() -> None:
    """Each runs with its own arguments, and its output has the ``call_id``."""
    ran: list[int] = []
    begun = asyncio.Event()

    async def wait(number: int) -> int:
        ran.append(number)
        if number == 1:
            await begun.wait()
        begun.set()
        return number

    ours, theirs = pair()
    async with Client(base_url="http://127.0.0.1/v1") as client:
        session = await client.start_session(TYPED, transport=ours, tools=[wait])
        created = {"id": "r", "conversation_id": "c", "status": "in_progress"}
        await theirs.send(json.dumps({"type": "response.created", "response": created}))
        calls = [
            {"id": f"i{number}", "type": "function_call", "call_id": "c"}
            | {"name": "wait", "arguments": json.dumps({"number": number})}
            for number in (1, 2)
        ]
        done = {**created, "status": "completed", "output": calls}
        await theirs.send(json.dumps({"type": "response.done", "response": done}))
        outputs: list[tuple[str, str]] = []
        async with asyncio.timeout(5):
            async for frame in theirs.frames():
                item = json.loads(frame).get("item", {})
                if "output" in item:
                    outputs.append((item["call_id"], item["output"]))
                if len(outputs) == 2:
                    break
        assert sorted(ran) == [1, 2]
        assert sorted(outputs) == [("c", "1"), ("c", "2")]
        assert [each.answered for each in map(call_of(session), ("i1", "i2"))] == [
            True,
            True,
        ]


def call_of(session: Any) -> Any:
    return lambda item_id: session.state.items[item_id].call
