"""How an application wants its session."""

from __future__ import annotations

import json
from typing import Any

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
    """Spoken answers, turns by silence, nothing transcribed, no voice of ours."""
    assert SessionConfig().to_session() == DEFAULT


def test_unset_is_left_out_and_none_is_null() -> None:
    """The service keeps what is left out, and switches off what is null."""
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


def test_it_is_what_the_catalogue_knows() -> None:
    """It goes through the decoder unharmed."""
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
    """They are retired every few months."""
    assert len("2026-11") == len(AS_OF)
