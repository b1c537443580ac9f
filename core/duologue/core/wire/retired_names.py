"""Names of the retired beta in a configuration, and what the GA says instead.

A service refuses all of a configuration in which it does not know a key, so a retired
name is told before it is sent. Sources: protocol notes, "What older guides say"; the
renames that `beta` takes on input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .json_values import is_array, is_object
from .legacy import FORMATS

__all__ = ["RETIRED", "retired_in", "told"]

_NOTHING = "the GA has nothing in its place"
#: What takes the place of a retired key.
RETIRED: Mapping[str, str] = {
    "input_audio_format": "audio.input.format",
    "input_audio_noise_reduction": "noise_reduction (audio.input.noise_reduction)",
    "input_audio_transcription": "transcription (audio.input.transcription)",
    "max_response_output_tokens": "max_output_tokens",
    "modalities": 'output_modalities: ["audio"] or ["text"], not both',
    "output_audio_format": "audio.output.format",
    "temperature": _NOTHING,
}
#: Keys that the GA has deeper than the beta had them.
_NESTED: Mapping[str, str] = {
    "noise_reduction": "audio.input.noise_reduction",
    "speed": "audio.output.speed",
    "transcription": "audio.input.transcription",
    "turn_detection": "audio.input.turn_detection",
    "voice": "audio.output.voice",
}


def told(names: Iterable[str]) -> str:
    """These keys that a configuration has not, each with what takes its place."""
    known = {**_NESTED, **RETIRED}
    return ", ".join(
        f"{name} ({known[name]})" if name in known else name for name in sorted(names)
    )


def retired_in(session: Mapping[str, Any]) -> str | None:
    """One line about the first retired value in a configuration, None without one."""
    audio = session.get("audio")
    for side in ("input", "output"):
        one = audio.get(side) if is_object(audio) else None
        name = one.get("format") if is_object(one) else None
        if isinstance(name, str):
            wanted = FORMATS.get(name, {"type": name})
            return f"audio.{side}.format {name!r} is retired: the GA has {wanted}"
    modalities = session.get("output_modalities")
    if is_array(modalities) and {"audio", "text"} <= set(map(str, modalities)):
        return "output_modalities is audio or text, not both: audio brings its words"
    return None
