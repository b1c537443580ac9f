"""The audio in events: its size, its duration, and frames without it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import decode, events
from duologue.core.state.model import Connection, Item, Part, Placement, Session
from duologue.core.wire.audio_fields import (
    arrived_ms,
    audio_bytes,
    bytes_per_ms,
    is_append,
    without_audio,
)

from ..talk import message

FIELDS = {
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
    "session.output_audio.delta": "delta",
    "input_audio_buffer.append": "audio",
    "session.input_audio_buffer.append": "audio",
}


def counted(frame: str) -> int | None:
    """The bytes of audio in a frame; None if it has no audio field."""
    return audio_bytes(decode(frame))


def emptied(frame: str) -> Any:
    """The JSON values of a frame without its audio."""
    return json.loads(without_audio(frame.encode(), decode(frame)))


@given(st.binary(), st.sampled_from(list(FIELDS.items())))
def test_events_of_audio(data: bytes, event: tuple[str, str]) -> None:
    """The decoded bytes are counted; the rest of the frame stays the same."""
    type, field = event
    frame = {
        "type": type,
        "item_id": "i",
        field: base64.b64encode(data).decode(),
        "x": 1,
    }

    assert len(data) == counted(json.dumps(frame))
    assert {**frame, field: ""} == emptied(json.dumps(frame))


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
    assert {"type": type, "item": message("i", "user", bare)} == emptied(frame)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "error", "error": {}},
        {"type": "conversation.item.create", "item": message("i", "user", [])},
        {"type": "conversation.item.create", "item": {"type": "function_call"}},
    ],
)
def test_events_about_something_else(frame: Any) -> None:
    """An event without an audio field has no count of audio bytes."""
    assert counted(json.dumps(frame)) is None


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "input_audio"}],
        [{"type": "input_audio", "audio": None, "transcript": "a"}],
        [{"type": "input_audio", "audio": None}, None],
    ],
)
def test_parts_without_audio(parts: list[Any]) -> None:
    """A part without audio has no bytes, and its frame keeps its values."""
    frame = {"type": "conversation.item.create", "item": message("i", "user", parts)}

    assert counted(json.dumps(frame)) is None
    assert emptied(json.dumps(frame)) == frame


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("input_audio_buffer.append", True),
        ("session.input_audio_buffer.append", True),
        ("response.output_audio.delta", False),
        ("conversation.item.create", False),
        ("input_audio_buffer.commit", False),
    ],
)
def test_events_that_append_audio(type: str, expected: bool) -> None:
    """They are the client's events with an ``audio`` field."""
    assert is_append(decode(json.dumps({"type": type}))) is expected


def config(format: Any) -> events.RealtimeSessionConfig:
    return events.RealtimeSessionConfig(
        audio=events.AudioConfig(output=events.AudioOutput(format=format))
    )


@pytest.mark.parametrize(
    ("configured", "rate"),
    [
        (None, 48.0),
        (events.RealtimeSessionConfig(), 48.0),
        (events.RealtimeSessionConfig(audio=None), 48.0),
        (config(None), 48.0),
        (config(events.AudioFormat(type="audio/pcm", rate=24000)), 48.0),
        (config(events.AudioFormat(type="audio/pcmu")), 8.0),
        (config(events.AudioFormat(type="audio/pcma")), 8.0),
        (config(events.AudioFormat(type="audio/new")), 48.0),
    ],
)
def test_bytes_in_a_ms(configured: Any, rate: float) -> None:
    """Audio is PCM16 at 24,000 Hz unless the session is configured for G.711."""
    assert rate == bytes_per_ms(configured)


def test_what_arrived_of_an_item() -> None:
    """The received audio of all parts in ms; an earlier connection counts nothing."""
    parts = (Part("output_audio", audio_bytes=4800), Part("output_audio"))
    item = Item("a", placement=Placement(epoch=1), parts=parts)
    now = Session("s", connection=Connection(epoch=1))
    assert [arrived_ms(now, item), arrived_ms(Session("s"), item)] == [100, 0]
