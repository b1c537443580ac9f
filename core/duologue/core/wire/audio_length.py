"""How long audio is, from its bytes and the format in force."""

from __future__ import annotations

from typing import Any

from .. import events

__all__ = ["arrived_ms", "bytes_per_ms"]

#: ``audio/pcm`` is PCM16 mono at 24,000 Hz; G.711 is a byte a sample at 8,000 Hz.
_RATES = {"audio/pcm": 48.0, "audio/pcmu": 8.0, "audio/pcma": 8.0}


def bytes_per_ms(config: Any) -> float:
    """Bytes of output audio in a ms, by the configuration of the session."""
    audio = getattr(config, "audio", None)
    output = getattr(audio, "output", None)
    format = getattr(output, "format", None)
    if isinstance(format, events.AudioFormat):
        return _RATES.get(format.type, 48.0)
    return 48.0


def arrived_ms(session: Any, item: Any) -> int:
    """Ms of audio that the session's present connection brought of an item."""
    if item.placement.epoch != session.connection.epoch:
        return 0
    rate = bytes_per_ms(session.connection.confirmed)
    return int(sum(part.audio_bytes for part in item.parts) / rate)
