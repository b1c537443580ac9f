"""How long audio is."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.core import events
from duologue.core.state.model import Connection, Item, Part, Placement, Session
from duologue.core.wire.audio_length import arrived_ms, bytes_per_ms


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


def test_what_arrived_of_an_item() -> None:
    """In ms, of all its parts; nothing of what an earlier connection brought."""
    parts = (Part("output_audio", audio_bytes=4800), Part("output_audio"))
    item = Item("a", placement=Placement(epoch=1), parts=parts)
    now = Session("s", connection=Connection(epoch=1))
    assert [arrived_ms(now, item), arrived_ms(Session("s"), item)] == [100, 0]
