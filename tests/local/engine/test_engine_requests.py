"""Client events: their effects, and the errors for invalid ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from duologue.local.engine import effects
from duologue.local.interfaces import Line, Say

if TYPE_CHECKING:
    from tests.local.conftest import Bench

    Make = Callable[..., Bench]

TEXT = {"type": "realtime", "output_modalities": ["text"]}


def said(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **more}


def invalid(code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an ``error`` event."""
    return {
        "type": "invalid_request_error",
        "code": code,
        "message": message,
        "param": param,
        "event_id": None,
    }


def test_the_session_is_shown_when_it_begins(bench: Make) -> None:
    desk = bench(session={"model": "some-model", "instructions": "Be brief."})
    session = desk.last("session.created")["session"]
    assert session["model"] == "some-model"
    assert session["instructions"] == "Be brief."
    assert session["expires_at"] == 1000 + 3600
    assert session["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


def test_an_update_changes_only_what_it_names(bench: Make) -> None:
    desk = bench(transcribe=False)
    before = desk.last("session.created")["session"]
    change = {"input": {"turn_detection": {"silence_duration_ms": 200}}}
    desk.send("session.update", session={"type": "realtime", "audio": change})
    session = desk.last("session.updated")["session"]
    before["audio"]["input"]["turn_detection"]["silence_duration_ms"] = 200
    assert session == before


def test_null_switches_off(bench: Make) -> None:
    desk = bench()
    off = {"input": {"turn_detection": None, "transcription": None}}
    desk.send("session.update", session={"type": "realtime", "audio": off})
    shown = desk.last("session.updated")["session"]["audio"]["input"]
    assert shown["turn_detection"] is None
    assert shown["transcription"] is None


TRUNCATE = {
    "type": "conversation.item.truncate",
    "item_id": "item_1",
    "content_index": 0,
    "audio_end_ms": 0,
}


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "transcription"}, "invalid_parameter", "session.type"),
        ({"type": "other"}, "invalid_value", "session.type"),
        ({"type": "realtime", "audio": 3}, "invalid_type", "session.audio"),
        (
            {"type": "realtime", "audio": {"input": {"turn_detection": 3}}},
            "invalid_type",
            "session.audio.input.turn_detection",
        ),
        (
            {"type": "realtime", "output_modalities": ["text", "audio"]},
            "invalid_value",
            "session.output_modalities",
        ),
        (
            {
                "type": "realtime",
                "audio": {"input": {"format": {"type": "audio/opus"}}},
            },
            "invalid_value",
            "session.audio.input.format.type",
        ),
    ],
)
def test_an_update_that_is_wrong_is_refused_whole(
    bench: Make, session: dict[str, Any], code: str, param: str
) -> None:
    desk = bench()
    desk.send("session.update", event_id="mine", session=session)
    error = desk.last("error")["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    desk.send("session.update", session={"type": "realtime"})
    created, updated = desk.last("session.created"), desk.last("session.updated")
    assert updated["session"] == created["session"]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "null",
        "[1]",
        '"text"',
        "{}",
        '{"type": 3}',
        '{"type": "no.such.event"}',
        '{"type": "session.created"}',
        '{"type": "conversation.item.create"}',
        '{"type": "conversation.item.create", "item": {"type": "what"}}',
        '{"type": "conversation.item.create", "item": {"type": "message", "role": 3}}',
        '{"type": "conversation.item.create", "item": {"type": "item_reference"}}',
        '{"type": "conversation.item.delete", "item_id": "item_99"}',
        '{"type": "conversation.item.retrieve", "item_id": "item_99"}',
        '{"type": "conversation.item.truncate", "item_id": "x", "content_index": 0}',
        '{"type": "input_audio_buffer.append"}',
        '{"type": "input_audio_buffer.append", "audio": "&&&"}',
        '{"type": "input_audio_buffer.append", "audio": "ü"}',
        '{"type": "input_audio_buffer.commit"}',
        '{"type": "response.cancel"}',
        '{"type": "response.cancel", "response_id": "resp_99"}',
        '{"type": "response.create", "response": {"metadata": {"a": 1}}}',
        '{"type": "response.create", "response": {"output_modalities": ["smell"]}}',
        '{"type": "session.update"}',
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_a_frame_that_cannot_be_done_is_one_error(
    bench: Make, frame: str | bytes
) -> None:
    """The error has the service's shape, and the session continues."""
    desk = bench()
    desk.forget()
    desk.raw(frame)
    assert desk.types == ["error"]
    error = desk.last("error")["error"]
    assert error["type"] == "invalid_request_error"
    assert error["code"]
    assert error["message"]
    desk.send("conversation.item.create", item=said("hello"))
    assert desk.types[-1] == "conversation.item.done"


@pytest.mark.parametrize("where", ["session", "response"])
def test_a_tool_has_a_type(bench: Make, where: str) -> None:
    """A tool without a type is no function (API page "session.update")."""
    desk = bench()
    config: dict[str, Any] = {"tools": [{"name": "add"}]}
    if where == "session":
        config["type"] = "realtime"
    kind = {"session": "session.update", "response": "response.create"}[where]
    desk.send(kind, **{where: config})
    param = f"{where}.tools[0].type"
    assert desk.last("error")["error"] == {
        "type": "invalid_request_error",
        "code": "missing_required_parameter",
        "message": f"Missing required parameter: '{param}'.",
        "param": param,
        "event_id": None,
    }


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "missing_required_parameter", "type"),
        ({"type": None}, "missing_required_parameter", "type"),
        ({"type": "no.such"}, "invalid_value", "type"),
        ({"type": ["x"]}, "invalid_value", "type"),
        ({"type": "response.create", "x": 1}, "unknown_parameter", "x"),
        ({"type": "session.update", "x": 1}, "unknown_parameter", "x"),
        ({"type": "input_audio_buffer.append", "x": 1}, "unknown_parameter", "x"),
        ({"type": "response.create", "event_id": 3}, "invalid_type", "event_id"),
        (
            {"type": "response.create", "event_id": "x" * 513},
            "string_above_max_length",
            "event_id",
        ),
        ({"type": "session.update", "session": 3}, "invalid_type", "session"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "response.create", "response": 3}, "invalid_type", "response"),
        ({"type": "response.cancel", "response_id": 3}, "invalid_type", "response_id"),
        ({"type": "conversation.item.create", "item": 3}, "invalid_type", "item"),
        (
            {"type": "conversation.item.delete", "item_id": 3},
            "invalid_type",
            "item_id",
        ),
        (
            {"type": "conversation.item.retrieve"},
            "missing_required_parameter",
            "item_id",
        ),
        (
            {**TRUNCATE, "audio_end_ms": 1.5},
            "invalid_type",
            "audio_end_ms",
        ),
        (
            {**TRUNCATE, "content_index": -1},
            "integer_below_min_value",
            "content_index",
        ),
        (
            {"type": "input_audio_buffer.append", "audio": None},
            "invalid_type",
            "audio",
        ),
    ],
)
def test_what_stands_around_an_event_is_checked(
    bench: Make, event: dict[str, Any], code: str, param: str
) -> None:
    """The type, keys, values and id, with messages of the service, not of a library."""
    desk = bench()
    desk.raw(json.dumps(event))
    error = desk.last("error")["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert f"'{param}'" in error["message"] or param == "type"
    assert "`" not in error["message"]


@pytest.mark.parametrize(
    "frame", ["{", "", "nul", '{"type": "x",}', b"\xff", "[" * 999]
)
def test_what_is_not_json_is_said_in_no_librarys_words(
    bench: Make, frame: str | bytes
) -> None:
    desk = bench()
    desk.raw(frame)
    assert desk.last("error")["error"] == {
        "type": "invalid_request_error",
        "code": "invalid_json",
        "message": "Invalid event: it could not be read as JSON.",
        "param": None,
        "event_id": None,
    }


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "message", "role": "user", "content": []}, "id"),
        ({"type": "function_call_output", "output": "a"}, "call_id"),
        ({"type": "function_call", "name": "a", "arguments": "{}"}, "call_id"),
    ],
)
def test_an_id_has_32_characters_at_most(
    bench: Make, item: dict[str, Any], param: str
) -> None:
    desk = bench()
    desk.send("conversation.item.create", item=item | {param: "x" * 33})
    error = desk.last("error")["error"]
    assert (error["code"], error["param"]) == (
        "string_above_max_length",
        f"item.{param}",
    )
    assert error["message"] == (
        f"Invalid 'item.{param}': string too long. Expected a string with maximum "
        "length 32, but got a string with length 33 instead."
    )
    if item["type"] == "function_call_output":
        call = {"type": "function_call", "name": "a", "arguments": "{}"}
        desk.send("conversation.item.create", item=call | {"call_id": "x" * 32})
    desk.send("conversation.item.create", item=item | {param: "x" * 32})
    assert desk.last("conversation.item.added")["item"][param] == "x" * 32


def test_an_unknown_type_is_told_the_known_ones(bench: Make) -> None:
    desk = bench()
    desk.send("no.such")
    message = desk.last("error")["error"]["message"]
    assert message.startswith("Invalid value: 'no.such'. Supported values are: ")
    assert "'session.update'" in message
    assert "'input_audio_buffer.append'" in message


@pytest.mark.parametrize("broken", ["clear_input", "tick"])
def test_a_fault_of_ours_costs_one_event(
    bench: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: str,
) -> None:
    """The client gets an error, the log the reason, and the session continues."""
    desk = bench()

    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    with monkeypatch.context() as patched:
        patched.setattr(desk.engine, broken, fail)
        desk.engine.receive(
            json.dumps({"type": "input_audio_buffer.clear", "event_id": "mine"}),
            desk.at,
        )
    desk.follow()
    assert desk.last("error")["error"] == {
        "type": "server_error",
        "code": "server_error",
        "message": "The server had an error while processing your request.",
        "param": None,
        "event_id": "mine",
    }
    assert "a secret" in caplog.text
    desk.send("conversation.item.create", item=said("hello"))
    assert desk.types[-1] == "conversation.item.done"


def test_an_error_names_the_clients_event(bench: Make) -> None:
    desk = bench()
    desk.send("response.cancel", event_id="evt_1")
    event = desk.last("error")
    assert event["error"]["event_id"] == "evt_1" != event["event_id"]
    assert event["error"]["code"] == "response_cancel_not_active"


def test_a_typed_turn_answered_in_text(bench: Make) -> None:
    desk = bench(session=TEXT, says="Hello there.")
    desk.forget()
    desk.send("conversation.item.create", item=said("hello", id="mine"))
    desk.send("response.create")
    desk.run(3)
    assert desk.types == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert desk.of("conversation.item.added")[0]["item"]["id"] == "mine"
    assert desk.last("conversation.item.added")["previous_item_id"] == "mine"
    [item] = desk.last("response.done")["response"]["output"]
    assert item["content"] == [{"type": "output_text", "text": "Hello there."}]


def test_a_typed_turn_answered_in_speech(bench: Make) -> None:
    desk = bench(media=True)
    desk.send("conversation.item.create", item=said("hello"))
    desk.send("response.create")
    desk.run(3)
    assert len(desk.played) == 48_000
    assert desk.types[-1] == "output_audio_buffer.stopped"


def test_the_mind_gets_the_conversation_in_order(bench: Make) -> None:
    desk = bench(session={**TEXT, "instructions": "Be brief."}, says="Yes.")
    desk.send("conversation.item.create", item=said("second"))
    desk.send("conversation.item.create", item=said("first"), previous_item_id="root")
    desk.send("response.create")
    desk.run(1)
    desk.hold = (effects.GenerateReply,)
    desk.send("conversation.item.create", item=said("third"))
    desk.send("response.create")
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert think.prompt.instructions == "Be brief."
    assert think.prompt.lines == (
        Line("user", "first"),
        Line("user", "second"),
        Line("assistant", "Yes."),
        Line("user", "third"),
    )


def test_an_item_stands_behind_the_one_it_names(bench: Make) -> None:
    desk = bench()
    for name, previous in (("a", None), ("b", "a"), ("c", "root"), ("d", "a")):
        where = {} if previous is None else {"previous_item_id": previous}
        desk.send("conversation.item.create", item=said(name, id=name), **where)
    added = [event["previous_item_id"] for event in desk.of("conversation.item.added")]
    assert added == [None, "a", None, "a"]
    desk.forget()
    desk.send("conversation.item.create", item=said("e"), previous_item_id="nobody")
    desk.send("conversation.item.create", item=said("f", id="a"))
    assert [event["error"] for event in desk.events] == [
        invalid(
            "item_create_invalid_previous_item_id",
            "Error adding item: the previous item with id 'nobody' does not exist.",
        ),
        invalid(
            "item_create_duplicate_item_id",
            "Error adding item: an item with id 'a' already exists.",
        ),
    ]


def test_one_response_at_a_time(bench: Make) -> None:
    desk = bench()
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create")
    desk.send("response.create", event_id="second")
    error = desk.last("error")["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "second"
    desk.release()
    desk.run(3)
    assert len(desk.of("response.created")) == len(desk.of("response.done")) == 1


def test_responses_beside_the_conversation(bench: Make) -> None:
    """Several at once, without items in the conversation, identified by metadata."""
    desk = bench(session=TEXT)
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create")
    for topic in ("one", "two"):
        desk.send(
            "response.create",
            response={
                "conversation": "none",
                "metadata": {"topic": topic},
                "input": [said("something else")],
            },
        )
    prompts = [
        job.prompt for job in desk.held if isinstance(job, effects.GenerateReply)
    ]
    assert [prompt.heard for prompt in prompts] == [
        "",
        "something else",
        "something else",
    ]
    desk.release()
    desk.run(3)
    done = [event["response"] for event in desk.of("response.done")]
    assert sorted(str(each["conversation_id"]) for each in done)[:2] == ["None", "None"]
    assert {each["metadata"].get("topic") for each in done} == {None, "one", "two"}
    assert len(desk.of("conversation.item.added")) == 1


def test_every_response_says_that_it_is_scripted(bench: Make) -> None:
    """The label does not replace the client's own metadata."""
    desk = bench(session=TEXT)
    desk.send("response.create", response={"metadata": {"mine": "1"}})
    desk.run(3)
    for kind in ("response.created", "response.done"):
        assert desk.last(kind)["response"]["metadata"] == {
            "duologue": "scripted, not a language model",
            "mine": "1",
        }


def test_a_response_may_differ_from_its_session(bench: Make) -> None:
    desk = bench()
    desk.send("response.create", response={"output_modalities": ["text"]})
    desk.run(3)
    assert "response.output_text.done" in desk.types
    assert desk.last("response.done")["response"]["output_modalities"] == ["text"]


def test_a_mind_that_fails_is_heard_out(bench: Make) -> None:
    """The text before the failure is sent completely, then the response fails."""
    desk = bench()
    desk.hold = (effects.GenerateReply,)
    desk.send("response.create", response={"output_modalities": ["text"]})
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    desk.engine.thought(think.response, Say("one two three"), desk.at)
    desk.engine.mind_failed(think.response, "no more", desk.at, code="out")
    desk.run(5)
    response = desk.last("response.done")["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "out"
    assert response["output"][0]["content"] == [
        {"type": "output_text", "text": "one two three"}
    ]


def test_a_response_has_its_keys_from_the_beginning(bench: Make) -> None:
    """Keys without a value are null, as in recorded sessions."""
    desk = bench()
    desk.send("response.create", response={"output_modalities": ["text"]})
    desk.run(5)
    created = desk.last("response.created")["response"]
    assert {key: created[key] for key in ("status_details", "usage")} == {
        "status_details": None,
        "usage": None,
    }
    assert created.keys() == desk.last("response.done")["response"].keys()


def test_a_response_is_cancelled_by_hand(bench: Make) -> None:
    """The item is incomplete with the text so far, and playback continues."""
    desk = bench(media=True, says="one two three four " * 20, audio_ms=3000)
    desk.send("response.create")
    desk.run(1)
    desk.forget()
    desk.send("response.cancel")
    response = desk.last("response.done")["response"]
    assert response["status_details"]["reason"] == "client_cancelled"
    [item] = response["output"]
    assert item["status"] == "incomplete"
    assert item["content"][0]["transcript"].startswith("one two three four")
    desk.run(3)
    assert desk.types[-1] == "output_audio_buffer.stopped"
    desk.send("response.cancel")
    assert desk.last("error")["error"]["code"] == "response_cancel_not_active"


def test_the_output_is_cleared_by_hand(bench: Make) -> None:
    desk = bench(media=True, audio_ms=5000)
    desk.send("response.create")
    desk.run(1)
    desk.forget()
    desk.send("output_audio_buffer.clear")
    assert desk.types == ["output_audio_buffer.cleared", "conversation.item.truncated"]
    desk.send("output_audio_buffer.clear")
    assert len(desk.types) == 2


def test_an_item_is_retrieved_and_deleted(bench: Make) -> None:
    desk = bench()
    desk.send("conversation.item.create", item=said("hello", id="a"))
    desk.send("conversation.item.retrieve", item_id="a")
    item = desk.last("conversation.item.retrieved")["item"]
    assert item == said("hello", id="a", status="completed")
    desk.send("conversation.item.delete", item_id="a")
    assert desk.types[-1] == "conversation.item.deleted"
    desk.send("conversation.item.delete", item_id="a")
    assert desk.types[-1] == "error"


@pytest.mark.parametrize("doing", ["retrieve", "delete", "truncate"])
def test_an_unknown_item_has_the_code_that_clients_compare_with(
    bench: Make, doing: str
) -> None:
    """An unmodified pipecat waits for ever for another code of ``retrieve``."""
    desk = bench()
    desk.send("conversation.item.create", item=said("hello", id="gone"))
    desk.send("conversation.item.delete", item_id="gone")
    desk.forget()
    for item_id in ("nobody", "gone"):
        where = {"content_index": 0, "audio_end_ms": 0} if doing == "truncate" else {}
        desk.send(f"conversation.item.{doing}", item_id=item_id, **where)
    doing_it = {"retrieve": "retrieving", "delete": "deleting"}.get(doing, "truncating")
    assert [event["error"] for event in desk.events] == [
        invalid(
            f"item_{doing}_invalid_item_id",
            f"Error {doing_it} item: the item with id '{item_id}' does not exist.",
        )
        for item_id in ("nobody", "gone")
    ]


def test_only_the_assistants_audio_is_truncated(bench: Make) -> None:
    """Not a message of the user, a written reply or a call."""
    desk = bench(session=TEXT)
    desk.send("conversation.item.create", item=said("hello", id="user"))
    call = {"type": "function_call", "name": "a", "arguments": "{}", "id": "call"}
    desk.send("conversation.item.create", item=call)
    desk.send("response.create")
    desk.run(3)
    [written] = desk.last("response.done")["response"]["output"]
    desk.forget()
    for item_id in ("user", "call", written["id"]):
        desk.send(**_renamed({**TRUNCATE, "item_id": item_id}))
    assert [event["error"] for event in desk.events] == 3 * [
        invalid(
            "unsupported_content_type",
            "Only model output audio messages can be truncated",
        )
    ]


def test_the_output_of_an_unknown_call_is_refused(bench: Make) -> None:
    """A call of the client's own history counts; a deleted call does not."""
    desk = bench()
    call = {"type": "function_call", "name": "a", "arguments": "{}", "call_id": "c"}
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    desk.send("conversation.item.create", item={**call, "id": "call"})
    desk.send("conversation.item.create", item=output)
    assert desk.types[-1] == "conversation.item.done"
    desk.send("conversation.item.delete", item_id="call")
    desk.forget()
    desk.send("conversation.item.create", item=output)
    desk.send("conversation.item.create", item={**output, "call_id": "other"})
    assert [event["error"] for event in desk.events] == [
        invalid(
            "invalid_tool_call_id",
            f"Tool call ID '{call_id}' not found in conversation.",
        )
        for call_id in ("c", "other")
    ]


def test_the_assistants_audio_cannot_be_restored(bench: Make) -> None:
    """Only its text, also in the input of a response."""
    desk = bench(session=TEXT)
    part = {"type": "output_audio", "transcript": "Hello."}
    item = {"type": "message", "role": "assistant", "content": [part]}
    desk.forget()
    desk.send("conversation.item.create", item=item)
    desk.send("response.create", response={"input": [item]})
    message = "Invalid value: 'output_audio'. Supported values are: 'output_text'."
    assert [event["error"] for event in desk.events] == [
        invalid("invalid_value", message, "item.content[0].type"),
        invalid("invalid_value", message, "response.input[0].content[0].type"),
    ]
    written = {**item, "content": [{"type": "output_text", "text": "Hello."}]}
    desk.send("conversation.item.create", item=written)
    assert desk.last("conversation.item.done")["item"]["content"] == written["content"]


NULLS: list[dict[str, Any]] = [
    {"type": "response.create", "response": None, "event_id": None},
    {
        "type": "response.create",
        "response": {
            "conversation": None,
            "input": None,
            "instructions": None,
            "output_modalities": None,
            "audio": None,
            "tools": None,
            "tool_choice": None,
            "parallel_tool_calls": None,
            "max_output_tokens": None,
            "metadata": None,
            "reasoning": None,
            "prompt": None,
        },
    },
    {
        "type": "response.create",
        "response": {
            "audio": {"output": {"format": None, "voice": None}},
            "reasoning": {"effort": None},
            "prompt": {"id": "pmpt_1", "version": None, "variables": None},
        },
    },
]


@pytest.mark.parametrize("event", NULLS)
def test_a_null_of_a_response_is_not_given(bench: Make, event: dict[str, Any]) -> None:
    """The session's value counts."""
    desk = bench(session={**TEXT, "instructions": "Be brief."})
    desk.hold = (effects.GenerateReply,)
    desk.raw(json.dumps(event))
    [think] = desk.held
    assert isinstance(think, effects.GenerateReply)
    assert (think.prompt.instructions, think.prompt.modalities) == (
        "Be brief.",
        ("text",),
    )
    desk.release()
    desk.run(3)
    response = desk.last("response.done")["response"]
    assert (response["status"], response["max_output_tokens"]) == ("completed", "inf")


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "content": [], "phase": None},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_audio", "audio": None, "transcript": "a"}],
        },
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "x", "detail": None}],
        },
        {"type": "function_call", "name": "a", "arguments": "{}", "call_id": None},
        {
            "type": "mcp_call",
            "id": "m",
            "server_label": "a",
            "name": "b",
            "arguments": "{}",
            "output": None,
            "approval_request_id": None,
        },
    ],
)
def test_a_null_of_an_item_is_not_given(bench: Make, item: dict[str, Any]) -> None:
    """The item is as without the nulls."""
    made = []
    for nulls in ({"status": None, "object": None}, {}):
        desk = bench()
        given = nulls | ({"id": None} if nulls and "id" not in item else {}) | item
        if not nulls:
            given = _without_nulls(item)
        desk.send("conversation.item.create", item=given, previous_item_id=None)
        made.append(desk.last("conversation.item.done")["item"])
    assert made[0] == made[1]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nulls(each) for each in value]
    if isinstance(value, dict):
        return {
            k: _without_nulls(each) for k, each in value.items() if each is not None
        }
    return value


def test_an_item_deleted_while_it_is_made_stays_deleted(bench: Make) -> None:
    desk = bench(says="one two three four " * 20)
    desk.send("response.create")
    item_id = desk.last("response.output_item.added")["item"]["id"]
    desk.send("conversation.item.delete", item_id=item_id)
    desk.forget()
    desk.run(10)
    assert "conversation.item.done" not in desk.types
    assert "response.done" in desk.types


def test_a_truncation_forgets_the_words_and_is_clamped(bench: Make) -> None:
    desk = bench(audio_ms=1000)
    desk.send("response.create")
    desk.run(3)
    [item] = desk.last("response.done")["response"]["output"]
    where = {"item_id": item["id"], "content_index": 0}
    desk.send("conversation.item.truncate", **where, audio_end_ms=1001)
    message = desk.last("error")["error"]["message"]
    assert message == "Audio content of 1000ms is already shorter than 1001ms"
    other = {"item_id": item["id"], "content_index": 1}
    desk.send("conversation.item.truncate", **other, audio_end_ms=400)
    assert desk.last("error")["error"]["param"] == "content_index"
    desk.send("conversation.item.truncate", **where, audio_end_ms=400)
    assert desk.last("conversation.item.truncated")["audio_end_ms"] == 400
    desk.send("conversation.item.truncate", **where, audio_end_ms=500)
    assert desk.types[-1] == "error"
    desk.send("conversation.item.retrieve", item_id=item["id"])
    shown = desk.last("conversation.item.retrieved")["item"]
    assert shown["content"] == [{"type": "output_audio", "transcript": ""}]


def test_audio_in_events_may_be_cut_anywhere(
    bench: Make, append: Callable[[bytes], dict[str, Any]]
) -> None:
    """A sample split between events is joined; the turn is detected."""
    desk = bench()
    pcm = b"\x01\x10" * 24_000 + bytes(48_000)
    for start in range(0, len(pcm), 777):
        desk.send(**_renamed(append(pcm[start : start + 777])))
    assert len(desk.of("input_audio_buffer.committed")) == 1


@pytest.mark.parametrize("kind", ["conversation.item.create", "commit"])
def test_much_audio_is_heard_in_steps(
    bench: Make, append: Callable[[bytes], dict[str, Any]], kind: str
) -> None:
    """Other tasks run in between; the recogniser gets all of the audio once."""
    desk = bench(session={"audio": {"input": {"turn_detection": None}}})
    minutes = bytes(3 * 60 * 48_000)
    event = append(minutes)
    if kind == "commit":
        desk.send(**_renamed(event))
        frame = json.dumps({"type": "input_audio_buffer.commit"})
    else:
        part = {"type": "input_audio", "audio": event["audio"]}
        item = {"type": "message", "role": "user", "content": [part]}
        frame = json.dumps({"type": kind, "item": item})
    steps = 0
    for _ in desk.engine.receive_in_steps(frame, desk.at):
        desk.follow()
        steps += 1
    desk.follow()
    assert steps >= 9
    [heard] = desk.fed.values()
    assert heard == len(minutes) // 6 * 4


def _renamed(event: dict[str, Any]) -> dict[str, Any]:
    return {"kind": event.pop("type"), **event}


def test_usage_adds_up_by_modality(bench: Make) -> None:
    """Cached tokens are part of the input tokens."""
    desk = bench(audio_ms=1000)
    desk.turn()
    desk.run(3)
    usage = desk.last("response.done")["response"]["usage"]
    given, made = usage["input_token_details"], usage["output_token_details"]
    assert usage["input_tokens"] == given["text_tokens"] + given["audio_tokens"]
    assert usage["output_tokens"] == made["text_tokens"] + made["audio_tokens"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert made["audio_tokens"] == 20
    assert given["audio_tokens"] == 16  # a second of speech and the silence after it


def test_base64_of_the_reply_is_pcm16(bench: Make) -> None:
    desk = bench(audio_ms=250)
    desk.send("response.create")
    desk.run(3)
    deltas = [event["delta"] for event in desk.of("response.output_audio.delta")]
    assert b"".join(map(base64.b64decode, deltas)) == b"\x00\x20" * 6000
