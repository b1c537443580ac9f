"""The audio in events: its size, its duration, and frames without it.

The attribute ``AUDIO`` of an event class names the fields with audio.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from .. import events
from .json_values import is_tuple

__all__ = ["audio_bytes", "bytes_per_ms", "is_append", "without_audio"]

#: Bytes per ms. ``audio/pcm`` is PCM16 mono at 24,000 Hz; G.711 has one byte per sample
#: at 8,000 Hz.
_RATES = {"audio/pcm": 48.0, "audio/pcmu": 8.0, "audio/pcma": 8.0}
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_EMPTY, _NULL = msgspec.Raw(b'""'), b"null"


def is_append(event: events.Event) -> bool:
    """Whether an event appends user audio: a service never acknowledges it."""
    return isinstance(event, events.ClientEvent) and "audio" in event.AUDIO


def audio_bytes(event: events.Event) -> int | None:
    """Bytes of decoded audio in an event, by the length of the base64.

    None if it has no field with audio.
    """
    sizes = [len(text) * 3 // 4 - text.count("=", -2) for text in _audio_of(event)]
    return sum(sizes) if sizes else None


def _audio_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif is_tuple(value):
        for each in value:
            yield from _audio_of(each)
    elif value is not None:
        for name in value.AUDIO:
            yield from _audio_of(getattr(value, name))


def without_audio(frame: bytes, event: events.Event) -> bytes:
    """The frame of this event with its base64 audio replaced by empty strings."""
    return bytes(_emptied(msgspec.Raw(frame), event))


def _emptied(raw: msgspec.Raw, value: Any) -> msgspec.Raw:
    """The JSON of a value, with its audio emptied."""
    if isinstance(value, str):
        return _EMPTY
    if is_tuple(value):
        # The decoder leaves nulls out of lists.
        values = iter(value)
        parts = [
            each if bytes(each) == _NULL else _emptied(each, next(values))
            for each in _ARRAY.decode(raw)
        ]
        return msgspec.Raw(msgspec.json.encode(parts))
    fields = _OBJECT.decode(raw)
    for name in value.AUDIO:
        if getattr(value, name) is not None and name in fields:
            fields[name] = _emptied(fields[name], getattr(value, name))
    return msgspec.Raw(msgspec.json.encode(fields))


def bytes_per_ms(config: Any) -> float:
    """Bytes per ms of output audio, by the configuration of the session."""
    audio = getattr(config, "audio", None)
    output = getattr(audio, "output", None)
    format = getattr(output, "format", None)
    if isinstance(format, events.AudioFormat):
        return _RATES.get(format.type, 48.0)
    return 48.0
