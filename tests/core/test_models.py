"""The table of model names, and what a name says about a model."""

from __future__ import annotations

import pytest

from duologue.core.models import (
    BILLED_BY_TOKENS,
    EARLIER,
    REALTIME,
    REASONING,
    TRANSCRIBERS,
    TRANSCRIPTION,
    holds_conversations,
    undated,
)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-realtime-2025-08-28", "gpt-realtime"),
        ("gpt-realtime-mini-2025-12-15", "gpt-realtime-mini"),
        ("gpt-realtime-2.1", "gpt-realtime-2.1"),
        ("gpt-realtime-2-2026-05-01", "gpt-realtime-2"),
        ("2025-08-28", "2025-08-28"),
        ("", ""),
    ],
)
def test_a_dated_name_belongs_to_its_family(name: str, family: str) -> None:
    assert undated(name) == family


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        *((name, True) for name in (*REASONING, *EARLIER)),
        *((name, False) for name in TRANSCRIBERS),
        ("gpt-realtime-3", True),
        ("gpt-4o-realtime-preview-2025-06-03", True),
        ("gpt-audio-1.5", True),
        ("gpt-4o-mini-transcribe-2025-12-15", False),
        ("gpt-4o", False),
        ("my-deployment", True),
        ("", True),
    ],
)
def test_a_name_says_whether_a_model_holds_conversations(
    name: str, holds: bool
) -> None:
    """A new realtime model and the name of a deployment do."""
    assert holds_conversations(name) is holds


def test_the_defaults_are_in_the_table() -> None:
    assert REALTIME in REASONING
    assert TRANSCRIPTION in TRANSCRIBERS
    assert set(BILLED_BY_TOKENS) < set(TRANSCRIBERS)
