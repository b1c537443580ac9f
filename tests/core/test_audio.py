"""How long audio is."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import events
from duologue.core.audio import bytes_per_ms


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
    """PCM16 at 24,000 Hz unless the session says G.711."""
    assert rate == bytes_per_ms(configured)
