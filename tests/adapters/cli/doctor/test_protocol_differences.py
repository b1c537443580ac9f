"""The differences of `doctor --live` between a turn and the expected protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.adapters.cli.doctor.protocol_differences import differences
from duologue.core import fold, read_log
from duologue.core.testing import Stream, hostile, records
from duologue.transports import read_log_file

FOLDER = Path(__file__).parents[5] / "shared/recordings"

MODEL = "gpt-realtime-2.1"
SESSION = {"type": "realtime", "id": "sess_1", "model": MODEL, "instructions": "Be."}
IDS = {"response_id": "r", "item_id": "a", "output_index": 0, "content_index": 0}
ITEM = {"id": "a", "type": "message", "role": "assistant", "status": "completed"}
USER = {**ITEM, "id": "u", "role": "user"}
PART = {"type": "output_text", "text": "Hi."}
USAGE = {
    "total_tokens": 5,
    "input_tokens": 2,
    "output_tokens": 3,
    "input_token_details": {"text_tokens": 2},
    "output_token_details": {"text_tokens": 3},
}
DONE = {"id": "r", "status": "completed", "output": [ITEM], "usage": USAGE}
REQUEST = {
    "type": "session.update",
    "session": {"type": "realtime", "model": MODEL, "instructions": "Be.", "tools": []},
}

Event = dict[str, Any]
#: The events of the service in a typed turn with a written reply.
TURN: list[Event] = [
    {"type": "session.created", "session": SESSION},
    {"type": "session.updated", "session": SESSION},
    {"type": "conversation.item.added", "previous_item_id": None, "item": USER},
    {"type": "conversation.item.done", "previous_item_id": None, "item": USER},
    {"type": "response.created", "response": {"id": "r", "output": []}},
    {
        "type": "response.output_item.added",
        "response_id": "r",
        "output_index": 0,
        "item": ITEM,
    },
    {"type": "conversation.item.added", "previous_item_id": "u", "item": ITEM},
    {"type": "response.content_part.added", **IDS, "part": PART},
    {"type": "response.output_text.delta", **IDS, "delta": "Hi.", "obfuscation": "x"},
    {"type": "response.output_text.done", **IDS, "text": "Hi."},
    {"type": "response.content_part.done", **IDS, "part": PART},
    {
        "type": "response.output_item.done",
        "response_id": "r",
        "output_index": 0,
        "item": ITEM,
    },
    {"type": "response.done", "response": DONE},
    {"type": "rate_limits.updated", "rate_limits": []},
]


def found(turn: list[Event]) -> tuple[str, ...]:
    """The differences of a turn with a written reply over WebSocket."""
    lines = [
        {"dir": "local", "event": {"type": "duologue.requested", "event": REQUEST}}
    ]
    for number, event in enumerate(turn):
        lines.append({"dir": "in", "event": {"event_id": f"e{number}", **event}})
    turn_records = list(read_log([json.dumps(line) for line in lines]))
    [session] = fold(turn_records).sessions.values()
    return differences(turn_records, session, carrier="websocket", spoken=False)


def named(kind: str) -> int:
    return next(at for at, event in enumerate(TURN) if event["type"] == kind)


def without(kind: str) -> list[Event]:
    return [event for event in TURN if event["type"] != kind]


def changed(kind: str, **fields: Any) -> list[Event]:
    """The turn with these fields in the first event of this type."""
    at = named(kind)
    return [*TURN[:at], {**TURN[at], **fields}, *TURN[at + 1 :]]


def test_an_expected_turn_has_no_differences() -> None:
    """Nor has one with padded deltas or without rate limits."""
    assert found(TURN) == ()
    assert found([*without("rate_limits.updated")]) == ()


def test_a_missing_event() -> None:
    assert found(without("response.content_part.added")) == (
        "response.content_part.added is missing",
    )


def test_events_in_another_order() -> None:
    at = named("response.output_text.delta")
    swapped = [*TURN[:at], TURN[at + 1], TURN[at], *TURN[at + 2 :]]
    assert found(swapped) == (
        "response.output_text.done arrived before response.output_text.delta",
    )


def test_unknown_and_unexpected_types() -> None:
    """Unknown types are counted; known types may be unexpected in a turn."""
    more = [
        *TURN,
        {"type": "ping"},
        {"type": "ping"},
        {"type": "input_audio_buffer.cleared"},
    ]
    assert found(more) == (
        "an unknown event type: ping (2 times)",
        "input_audio_buffer.cleared is unexpected in a typed turn",
    )


def test_an_unknown_field() -> None:
    """At any depth of the event."""
    part = {**PART, "mood": "gay"}
    spiced = changed("response.content_part.added", part=part, rid=7)
    assert found(spiced) == (
        "response.content_part.added has unknown fields: part.mood, rid",
    )


def test_a_malformed_frame() -> None:
    """A value of the wrong type makes the frame malformed and the event missing."""
    broken = changed("response.output_text.done", text=7)
    first, second = found(broken)
    assert first.startswith("a malformed frame: ")
    assert second == "response.output_text.done is missing"


def test_a_name_of_the_beta_protocol() -> None:
    """It is decoded, and reported."""
    at = named("response.output_text.delta")
    old = [*TURN[:at], {**TURN[at], "type": "response.text.delta"}, *TURN[at + 1 :]]
    assert found(old) == (
        "a name of another version of the protocol: response.text.delta",
    )


def test_a_configuration_unlike_the_requested_one() -> None:
    """The last confirmed configuration counts; null is equal to an empty list."""
    other = changed("session.updated", session={**SESSION, "instructions": None})
    assert found(other) == ('instructions is null, not "Be." as requested',)
    longer = changed("session.updated", session={**SESSION, "model": "m" * 99})
    assert found(longer)[0] == f'model is "{"m" * 59}…, not "{MODEL}" as requested'


def test_an_unknown_cost() -> None:
    """A model without a price, and a response without usage."""
    session = {**SESSION, "model": "new"}
    priceless = changed("session.updated", session=session)
    assert found(priceless)[-1] == (
        "the cost is unknown: there is no price for the model new"
    )
    response = {"id": "r", "status": "completed", "output": [ITEM]}
    assert found(changed("response.done", response=response)) == (
        "the service reported no usage",
    )


@given(
    hostile(records(turns=2)), st.sampled_from(["websocket", "webrtc"]), st.booleans()
)
def test_any_stream_can_be_compared(stream: Stream, carrier: str, spoken: bool) -> None:
    """Each difference is reported once."""
    [session] = fold(stream).sessions.values()
    lines = differences(stream, session, carrier=carrier, spoken=spoken)
    assert len(set(lines)) == len(lines)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared")
@pytest.mark.parametrize(
    "name",
    ["openai-ws-text-in-audio-out-turn", "gateway-ws-gateway-openai-text-in-audio-out"],
)
def test_a_recorded_turn_of_the_real_service_has_no_differences(name: str) -> None:
    turn = list(read_log_file(FOLDER / f"{name}.jsonl"))
    [session] = fold(turn).sessions.values()
    assert differences(turn, session, carrier="websocket", spoken=True) == ()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared")
def test_a_turn_of_another_service_has_differences() -> None:
    """Control: its protocol differs from OpenAI's."""
    turn = list(read_log_file(FOLDER / "xai-ws-text-in-audio-out-turn.jsonl"))
    [session] = fold(turn).sessions.values()
    seen = differences(turn, session, carrier="websocket", spoken=True)
    assert "an unknown event type: ping" in seen
    assert "conversation.item.done is missing" in seen
