"""How much audio a frame carries, and the same frame without it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import decode
from duologue.core.wire.audio_fields import AUDIO_BYTES, without_audio

from ..talk import message

FIELDS = {
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
    "session.output_audio.delta": "delta",
    "input_audio_buffer.append": "audio",
    "session.input_audio_buffer.append": "audio",
}


def counted(frame: str) -> int | None:
    """The bytes of audio in a frame; None where it is not about any."""
    event = decode(frame)
    count = AUDIO_BYTES.get(type(event))
    return None if count is None else count(event)


@given(st.binary(), st.sampled_from(list(FIELDS.items())))
def test_events_of_audio(data: bytes, event: tuple[str, str]) -> None:
    """Its decoded bytes are counted; without them all else is as it was."""
    type, field = event
    frame = {
        "type": type,
        "item_id": "i",
        field: base64.b64encode(data).decode(),
        "x": 1,
    }

    assert len(data) == counted(json.dumps(frame))
    assert {**frame, field: ""} == json.loads(without_audio(json.dumps(frame).encode()))


@pytest.mark.parametrize(
    "type", ["conversation.item.create", "conversation.item.retrieved"]
)
def test_items_with_audio(type: str) -> None:
    """All parts of an item that carry audio are counted and emptied."""
    parts: list[Any] = [
        {"type": "input_audio", "audio": "AAAA", "transcript": "a"},
        {"type": "input_audio", "audio": "AAA="},
        {"type": "input_text", "text": "b"},
    ]
    frame = json.dumps({"type": type, "item": message("i", "user", parts)})
    bare = [{**part, "audio": ""} if "audio" in part else part for part in parts]

    assert counted(frame) == 5
    assert {"type": type, "item": message("i", "user", bare)} == json.loads(
        without_audio(frame.encode())
    )


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "error": {}},
        {"type": "conversation.item.create", "item": message("i", "user", [])},
        {"type": "conversation.item.create", "item": {"type": "function_call"}},
    ],
)
def test_events_about_something_else(frame: Any) -> None:
    """They have no number of audio bytes."""
    assert counted(json.dumps(frame)) is None
