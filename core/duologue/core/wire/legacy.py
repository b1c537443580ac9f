"""The retired beta's names and shapes, taken on input as what they mean now.

Compatible services still speak them. The beta itself is gone since May 2026
(protocol notes, "GA vs beta"), so nothing here is ever sent.
"""

from __future__ import annotations

from typing import Any

from .json_values import is_object

__all__ = ["modernise"]

RENAMED = {
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "transcription_session.update": "session.update",
    "transcription_session.updated": "session.updated",
    "transcription_session.created": "session.created",
}

FORMATS = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}

_INPUT = {
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}


def modernise(fields: dict[str, Any]) -> dict[str, Any]:
    """The same event under its GA name and in its GA shape; itself if it is GA."""
    name = fields["type"]
    fields = {**fields, "type": RENAMED.get(name, name)}
    session = fields.get("session")
    if is_object(session) and fields["type"].startswith("session."):
        fields["session"] = _session(session, name.startswith("transcription_session"))
    return fields


def _session(session: dict[str, Any], transcription: bool) -> dict[str, Any]:
    """A flat session object, nested as the GA has it."""
    if "type" in session and "audio" in session:
        return session
    moved = {**session}
    moved.setdefault("type", "transcription" if transcription else "realtime")
    if "modalities" in moved:
        # Beta listed both; the GA names the one that is spoken or written.
        both = moved.pop("modalities")
        if isinstance(both, list):
            moved["output_modalities"] = ["audio" if "audio" in both else "text"]
    if "max_response_output_tokens" in moved:
        moved["max_output_tokens"] = moved.pop("max_response_output_tokens")
    heard = {new: moved.pop(old) for old, new in _INPUT.items() if old in moved}
    if "input_audio_format" in moved:
        heard["format"] = _format(moved.pop("input_audio_format"))
    said: dict[str, Any] = {
        name: moved.pop(name) for name in ("voice", "speed") if name in moved
    }
    if "output_audio_format" in moved:
        said["format"] = _format(moved.pop("output_audio_format"))
    if heard or said:
        moved.setdefault("audio", {"input": heard, "output": said})
    return moved


def _format(name: Any) -> Any:
    return FORMATS.get(name, {"type": str(name)}) if isinstance(name, str) else name
