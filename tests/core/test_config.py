"""The configuration that an application requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from msgspec import UNSET

from duologue.core import SessionConfig, decode, events
from duologue.core.models import AS_OF, REALTIME, TRANSCRIPTION

DEFAULT: Any = {
    "type": "realtime",
    "model": REALTIME,
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": True,
            },
            "transcription": None,
        }
    },
    "tools": [],
}


def test_the_defaults() -> None:
    """By default: audio replies, VAD, no transcription, the voice of the service."""
    assert SessionConfig().to_session() == DEFAULT
    assert SessionConfig().model is None


def test_unset_is_left_out_and_none_is_null() -> None:
    """``UNSET`` fields are left out, ``None`` is sent as null."""
    config = SessionConfig(
        model=UNSET,
        output_modalities=UNSET,
        turn_detection=None,
        transcription=UNSET,
        tools=UNSET,
        voice="x",
    )

    assert config.to_session() == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": None}, "output": {"voice": "x"}},
    }


def test_every_setting_has_its_place() -> None:
    """Audio settings are nested in ``audio``, the others are at the top."""
    config = SessionConfig.changing(
        voice="marin",
        speed=1.2,
        parallel_tool_calls=False,
        max_output_tokens="inf",
        reasoning=events.Reasoning(effort="low"),
        truncation={"type": "retention_ratio", "retention_ratio": 0.8},
        tracing="auto",
        include=("item.input_audio_transcription.logprobs",),
    )

    assert config.to_session() == {
        "type": "realtime",
        "audio": {"output": {"voice": "marin", "speed": 1.2}},
        "parallel_tool_calls": False,
        "max_output_tokens": "inf",
        "reasoning": {"effort": "low"},
        "truncation": {"type": "retention_ratio", "retention_ratio": 0.8},
        "tracing": "auto",
        "include": ["item.input_audio_transcription.logprobs"],
    }


def test_it_is_what_the_catalogue_knows() -> None:
    """The decoder accepts the configuration."""
    session = SessionConfig(
        transcription=events.Transcription(model=TRANSCRIPTION),
        tools=(events.FunctionTool(name="f", parameters={"type": "object"}),),
    ).to_session()
    event = decode(json.dumps({"type": "session.update", "session": session}))

    assert isinstance(event, events.SessionUpdate)
    assert session == json.loads(json.dumps(session))
    assert isinstance(event.session, events.RealtimeSessionConfig)
    assert UNSET is not event.session.tools


def test_the_table_of_models_has_a_date() -> None:
    """The table has a month, because models are retired every few months."""
    month = datetime.strptime(AS_OF, "%Y-%m").replace(tzinfo=UTC)

    assert f"{month:%Y-%m}" == AS_OF
    assert month > datetime(2025, 8, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("retired", "instead"),
    [
        ({"temperature": 0.8}, "no equivalent"),
        ({"input_audio_format": "pcm16"}, "audio.input.format"),
        ({"modalities": ["text"]}, "output_modalities"),
        ({"max_response_output_tokens": 5}, "max_output_tokens"),
    ],
)
def test_retired_names(retired: Any, instead: str) -> None:
    """A retired name raises with the GA name, an unknown one without."""
    with pytest.raises(TypeError, match=instead):
        SessionConfig(**retired)
    with pytest.raises(TypeError, match="unexpected keyword argument 'new'"):
        SessionConfig(new=1)  # type: ignore[call-arg]
    assert attrs.evolve(SessionConfig(), voice="x") == SessionConfig(voice="x")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"output_modalities": ("audio", "text")}, "not both"),
        ({"voice": 5}, "audio.output.voice"),
    ],
)
def test_values_that_no_service_takes(given: Any, why: str) -> None:
    """An invalid value raises before it is sent."""
    with pytest.raises(ValueError, match=why):
        SessionConfig(**given).to_session()


def test_a_change_names_only_what_changes() -> None:
    """A change leaves all other fields unset."""
    change = SessionConfig.changing

    assert change(instructions="a").to_session() == {
        "type": "realtime",
        "instructions": "a",
    }
    assert change(turn_detection=None).to_session() == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": None}},
    }
    with pytest.raises(TypeError, match="'new'"):
        change(new=1)
