"""Names and shapes of the retired beta."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from duologue.core import decode, encode, events
from duologue.core.events.base import Malformed, Unknown
from duologue.core.wire.legacy import RENAMED, retired_in, with_replacements


def decoded(type: str, **fields: Any) -> Any:
    return decode(json.dumps({"type": type, **fields}))


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_renamed_events(old: str, new: str) -> None:
    """A beta event type decodes to the event of the GA type."""
    event = decoded(old, item_id="i", session={"id": "s"})

    assert new == event.type
    assert not isinstance(event, Malformed | Unknown)


def test_created_is_added() -> None:
    """`conversation.item.created` has its own class; its parts have beta types."""
    item = {"type": "message", "id": "i", "content": [{"type": "text", "text": "a"}]}

    assert events.ConversationItemCreated(
        item=events.MessageItem(id="i", content=(events.TextPart(text="a"),))
    ) == decoded("conversation.item.created", item=item)


def test_flat_sessions_are_nested() -> None:
    """Every flat key is nested as in the GA."""
    flat = {
        "id": "s",
        "modalities": ["text", "audio"],
        "voice": "alloy",
        "speed": 1.1,
        "input_audio_format": "pcm16",
        "output_audio_format": "g711_ulaw",
        "input_audio_transcription": {"model": "m"},
        "input_audio_noise_reduction": {"type": "near_field"},
        "turn_detection": {"type": "server_vad", "threshold": 0.4},
        "max_response_output_tokens": "inf",
        "temperature": 0.8,
    }

    assert events.SessionUpdated(
        session=events.RealtimeSessionConfig(
            id="s",
            output_modalities=("audio",),
            max_output_tokens="inf",
            audio=events.AudioConfig(
                input=events.AudioInput(
                    format=events.AudioFormat(type="audio/pcm", rate=24000),
                    transcription=events.Transcription(model="m"),
                    noise_reduction=events.NoiseReduction(type="near_field"),
                    turn_detection=events.ServerVad(threshold=0.4),
                ),
                output=events.AudioOutput(
                    voice="alloy",
                    speed=1.1,
                    format=events.AudioFormat(type="audio/pcmu"),
                ),
            ),
        )
    ) == decoded("session.updated", session=flat)


def test_flat_transcription_sessions() -> None:
    """`transcription_session.*` is about a transcription session."""
    event = decoded(
        "transcription_session.created",
        session={"id": "s", "input_audio_format": "opus"},
    )

    assert (
        events.SessionCreated(
            session=events.TranscriptionSessionConfig(
                id="s",
                audio=events.AudioConfig(
                    input=events.AudioInput(format=events.AudioFormat(type="opus")),
                    output=events.AudioOutput(),
                ),
            )
        )
        == event
    )


@pytest.mark.parametrize("value", [None, 5, "audio", {}, [5]])
@pytest.mark.parametrize(
    "key", ["modalities", "turn_detection", "input_audio_format", "voice"]
)
def test_nonsense_in_a_flat_session(key: str, value: Any) -> None:
    """A flat key of the wrong type is dropped; other keys stay."""
    event = decoded("session.updated", session={"id": "s", key: value})

    assert isinstance(event, events.SessionUpdated)
    assert event.session.id == "s"


@pytest.mark.parametrize(
    ("kind", "expected"), [(None, "s"), (5, UNSET), ("audio", UNSET), ([5], UNSET)]
)
def test_a_session_of_no_known_type(kind: Any, expected: Any) -> None:
    """A null type counts as realtime; a session of an unknown type is dropped."""
    event = decoded("session.updated", session={"id": "s", "type": kind})

    assert event == events.SessionUpdated(
        session=events.RealtimeSessionConfig(id=expected)
    )


def test_a_nested_session_is_left_alone() -> None:
    """A GA session does not change."""
    frame = {
        "type": "session.updated",
        "event_id": 5,
        "session": {"type": "realtime", "audio": {}, "voice": "flat"},
    }

    assert json.loads(encode(decode(json.dumps(frame)))) == {
        "type": "session.updated",
        "session": {"type": "realtime", "audio": {}},
    }


def test_what_takes_their_place() -> None:
    """Retired names are listed with their replacements, unknown names without."""
    assert with_replacements(["new", "modalities"]) == (
        'modalities (output_modalities: ["audio"] or ["text"], not both), new'
    )
    assert with_replacements(["voice"]) == "voice (audio.output.voice)"


@pytest.mark.parametrize(
    ("session", "part"),
    [
        ({"audio": {"input": {"format": "pcm16"}}}, "audio.input.format 'pcm16'"),
        ({"audio": {"output": {"format": "g711_ulaw"}}}, "{'type': 'audio/pcmu'}"),
        ({"audio": {"output": {"format": "audio/pcm"}}}, "{'type': 'audio/pcm'}"),
        ({"output_modalities": ["text", "audio"]}, "not both"),
    ],
)
def test_a_retired_value(session: Any, part: str) -> None:
    """The error names the GA value."""
    found = retired_in(session)
    assert found is not None
    assert part in found


@pytest.mark.parametrize(
    "session",
    [
        {},
        {"audio": 5},
        {"audio": {"input": 5}},
        {"audio": {"input": {"format": {"type": "audio/pcm"}}}},
        {"output_modalities": ["text"]},
        {"output_modalities": None},
    ],
)
def test_what_is_not_retired(session: Any) -> None:
    """A value that is not retired gives no error."""
    assert retired_in(session) is None
