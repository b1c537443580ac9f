"""The client events, and their ids."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from duologue.core import Session, SessionConfig, SessionKind, decode, encode, events
from duologue.core.effects import commands
from duologue.core.effects.commands import Connect, Disconnect, Send, SwitchTo
from duologue.core.events.base import ClientEvent
from duologue.core.state.model import Activity, Responses


def wire(event: ClientEvent) -> Any:
    return json.loads(encode(event))


def test_ids_are_reproducible() -> None:
    """An id has the session, the record and a number, in at most 512 characters."""
    assert commands.command_id("s", 7, 1) == "s.7.1"
    assert len(commands.command_id("s" * 1000, 10**15, 10**6)) <= 512


def test_an_event_keeps_its_id() -> None:
    """An event without an id gets one."""
    event = commands.create_response()
    named = commands.identified(event, "a")

    assert events.ResponseCreate(event_id="a") == named
    assert named is commands.identified(named, "b")


POLICY = events.ConnectPolicy(15.0, True, 1.0, 2.0, 3.0, 4.0, 5.0)
FIRST = Connect("s", "why", 2, 3, True, 4.0, True, POLICY)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (
            FIRST.fact,
            events.Connecting(
                attempt=3, successor=True, new_key=True, reason="why", policy=POLICY
            ),
        ),
        (FIRST.connected, events.Connected(attempt=3, successor=True)),
        (
            FIRST.failed("no", status=500),
            events.ConnectFailed(attempt=3, successor=True, status=500, reason="no"),
        ),
        (Disconnect("s", 2).fact, events.Disconnected(expected=True)),
        (
            Disconnect("s", 2, "gone", expected=False).fact,
            events.Disconnected(reason="gone"),
        ),
        (SwitchTo("s", 2).fact, events.Switched()),
    ],
)
def test_the_facts_of_a_command(fact: events.Event, expected: events.Event) -> None:
    """A driver records them; they repeat the values of the command."""
    assert fact == expected


ASIDE = events.ResponseCreateParams(conversation="none")


@pytest.mark.parametrize(
    ("event", "queued", "last"),
    [
        (events.ResponseCreate(), True, True),
        (events.ResponseCreate(response=events.ResponseCreateParams()), True, True),
        (events.ResponseCreate(response=ASIDE), False, True),
        (events.ResponseCancel(), False, False),
        (events.Unknown(name="new"), False, False),
    ],
)
def test_the_events_that_wait(event: Any, queued: bool, last: bool) -> None:
    """A response in the conversation is queued; any is sent after its items."""
    assert commands.is_queued(event) is queued
    assert Send("s", event).is_last is last


def test_the_ids_of_a_new_item() -> None:
    """An item without an id gets one that follows from that of its event."""
    event = commands.send_text("hello")
    named, again = (commands.with_ids(event, "e1") for _ in range(2))
    other = commands.with_ids(event, "e2")
    known = commands.send_text("hello", item_id="i")

    assert isinstance(named, events.ConversationItemCreate)
    assert isinstance(other, events.ConversationItemCreate)
    assert named == again
    assert named.event_id == "e1"
    assert named.item.id
    assert named.item.id != other.item.id
    assert len(named.item.id) <= 32
    assert commands.with_ids(known, "e1") == commands.identified(known, "e1")


def test_the_ids_of_events_of_unknown_types() -> None:
    """Their values stay as they are, except for the id of the event."""
    item = events.UnknownItem(name="new", fields={"type": "new"})
    event = events.ConversationItemCreate(item=item)
    unknown = events.Unknown(name="new", fields={"type": "new", "x": 1})
    named = commands.with_ids(unknown, "e1")

    assert commands.with_ids(event, "e1") == commands.identified(event, "e1")
    assert named.event_id == "e1"
    assert json.loads(encode(named)) == {"type": "new", "x": 1, "event_id": "e1"}


OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "", "id": "i"}
APPROVAL: dict[str, Any] = {"type": "mcp_approval_response", "approval_request_id": "r"}
CREATE = "conversation.item.create"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (commands.append_audio(b"\0\1"), {"audio": "AAE="}),
        (commands.commit_audio(), {}),
        (commands.clear_audio(), {}),
        (
            commands.send_text("hello", item_id="i"),
            {
                "item": {
                    "type": "message",
                    "id": "i",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "hello"}],
                },
            },
        ),
        (
            commands.send_text("", role="system"),
            {
                "item": {
                    "type": "message",
                    "role": "system",
                    "content": [{"type": "input_text", "text": ""}],
                },
            },
        ),
        (
            commands.create_item(events.ItemReference(id="i"), previous_item_id="root"),
            {
                "item": {"type": "item_reference", "id": "i"},
                "previous_item_id": "root",
            },
        ),
        (commands.send_tool_output("c", "", item_id="i"), {"item": OUTPUT}),
        (
            commands.approve("r"),
            {"item": {**APPROVAL, "id": "ok_r", "approve": True}},
        ),
        (
            commands.approve("r", False, reason="no", item_id="i"),
            {"item": {**APPROVAL, "id": "i", "approve": False, "reason": "no"}},
        ),
        (commands.delete_item("i"), {"item_id": "i"}),
        (commands.retrieve_item("i"), {"item_id": "i"}),
        (
            commands.truncate("i", 20, content_index=1),
            {"item_id": "i", "content_index": 1, "audio_end_ms": 20},
        ),
        (commands.create_response(), {}),
        (
            commands.create_response(
                instructions="i",
                output_modalities=["text"],
                out_of_band=True,
                input=[events.ItemReference(id="i")],
                tool_choice="none",
                max_output_tokens="inf",
                metadata={"a": "b"},
            ),
            {
                "response": {
                    "instructions": "i",
                    "output_modalities": ["text"],
                    "conversation": "none",
                    "input": [{"type": "item_reference", "id": "i"}],
                    "tool_choice": "none",
                    "max_output_tokens": "inf",
                    "metadata": {"a": "b"},
                }
            },
        ),
        (commands.cancel_response("r"), {"response_id": "r"}),
        (commands.clear_output(), {}),
        (
            commands.update_session({"instructions": "i"}),
            {"session": {"type": "realtime", "instructions": "i"}},
        ),
        (
            commands.update_session(events.TranscriptionSessionConfig(include=())),
            {"session": {"type": "transcription", "include": []}},
        ),
        (
            commands.update_session({"type": "transcription", "include": ["a"]}),
            {"session": {"type": "transcription", "include": ["a"]}},
        ),
        (
            commands.update_session(SessionConfig()),
            {"session": SessionConfig().to_session()},
        ),
        (
            commands.update_translation({"audio": {"output": {"language": "de"}}}),
            {"session": {"audio": {"output": {"language": "de"}}}},
        ),
        (commands.append_translation_audio(b""), {"audio": ""}),
        (commands.close_translation(), {}),
    ],
    ids=lambda value: getattr(value, "type", ""),
)
def test_events_on_the_wire(event: ClientEvent, expected: Any) -> None:
    """Unset fields are left out, required fields are not."""
    assert {"type": event.type, **expected} == wire(event)


def test_there_is_one_for_every_client_event() -> None:
    """The module has a function for each client event."""
    built = {
        inspect.signature(getattr(commands, name), eval_str=True).return_annotation
        for name in commands.__all__
        if inspect.isfunction(getattr(commands, name))
    }
    every = {
        cls
        for cls in vars(events).values()
        if inspect.isclass(cls) and issubclass(cls, ClientEvent) and cls != ClientEvent
    }

    assert set() == every - built


@pytest.mark.parametrize(
    ("session", "why"),
    [
        ({"instructions": 5}, "instructions"),
        (
            {"turn_detection": None, "voice": "a", "new": 1},
            r"new, turn_detection \(audio.input.turn_detection\), "
            r"voice \(audio.output.voice\)",
        ),
        ({"type": "new"}, "new"),
    ],
)
def test_an_invalid_configuration(session: Any, why: str) -> None:
    """An invalid configuration raises an error that names the fields."""
    with pytest.raises(ValueError, match=f"configuration: .*{why}"):
        commands.update_session(session)


def test_a_retired_value() -> None:
    """The error names the GA spelling."""
    with pytest.raises(ValueError, match=r"'audio/pcm', 'rate': 24000"):
        commands.update_session({"audio": {"input": {"format": "pcm16"}}})


@pytest.mark.parametrize("session", [{"type": "translation"}, {"tools": []}])
def test_an_invalid_configuration_of_a_translation(session: Any) -> None:
    """A field that an update of a translation does not accept raises."""
    with pytest.raises(ValueError, match=r"type|tools"):
        commands.update_translation(session)


def test_interruption() -> None:
    """The active response is cancelled first, then the audio is cleared."""
    cancel, clear = events.ResponseCancel(), events.OutputAudioBufferClear()
    active, playing = Responses(active="r"), Activity(playing="r")

    assert ((), (cancel,), (clear,), (cancel, clear)) == (
        commands.interrupt(Session("s")),
        commands.interrupt(Session("s", responses=active)),
        commands.interrupt(Session("s", activity=playing)),
        commands.interrupt(Session("s", responses=active, activity=playing)),
    )


def test_what_a_client_may_send() -> None:
    """Client events and unknown types are accepted, server events are not."""
    known, new = {"type": "response.create"}, {"type": "new", "x": 1}

    assert [events.ResponseCreate(), decode(json.dumps(new))] == [
        commands.client_event(known),
        commands.client_event(new),
    ]
    assert commands.client_event(events.ResponseCreate()) == events.ResponseCreate()
    with pytest.raises(ValueError, match=r"^error is not a client event$"):
        commands.client_event({"type": "error"})
    with pytest.raises(ValueError, match=r"^not an event: no type$"):
        commands.client_event({})


@pytest.mark.parametrize(
    "more",
    [
        {"type": "response.create", "soon": True},
        {"type": "session.update", "session": {"type": "realtime", "temperature": 1}},
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "a", "mood": "good"}],
            },
        },
    ],
)
def test_unknown_fields_are_sent_unchanged(more: dict[str, Any]) -> None:
    """Unknown fields are sent unchanged, and the event gets an id."""
    event = commands.client_event(more)

    assert more == json.loads(encode(event))
    named = commands.identified(event, "e")
    assert {**more, "event_id": "e"} == json.loads(encode(named))


def test_known_fields_make_a_typed_event() -> None:
    """Values with known fields give a typed event."""
    values = {
        "type": "response.create",
        "event_id": None,
        "response": {"metadata": {"any": "thing"}, "conversation": "none"},
    }

    assert isinstance(commands.client_event(values), events.ResponseCreate)


def test_values_are_an_event_of_the_kind_of_session() -> None:
    """Values are decoded by the kind of the session."""
    audio = {"input": {"transcription": {"model": "m"}}}
    update = {"type": "session.update", "session": {"audio": audio}}
    event = commands.client_event(update, SessionKind.TRANSLATION)

    assert isinstance(event, events.TranslationSessionUpdate)
    assert wire(event) == update
