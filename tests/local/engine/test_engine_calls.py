"""Function calls of the reply model: one, several, interrupted, answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from duologue.local.engine import effects
from duologue.local.interfaces import Call, Called, Line, Returned, Say, Tool

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

TEXT = {"output_modalities": ["text"]}
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather.",
    "parameters": {"type": "object"},
}
LONDON = Call("get_weather", '{"city": "London"}')
PARIS = Call("get_weather", '{"city": "Paris"}')
DELTA = "response.function_call_arguments.delta"
ARGUMENTS = "response.function_call_arguments.done"


def user(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content}


def output(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def test_a_call_has_the_recorded_order(bench: Make) -> None:
    """Argument deltas add up to the arguments of the item."""
    desk = bench(session=TEXT)
    desk.thoughts = (LONDON,)
    desk.forget()
    desk.send("response.create")
    desk.run(3)
    assert [kind for kind, _ in groupby(desk.types)] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        DELTA,
        ARGUMENTS,
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert len(desk.of(DELTA)) > 1
    joined = "".join(event["delta"] for event in desk.of(DELTA))
    done = desk.last(ARGUMENTS)
    assert joined == done["arguments"] == LONDON.arguments
    [item] = desk.last("response.done")["response"]["output"]
    assert item == {
        "type": "function_call",
        "id": item["id"],
        "status": "completed",
        "name": "get_weather",
        "call_id": done["call_id"],
        "arguments": LONDON.arguments,
    }


def test_parallel_calls_are_items_of_one_response(bench: Make) -> None:
    desk = bench(session=TEXT)
    desk.thoughts = (Say("Let me see."), LONDON, PARIS)
    desk.send("response.create")
    desk.run(3)
    response = desk.last("response.done")["response"]
    kinds = [item["type"] for item in response["output"]]
    assert kinds == ["message", "function_call", "function_call"]
    calls = [event["call_id"] for event in desk.of(ARGUMENTS)]
    assert len(set(calls)) == 2
    indices = [event["output_index"] for event in desk.of("response.output_item.done")]
    assert indices == [0, 1, 2]


def test_what_is_said_first_is_spoken_first(bench: Make) -> None:
    """On a media track too; playback is announced once for the response."""
    desk = bench(media=True, audio_ms=500)
    desk.thoughts = (Say("Let me see."), LONDON, Say("One moment."))
    desk.send("response.create")
    desk.run(6)
    kinds = [item["type"] for item in desk.last("response.done")["response"]["output"]]
    assert kinds == ["message", "function_call", "message"]
    assert len(desk.of("output_audio_buffer.started")) == 1
    assert len(desk.of("output_audio_buffer.stopped")) == 1
    assert len(desk.played) == 2 * 500 * 48


def test_barge_in_cuts_the_arguments(bench: Make) -> None:
    """The item is incomplete with the sent arguments; the next call is not added."""
    desk = bench()
    desk.thoughts = (Call("get_weather", json.dumps({"text": "x" * 2000})), PARIS)
    desk.send("response.create")
    desk.run(0.5)
    desk.hear(400, loud=True)
    response = desk.last("response.done")["response"]
    assert response["status_details"]["reason"] == "turn_detected"
    [item] = response["output"]
    assert item["status"] == "incomplete"
    joined = "".join(event["delta"] for event in desk.of(DELTA))
    assert item["arguments"] == joined == desk.last(ARGUMENTS)["arguments"]
    assert 0 < len(joined) < 2000


def test_what_was_complete_before_an_interruption_stays_complete(bench: Make) -> None:
    """Items end together, each with its own status."""
    desk = bench()
    desk.thoughts = (LONDON, Call("look", json.dumps({"text": "x" * 2000})))
    desk.send("response.create")
    desk.run(1.5)
    desk.hear(400, loud=True)
    output = desk.last("response.done")["response"]["output"]
    assert [item["status"] for item in output] == ["completed", "incomplete"]
    assert output[0]["arguments"] == LONDON.arguments


def test_the_mind_reads_calls_and_their_outputs(bench: Make) -> None:
    """The prompt has them, and the tools that the response overrides."""
    desk = bench(session={**TEXT, "tools": [WEATHER]})
    desk.thoughts = (LONDON,)
    desk.send("conversation.item.create", item=user("the weather please"))
    desk.send("response.create")
    desk.run(3)
    call_id = desk.last(ARGUMENTS)["call_id"]
    desk.send("conversation.item.create", item=output(call_id, "It is foggy."))
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create", response={"tool_choice": "none"})
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert think.prompt.lines == (
        Line("user", "the weather please"),
        Called(call_id, "get_weather", LONDON.arguments),
        Returned(call_id, "It is foggy."),
    )
    assert think.prompt.tools == (
        Tool("get_weather", "The weather.", '{"type":"object"}'),
    )
    assert think.prompt.tool_choice == "none"
    assert think.prompt.modalities == ("text",)


def test_a_response_may_be_given_its_own_input(bench: Make) -> None:
    """New items, and references to items of the conversation."""
    desk = bench(session=TEXT)
    first = {**user("first"), "id": "a"}
    desk.send("conversation.item.create", item=first)
    desk.hold = (effects.GenerateReply,)
    given = [{"type": "item_reference", "id": "a"}, user("second")]
    asked = {"conversation": "none", "input": given, "instructions": "Be brief."}
    desk.send("response.create", response=asked)
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert think.prompt.instructions == "Be brief."
    assert think.prompt.lines == (Line("user", "first"), Line("user", "second"))
    unknown = [{"type": "item_reference", "id": "nobody"}]
    desk.send("response.create", response={"input": unknown})
    assert desk.last("error")["error"]["code"] == "item_not_found"


def test_a_streamed_reply_is_spoken_sentence_by_sentence(bench: Make) -> None:
    """Synthesis of the first sentence starts before the reply is complete."""
    desk = bench()
    desk.hold = (effects.GenerateReply, effects.Synthesise)
    desk.send("response.create")
    response = desk.last("response.created")["response"]["id"]

    def spoken(*chunks: str) -> list[str]:
        for chunk in chunks:
            desk.engine.thought(response, Say(chunk), desk.at)
        desk.follow()
        return [job.text for job in desk.held if isinstance(job, effects.Synthesise)]

    assert spoken("It ", "costs 3", ".") == []
    assert spoken("50. Is", " that") == ["It costs 3.50."]
    assert spoken(" all", " right? Y") == ["It costs 3.50."]
    desk.engine.voiced(response, bytes(48_000), desk.at)
    desk.engine.voiced_all(response, desk.at)
    assert spoken("es") == ["It costs 3.50.", "Is that all right?"]
    desk.engine.thought_all(response, desk.at)
    desk.engine.voiced_all(response, desk.at)
    assert spoken() == ["It costs 3.50.", "Is that all right?", "Yes"]
    desk.engine.voiced_all(response, desk.at)
    desk.run(3)
    transcript = desk.last("response.output_audio_transcript.done")["transcript"]
    assert transcript == "It costs 3.50. Is that all right? Yes"


def test_a_failure_shows_its_code(bench: Make) -> None:
    desk = bench(session=TEXT)
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create")
    response = desk.last("response.created")["response"]["id"]
    why = "Too many."
    desk.engine.mind_failed(response, why, desk.at, code="rate_limit_exceeded")
    desk.follow()
    details = desk.last("response.done")["response"]["status_details"]
    assert details["error"] == {
        "type": "server_error",
        "code": "rate_limit_exceeded",
        "message": why,
    }


def phases(desk: Bench, response: str) -> list[tuple[str, str | None]]:
    """The type and phase of the output, the same in all events of an item."""
    kinds = ("response.output_item.added", "response.output_item.done")
    seen = [
        [(event["item"]["type"], event["item"].get("phase")) for event in desk.of(kind)]
        for kind in kinds
    ]
    [ended] = (e for e in desk.of("response.done") if e["response"]["id"] == response)
    seen.append([(i["type"], i.get("phase")) for i in ended["response"]["output"]])
    items = [
        [
            (event["item"]["type"], event["item"].get("phase"))
            for event in desk.of(kind)
            if event["item"].get("role") != "user"
        ]
        for kind in ("conversation.item.added", "conversation.item.done")
    ]
    assert all(each == seen[0] for each in [*seen, *items])
    return seen[0]


@pytest.mark.parametrize(
    ("model", "phase"),
    [
        ("gpt-realtime-2", True),
        ("gpt-realtime-2.1", True),
        ("gpt-realtime-2.1-mini", True),
        ("gpt-realtime-2-2026-05-01", True),
        ("gpt-realtime", False),
        ("gpt-realtime-2025-08-28", False),
        ("gpt-realtime-1.5", False),
        ("some-model", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("modality", ["text", "audio"])
def test_the_messages_of_a_reasoning_model_have_a_phase(
    bench: Make, model: str | None, phase: bool, modality: str
) -> None:
    """``commentary`` before a call, else ``final_answer``; a call has none."""
    session = {"output_modalities": [modality], "tools": [WEATHER], "model": model}
    desk = bench(session=session)
    desk.thoughts = (Say("I look."), LONDON, Say("Wait."), PARIS, Say("There."))
    desk.send("response.create")
    response = desk.last("response.created")["response"]["id"]
    desk.run(10)
    assert phases(desk, response) == [
        ("message", "commentary" if phase else None),
        ("function_call", None),
        ("message", "commentary" if phase else None),
        ("function_call", None),
        ("message", "final_answer" if phase else None),
    ]


@pytest.mark.parametrize(
    ("session", "waits"),
    [
        ({"tools": [WEATHER]}, True),
        ({"tools": [WEATHER], "tool_choice": "none"}, False),
        ({"tools": []}, False),
        ({"tools": [WEATHER], "model": "gpt-realtime"}, False),
    ],
)
def test_a_message_waits_for_its_phase(
    bench: Make, session: dict[str, Any], waits: bool
) -> None:
    """Until the reply model has finished it, if a call may follow."""
    desk = bench(session={"model": "gpt-realtime-2.1", **TEXT, **session})
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create")
    response = desk.last("response.created")["response"]["id"]
    desk.engine.thought(response, Say("I look. "), desk.at)
    desk.follow()
    desk.run(1)
    assert ("response.output_item.added" not in desk.types) is waits
    desk.engine.thought(response, Say("Soon."), desk.at)
    desk.engine.thought_all(response, desk.at)
    desk.follow()
    desk.run(1)
    [item] = desk.last("response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "I look. Soon."}]


def test_a_cancelled_message_that_waits_leaves_no_item(bench: Make) -> None:
    session = {"model": "gpt-realtime-2.1", **TEXT, "tools": [WEATHER]}
    desk = bench(session=session)
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create")
    response = desk.last("response.created")["response"]["id"]
    desk.engine.thought(response, Say("I look. "), desk.at)
    desk.send("response.cancel")
    assert desk.last("response.done")["response"]["output"] == []
