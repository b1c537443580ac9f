"""Names and values of the retired beta."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core.wire.retired_names import retired_in, told


def test_what_takes_their_place() -> None:
    """A name that was never one is repeated as it is."""
    assert told(["new", "modalities"]) == (
        'modalities (output_modalities: ["audio"] or ["text"], not both), new'
    )
    assert told(["voice"]) == "voice (audio.output.voice)"


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
    """Is told with what the GA says."""
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
    """Is left to those who check it."""
    assert retired_in(session) is None
