"""How a session is configured: the service's defaults, and how changes merge.

The configuration is kept as the JSON object that ``session.created`` shows; the
engine reads it through `Settings`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
import msgspec

from duologue.core.events import RealtimeSessionConfig

from .outbox import Refusal

__all__ = ["Settings", "TurnRule", "refusal_of", "typed"]

_T = TypeVar("_T")

#: Seconds a session may last (the service's limit of 60 minutes).
_LIFE = 3600
_SERVER_VAD: dict[str, Any] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: dict[str, Any] = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_TURN_DETECTION = {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD}
#: Meaning is not understood here: eagerness stands for ms of silence.
_EAGERNESS_MS = {"low": 1000, "medium": 500, "auto": 500, "high": 300}
#: What a response may have otherwise than its session.
_PER_RESPONSE = ("output_modalities", "instructions", "audio", "max_output_tokens")
_PCM = {"type": "audio/pcm", "rate": 24_000}


def _defaults() -> dict[str, Any]:
    return {
        "type": "realtime",
        "object": "realtime.session",
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "audio": {
            "input": {
                "format": _PCM,
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": _SERVER_VAD,
            },
            "output": {"format": _PCM, "voice": "alloy", "speed": 1.0},
        },
        "include": None,
    }


@attrs.frozen
class TurnRule:
    """When a turn begins and ends: ``threshold`` 0 to 1, times in ms of audio."""

    threshold: float
    prefix_ms: int
    silence_ms: int
    create_response: bool
    interrupt_response: bool


class Settings:
    """The configuration in force."""

    def __init__(self, session_id: str, changes: Mapping[str, Any]) -> None:
        self._session: dict[str, Any] = _defaults()
        self._session |= {"id": session_id, "expires_at": 0}
        self.update({"type": "realtime", **changes})

    def expire_from(self, at: float) -> None:
        """The session began now."""
        self._session = self._session | {"expires_at": int(at) + _LIFE}

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """The settings of one response. Raises `Refusal`."""
        given = {
            key: value
            for key, value in msgspec.to_builtins(changes).items()
            if key in _PER_RESPONSE and value is not None
        }
        other = copy.copy(self)
        other.update({"type": "realtime", **given})
        return other

    def update(self, changes: Mapping[str, Any]) -> None:
        """Merge a client's changes. Raises `Refusal` and changes nothing."""
        kind = changes.get("type")
        if kind is None:
            raise Refusal(
                "missing_required_parameter",
                "Missing required parameter: 'session.type'.",
                param="session.type",
            )
        if kind != "realtime":
            raise Refusal(
                "invalid_value",
                f"Invalid value: {kind!r}. Supported values are: 'realtime'.",
                param="session.type",
            )
        fixed = {key: self._session[key] for key in ("id", "object", "expires_at")}
        session = _merged(self._session, changes) | fixed
        _check(session)
        self._session = session

    def shown(self) -> RealtimeSessionConfig:
        """The session object of ``session.created`` and ``session.updated``."""
        return typed(self._session, RealtimeSessionConfig)

    @property
    def instructions(self) -> str:
        return self._session["instructions"] or ""

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self._session["output_modalities"])

    @property
    def max_output_tokens(self) -> int | str:
        limit: int | str = self._session["max_output_tokens"]
        return limit

    @property
    def output_format(self) -> dict[str, Any]:
        shape: dict[str, Any] = self._session["audio"]["output"]["format"]
        return shape

    @property
    def voice(self) -> str:
        voice = self._session["audio"]["output"]["voice"]
        return voice if isinstance(voice, str) else "alloy"

    @property
    def transcribes(self) -> bool:
        """Whether the client wants the user's words."""
        return self._session["audio"]["input"]["transcription"] is not None

    @property
    def turn_rule(self) -> TurnRule | None:
        """How turns are found; None where the client commits by hand."""
        found = self._session["audio"]["input"]["turn_detection"]
        if found is None:
            return None
        eagerness = found.get("eagerness") or "auto"
        silence = found.get("silence_duration_ms")
        return TurnRule(
            threshold=_given(found.get("threshold"), 0.5),
            prefix_ms=_given(found.get("prefix_padding_ms"), 300),
            silence_ms=_given(silence, _EAGERNESS_MS.get(eagerness, 500)),
            create_response=found.get("create_response") is not False,
            interrupt_response=found.get("interrupt_response") is not False,
        )


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Objects merge key by key; anything else, null too, replaces."""
    result = dict(old)
    for key, new in changes.items():
        base = result.get(key)
        if key == "turn_detection" and isinstance(new, dict):
            base = _turn_detection_base(base, new)
        if isinstance(new, dict) and isinstance(base, dict):
            new = _merged(base, new)
        result[key] = new
    return result


def _turn_detection_base(base: Any, new: dict[str, Any]) -> Any:
    """What a turn detection is merged into: another type starts at its defaults."""
    kind = new.get("type", "server_vad")
    if isinstance(base, dict) and base["type"] == kind:
        return base
    return _TURN_DETECTION.get(kind) if isinstance(kind, str) else None


def _check(session: dict[str, Any]) -> None:
    """Refuse what the engine could not live with."""
    try:
        config = typed(session, RealtimeSessionConfig)
    except msgspec.ValidationError as error:
        raise refusal_of(error, "session.") from error
    if config.output_modalities not in (("audio",), ("text",)):
        raise Refusal(
            "invalid_value",
            "Supported output modalities are ['audio'] and ['text'].",
            param="session.output_modalities",
        )
    audio = session["audio"]
    sides = audio.values() if isinstance(audio, dict) else [None]
    if not config.audio or any(not isinstance(side, dict) for side in sides):
        raise Refusal("invalid_type", "An object is needed.", param="session.audio")
    for side, part in audio.items():
        shape = part.get("format")
        if not isinstance(shape, dict) or shape.get("type") != "audio/pcm":
            raise Refusal(
                "invalid_value",
                "The local service takes audio/pcm at 24000 Hz only.",
                param=f"session.audio.{side}.format",
            )


def typed(value: Any, kind: type[_T]) -> _T:
    """JSON values as one of the catalogue's classes.

    By way of JSON text, because free-form parts stay text in them (`msgspec.Raw`).
    Raises `msgspec.ValidationError`.
    """
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def refusal_of(error: msgspec.ValidationError, prefix: str = "") -> Refusal:
    """The service's error for a value of the wrong type."""
    message = str(error)
    what, _, where = message.partition(" - at `$")
    path = prefix + where.rstrip("`").lstrip(".")
    missing = "missing required field" in what
    code = "missing_required_parameter" if missing else "invalid_type"
    return Refusal(code, message, param=path.rstrip(".") or None)
