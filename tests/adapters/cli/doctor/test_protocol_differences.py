"""What `doctor --live` calls a difference: a service held against the protocol."""

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
WISH = {
    "type": "session.update",
    "session": {"type": "realtime", "model": MODEL, "instructions": "Be.", "tools": []},
}

Event = dict[str, Any]
#: A typed turn with a written reply, as the service plays it.
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
    lines = [{"dir": "local", "event": {"type": "duologue.requested", "event": WISH}}]
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
    """The turn with other fields in the first event of this type."""
    at = named(kind)
    return [*TURN[:at], {**TURN[at], **fields}, *TURN[at + 1 :]]


def test_a_turn_as_it_should_be_has_none() -> None:
    """The padding of a delta and the limits, which come anywhere, are none either."""
    assert found(TURN) == ()
    assert found([*without("rate_limits.updated")]) == ()


def test_what_does_not_come() -> None:
    assert found(without("response.content_part.added")) == (
        "response.content_part.added did not come",
    )


def test_what_comes_in_another_order() -> None:
    at = named("response.output_text.delta")
    swapped = [*TURN[:at], TURN[at + 1], TURN[at], *TURN[at + 2 :]]
    assert found(swapped) == (
        "response.output_text.done came before response.output_text.delta",
    )


def test_what_nobody_knows() -> None:
    """Types that are not in the catalogue, counted; known ones that do not belong."""
    more = [
        *TURN,
        {"type": "ping"},
        {"type": "ping"},
        {"type": "input_audio_buffer.cleared"},
    ]
    assert found(more) == (
        "an event of an unknown type: ping (2 of them)",
        "input_audio_buffer.cleared came, which a typed turn has not",
    )


def test_a_field_that_nobody_knows() -> None:
    """Wherever it stands in the event."""
    part = {**PART, "mood": "gay"}
    spiced = changed("response.content_part.added", part=part, rid=7)
    assert found(spiced) == (
        "response.content_part.added has what is not known: part.mood, rid",
    )


def test_a_frame_that_cannot_be_read() -> None:
    """A value of a wrong type makes it so, and then the event did not come."""
    broken = changed("response.output_text.done", text=7)
    first, second = found(broken)
    assert first.startswith("a frame that cannot be read: ")
    assert second == "response.output_text.done did not come"


def test_the_name_of_the_beta() -> None:
    """It is understood, and said."""
    at = named("response.output_text.delta")
    old = [*TURN[:at], {**TURN[at], "type": "response.text.delta"}, *TURN[at + 1 :]]
    assert found(old) == (
        "the name of another version of the protocol: response.text.delta",
    )


def test_a_configuration_that_is_not_what_was_asked_for() -> None:
    """The last word of the service counts; nothing in place of an empty list is it."""
    other = changed("session.updated", session={**SESSION, "instructions": None})
    assert found(other) == ('instructions is null, "Be." was asked for',)
    longer = changed("session.updated", session={**SESSION, "model": "m" * 99})
    assert found(longer)[0] == f'model is "{"m" * 59}…, "{MODEL}" was asked for'


def test_what_cannot_be_reckoned() -> None:
    """A model without a price, and usage that is not told."""
    session = {**SESSION, "model": "new"}
    priceless = changed("session.updated", session=session)
    assert found(priceless)[-1] == (
        "no price is known for the model new, so the cost is not"
    )
    response = {"id": "r", "status": "completed", "output": [ITEM]}
    assert found(changed("response.done", response=response)) == (
        "the service told no usage",
    )


@given(
    hostile(records(turns=2)), st.sampled_from(["websocket", "webrtc"]), st.booleans()
)
def test_whatever_a_service_does_is_told(
    stream: Stream, carrier: str, spoken: bool
) -> None:
    """Each difference is a text; none comes twice."""
    [session] = fold(stream).sessions.values()
    told = differences(stream, session, carrier=carrier, spoken=spoken)
    assert len(set(told)) == len(told)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared")
@pytest.mark.parametrize(
    "name",
    ["openai-ws-text-in-audio-out-turn", "gateway-ws-gateway-openai-text-in-audio-out"],
)
def test_a_recorded_turn_of_the_real_service_has_none(name: str) -> None:
    turn = list(read_log_file(FOLDER / f"{name}.jsonl"))
    [session] = fold(turn).sessions.values()
    assert differences(turn, session, carrier="websocket", spoken=True) == ()


@pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared")
def test_a_dialect_has_many() -> None:
    """The control: a service that speaks otherwise is seen to."""
    turn = list(read_log_file(FOLDER / "xai-ws-text-in-audio-out-turn.jsonl"))
    [session] = fold(turn).sessions.values()
    seen = differences(turn, session, carrier="websocket", spoken=True)
    assert "an event of an unknown type: ping" in seen
    assert "conversation.item.done did not come" in seen
