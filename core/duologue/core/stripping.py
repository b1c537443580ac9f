"""How much audio a frame carries, and the same frame without it."""

from __future__ import annotations

import msgspec

from . import events
from .events.base import Event

__all__ = ["audio_bytes", "without_audio"]


def audio_bytes(event: Event) -> int | None:
    """Bytes of decoded audio in the event, by the length of its base64.

    None for an event that is not about audio.
    """
    if isinstance(
        event, events.ResponseOutputAudioDelta | events.SessionOutputAudioDelta
    ):
        return _decoded(event.delta)
    if isinstance(
        event, events.InputAudioBufferAppend | events.SessionInputAudioBufferAppend
    ):
        return _decoded(event.audio)
    if isinstance(
        event, events.ConversationItemCreate | events.ConversationItemRetrieved
    ) and isinstance(event.item, events.MessageItem):
        carried = [getattr(part, "audio", None) for part in event.item.content]
        found = [_decoded(audio) for audio in carried if isinstance(audio, str)]
        return sum(found) if found else None
    return None


def _decoded(base64: str | None) -> int:
    if not base64:
        return 0
    return len(base64) * 3 // 4 - base64.count("=", -2)


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
