"""What a client sends."""

from __future__ import annotations

import json

from duologue.core import Session, commands, decode, encode, events
from duologue.core.state import Activity, Responses


def test_ids_can_be_worked_out_again() -> None:
    """From session, record and number; at most 512 characters."""
    assert commands.command_id("s", 7, 1) == "s.7.1"
    assert len(commands.command_id("s" * 1000, 10**15, 10**6)) <= 512


def test_an_event_keeps_its_id() -> None:
    """One that has none gets it."""
    event = commands.create_response()
    named = commands.identified(event, "a")

    assert events.ResponseCreate(event_id="a") == named
    assert named is commands.identified(named, "b")


def test_text_is_a_users_message() -> None:
    """As the service takes it."""
    assert json.loads(encode(commands.send_text("hello", item_id="i"))) == {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "id": "i",
            "role": "user",
            "content": [{"type": "input_text", "text": "hello"}],
        },
    }


def test_interrupting_takes_what_is_going_on() -> None:
    """The response that is in work, then the audio that is heard."""
    cancel, clear = events.ResponseCancel(), events.OutputAudioBufferClear()
    active, playing = Responses(active="r"), Activity(playing="r")

    assert ((), (cancel,), (clear,), (cancel, clear)) == (
        commands.interrupt(Session("s")),
        commands.interrupt(Session("s", responses=active)),
        commands.interrupt(Session("s", activity=playing)),
        commands.interrupt(Session("s", responses=active, activity=playing)),
    )


def test_what_a_client_may_send() -> None:
    """Client events and what is not in the catalogue; nothing that a service says."""
    frames = [{"type": "response.create"}, {"type": "new"}, {"type": "error"}, {}]

    assert [
        commands.is_client_event(decode(json.dumps(frame))) for frame in frames
    ] == [True, True, False, False]
