"""Names and shapes of the retired beta, and short names from old guides.

In received events they are translated to the GA's, because compatible services still
send them. They are never sent: the beta was shut down in May 2026 (protocol notes, "GA
vs beta"), and a service refuses a configuration with an unknown key. A retired name in
a configuration therefore raises an error that names the replacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .json_values import is_array, is_object

__all__ = ["RETIRED", "modernise", "retired_in", "with_replacements"]

_HEARD = "conversation.item.input_audio_transcription"

RENAMED = {
    **{
        f"{short}input_audio_transcription.{end}": f"{_HEARD}.{end}"
        for short in ("", "item.")
        for end in ("delta", "completed", "failed", "segment")
    },
    **{
        f"{short}input_audio_transcription.done": f"{_HEARD}.completed"
        for short in ("", "item.", "conversation.item.")
    },
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
    """The event with its GA name and in its GA shape."""
    name = fields["type"]
    fields = {**fields, "type": RENAMED.get(name, name)}
    session = fields.get("session")
    if is_object(session) and fields["type"].startswith("session."):
        fields["session"] = _session(session, name.startswith("transcription_session"))
    return fields


def _session(session: dict[str, Any], transcription: bool) -> dict[str, Any]:
    """A flat session object, nested as in the GA."""
    if "type" in session and "audio" in session:
        return session
    moved = {**session}
    moved.setdefault("type", "transcription" if transcription else "realtime")
    if "modalities" in moved:
        # The beta listed text and audio. The GA takes one; audio has a transcript.
        both = moved.pop("modalities")
        if isinstance(both, list):
            moved["output_modalities"] = ["audio" if "audio" in both else "text"]
    if "max_response_output_tokens" in moved:
        moved["max_output_tokens"] = moved.pop("max_response_output_tokens")
    input = {new: moved.pop(old) for old, new in _INPUT.items() if old in moved}
    if "input_audio_format" in moved:
        input["format"] = _format(moved.pop("input_audio_format"))
    output: dict[str, Any] = {
        name: moved.pop(name) for name in ("voice", "speed") if name in moved
    }
    if "output_audio_format" in moved:
        output["format"] = _format(moved.pop("output_audio_format"))
    if input or output:
        moved.setdefault("audio", {"input": input, "output": output})
    return moved


def _format(name: Any) -> Any:
    return FORMATS.get(name, {"type": str(name)}) if isinstance(name, str) else name


# Retired names in a configuration that the application gives.

_NO_SUCCESSOR = "the GA has no equivalent"
#: The replacement of each retired key.
RETIRED: Mapping[str, str] = {
    "input_audio_format": "audio.input.format",
    "input_audio_noise_reduction": "noise_reduction (audio.input.noise_reduction)",
    "input_audio_transcription": "transcription (audio.input.transcription)",
    "max_response_output_tokens": "max_output_tokens",
    "modalities": 'output_modalities: ["audio"] or ["text"], not both',
    "output_audio_format": "audio.output.format",
    "temperature": _NO_SUCCESSOR,
}
#: Keys that the GA nests deeper than the beta did.
_NESTED: Mapping[str, str] = {
    "noise_reduction": "audio.input.noise_reduction",
    "speed": "audio.output.speed",
    "transcription": "audio.input.transcription",
    "turn_detection": "audio.input.turn_detection",
    "voice": "audio.output.voice",
}


def with_replacements(names: Iterable[str]) -> str:
    """A list of unknown keys for an error message, each with its replacement if any."""
    known = {**_NESTED, **RETIRED}
    return ", ".join(
        f"{name} ({known[name]})" if name in known else name for name in sorted(names)
    )


def retired_in(session: Mapping[str, Any]) -> str | None:
    """One line about the first retired value in a configuration; None without one."""
    audio = session.get("audio")
    for side in ("input", "output"):
        one = audio.get(side) if is_object(audio) else None
        name = one.get("format") if is_object(one) else None
        if isinstance(name, str):
            wanted = FORMATS.get(name, {"type": name})
            return f"audio.{side}.format {name!r} is retired: the GA has {wanted}"
    modalities = session.get("output_modalities")
    if is_array(modalities) and {"audio", "text"} <= set(map(str, modalities)):
        return "output_modalities is audio or text, not both: audio has a transcript"
    return None
