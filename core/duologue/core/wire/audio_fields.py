"""How much audio a frame carries, and the same frame without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from .. import events

__all__ = ["AUDIO_BYTES", "without_audio"]


def _of_item(event: Any) -> int | None:
    if not isinstance(event.item, events.MessageItem):
        return None
    carried = [getattr(part, "audio", None) for part in event.item.content]
    found = [_decoded(audio) for audio in carried if isinstance(audio, str)]
    return sum(found) if found else None


def _decoded(base64: str | None) -> int:
    if not base64:
        return 0
    return len(base64) * 3 // 4 - base64.count("=", -2)


#: What tells the bytes of decoded audio in an event, by the length of its base64: for
#: the events that can carry some.
AUDIO_BYTES: Mapping[type, Callable[[Any], int | None]] = {
    events.ResponseOutputAudioDelta: lambda event: _decoded(event.delta),
    events.SessionOutputAudioDelta: lambda event: _decoded(event.delta),
    events.InputAudioBufferAppend: lambda event: _decoded(event.audio),
    events.SessionInputAudioBufferAppend: lambda event: _decoded(event.audio),
    events.ConversationItemCreate: _of_item,
    events.ConversationItemRetrieved: _of_item,
}


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_NOTHING = msgspec.Raw(b'""')
#: Where base64 audio stands, by event type.
_FIELD = {
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
    "session.output_audio.delta": "delta",
    "input_audio_buffer.append": "audio",
    "session.input_audio_buffer.append": "audio",
}


def without_audio(frame: bytes) -> bytes:
    """The frame with its base64 audio emptied, all else as it was."""
    fields = _OBJECT.decode(frame)
    if field := _FIELD.get(msgspec.json.decode(fields["type"])):
        fields[field] = _NOTHING
    else:
        item = _OBJECT.decode(fields["item"])
        content = [_silent(part) for part in _ARRAY.decode(item["content"])]
        item["content"] = msgspec.Raw(msgspec.json.encode(content))
        fields["item"] = msgspec.Raw(msgspec.json.encode(item))
    return msgspec.json.encode(fields)


def _silent(part: msgspec.Raw) -> msgspec.Raw:
    fields = _OBJECT.decode(part)
    if "audio" in fields:
        fields["audio"] = _NOTHING
    return msgspec.Raw(msgspec.json.encode(fields))
