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

from duologue.core.events import (
    AnySessionConfig,
    RealtimeSessionConfig,
    TranscriptionSessionConfig,
)

from ..interfaces import Tool
from ..schema.checks import one_of
from ..schema.session_config import REALTIME, TRANSCRIPTION
from .outbox import Refusal

__all__ = ["Settings", "TurnRule", "typed"]

_T = TypeVar("_T")

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
#: The same where nobody answers: as the real service shows it (public captures).
_WRITING_DETECTION: dict[str, dict[str, Any]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
    },
    "semantic_vad": {"type": "semantic_vad", "eagerness": "auto"},
}
#: Meaning is not understood here: eagerness stands for ms of silence.
_EAGERNESS_MS = {"low": 1000, "medium": 500, "auto": 500, "high": 300}
#: What a response may have otherwise than its session.
_PER_RESPONSE = (
    "output_modalities",
    "instructions",
    "audio",
    "max_output_tokens",
    "tools",
    "tool_choice",
)
_PCM = {"type": "audio/pcm", "rate": 24_000}
_TRANSCRIPTION = "transcription"


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


def _transcription_defaults() -> dict[str, Any]:
    heard = _defaults()["audio"]["input"]
    detection = _WRITING_DETECTION["server_vad"]
    return {
        "type": _TRANSCRIPTION,
        "object": "realtime.transcription_session",
        "audio": {"input": heard | {"turn_detection": detection}},
        "include": None,
    }


@attrs.frozen
class TurnRule:
    """When a turn begins and ends: ``threshold`` 0 to 1, times in ms of audio.

    ``idle_ms``: silence after a reply that makes a turn by itself; None: it does not.
    """

    threshold: float
    prefix_ms: int
    silence_ms: int
    create_response: bool
    interrupt_response: bool
    idle_ms: int | None = None


class Settings:
    """The configuration in force. Raises `Refusal` for one that cannot be."""

    def __init__(self, session_id: str, changes: Mapping[str, Any]) -> None:
        transcribing = changes.get("type") == _TRANSCRIPTION
        if transcribing and "model" in changes:
            raise Refusal(
                "invalid_model",
                "You must not provide a model parameter for transcription sessions.",
                param="session.model",
            )
        self.id = session_id
        self._session: dict[str, Any] = (
            _transcription_defaults() if transcribing else _defaults()
        )
        self._session |= {"id": session_id, "expires_at": 0}
        self._new = True
        self.update({"type": "realtime", **changes})
        self._new = False
        #: The assistant has been heard: its voice may not change any more.
        self.voice_used = False

    def expire_at(self, at: float) -> None:
        """The session ends then."""
        self._session = self._session | {"expires_at": int(at)}

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """The settings of one response. Raises `Refusal`."""
        given = {
            key: value
            for key, value in changes.items()
            if key in _PER_RESPONSE and value is not None
        }
        other = copy.copy(self)
        other.update({"type": "realtime", **given}, prefix="response")
        return other

    def update(self, changes: Mapping[str, Any], *, prefix: str = "session") -> None:
        """Merge a client's changes. Raises `Refusal` and changes nothing."""
        self._check_kind(changes)
        shape = TRANSCRIPTION if self.transcription_only else REALTIME
        shape(dict(changes), prefix)
        self._check_fixed(changes, prefix)
        detections = _WRITING_DETECTION if self.transcription_only else _TURN_DETECTION
        session = _merged(self._session, changes, detections)
        _check_modalities(session, prefix)
        self._session = session
        #: How turns are found; None where the client commits by hand. It is asked for
        #: with every 20 ms of audio.
        self.turn_rule = _turn_rule(session["audio"]["input"]["turn_detection"])

    def _check_kind(self, changes: Mapping[str, Any]) -> None:
        kind, own = changes.get("type"), self._session["type"]
        if kind is None:
            raise Refusal(
                "missing_required_parameter",
                "Missing required parameter: 'session.type'.",
                param="session.type",
            )
        one_of("realtime", _TRANSCRIPTION)(kind, "session.type")
        if kind != own:
            raise Refusal(
                "invalid_parameter",
                f"Passing a {kind} session update event to a {own} session is not "
                "allowed.",
                param="session.type",
            )

    def _check_fixed(self, changes: Mapping[str, Any], prefix: str) -> None:
        """Refuse to change what is settled once the session has begun."""
        if self._new:
            return
        model = changes.get("model")
        if model is not None and model != self._session.get("model", model):
            raise Refusal(
                "invalid_parameter",
                "The model of a session cannot be changed.",
                param=f"{prefix}.model",
            )
        voice = ((changes.get("audio") or {}).get("output") or {}).get("voice")
        known = (None, self._session.get("audio", {}).get("output", {}).get("voice"))
        if self.voice_used and voice not in known:
            raise Refusal(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                param=f"{prefix}.audio.output.voice",
            )

    def shown(self) -> AnySessionConfig:
        """The session object of ``session.created`` and ``session.updated``."""
        if self.transcription_only:
            return typed(self._session, TranscriptionSessionConfig)
        return typed(self._session, RealtimeSessionConfig)

    @property
    def transcription_only(self) -> bool:
        """Whether the session only writes down what it hears."""
        kind: str = self._session["type"]
        return kind == _TRANSCRIPTION

    @property
    def instructions(self) -> str:
        """What the assistant is to be; empty where nothing is said."""
        return self._session["instructions"] or ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """``audio`` or ``text``."""
        return tuple(self._session["output_modalities"])

    @property
    def max_output_tokens(self) -> int | str:
        """Tokens that a response may have, or ``inf``."""
        limit: int | str = self._session["max_output_tokens"]
        return limit

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The functions that the client has; MCP servers are not asked."""
        return tuple(
            Tool(
                tool["name"],
                tool.get("description") or "",
                msgspec.json.encode(tool.get("parameters") or {}).decode(),
            )
            for tool in self._session["tools"] or ()
            if tool.get("type", "function") == "function"
        )

    @property
    def tool_choice(self) -> str:
        """``auto``, ``none``, ``required``, or the name of a function."""
        choice = self._session["tool_choice"]
        return choice if isinstance(choice, str) else choice.get("name") or "auto"

    @property
    def input_format(self) -> str:
        """The type of the audio in appends."""
        shape: dict[str, Any] = self._session["audio"]["input"]["format"]
        return str(shape["type"])

    @property
    def output_format(self) -> str:
        """The type of the audio in deltas."""
        shape: dict[str, Any] = self._session["audio"]["output"]["format"]
        return str(shape["type"])

    @property
    def output_audio(self) -> dict[str, Any]:
        """The audio settings that a response shows."""
        output = self._session["audio"]["output"]
        return {"output": {key: output[key] for key in ("format", "voice")}}

    @property
    def voice(self) -> str:
        """The name of the voice, or the id of a custom one."""
        voice = self._session["audio"]["output"]["voice"]
        return voice if isinstance(voice, str) else str(voice["id"])

    @property
    def diarizes(self) -> bool:
        """Whether the client wants to know who spoke, stretch by stretch."""
        wanted = self._session["audio"]["input"]["transcription"] or {}
        return "diarize" in (wanted.get("model") or "")

    @property
    def transcribes(self) -> bool:
        """Whether the client wants the user's words."""
        return self._session["audio"]["input"]["transcription"] is not None

    @property
    def listens(self) -> bool:
        """Whether somebody has to listen to the audio as it comes."""
        return self.transcribes or self.turn_rule is not None


def _turn_rule(found: Mapping[str, Any] | None) -> TurnRule | None:
    """What a turn detection means."""
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
        idle_ms=found.get("idle_timeout_ms"),
    )


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def _merged(
    old: Mapping[str, Any],
    changes: Mapping[str, Any],
    detections: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Objects merge key by key; anything else, null too, replaces."""
    result = dict(old)
    for key, new in changes.items():
        base = result.get(key)
        if key == "turn_detection" and isinstance(new, dict):
            kind = new.get("type", "server_vad")
            if not isinstance(base, dict) or base["type"] != kind:
                # Another type starts at its defaults.
                base = detections.get(kind)
        elif key in ("format", "voice", "tool_choice", "truncation", "tracing"):
            base = None
        if isinstance(new, dict) and isinstance(base, dict):
            new = _merged(base, new, detections)
        elif key == "format" and new == {"type": "audio/pcm"}:
            new = _PCM
        result[key] = new
    return result


def _check_modalities(session: dict[str, Any], prefix: str) -> None:
    if session.get("output_modalities", ["audio"]) not in (["audio"], ["text"]):
        raise Refusal(
            "invalid_value",
            "Invalid modalities. Supported combinations are: ['text'] and ['audio'].",
            param=f"{prefix}.output_modalities",
        )


def typed(value: Any, kind: type[_T]) -> _T:
    """JSON values as one of the catalogue's classes.

    By way of JSON text, because free-form parts stay text in them (`msgspec.Raw`).
    Raises `msgspec.ValidationError`.
    """
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)
