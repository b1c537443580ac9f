"""The service's options, and the current configuration of a session.

`Settings` keeps the configuration as the JSON object of ``session.created``.
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
from ..schema.refusal import Refusal
from ..schema.session_config import (
    DETECTION_DEFAULTS,
    PCM,
    REALTIME,
    SESSION_DEFAULTS,
    TRANSCRIPTION,
)
from .turn_detection import turn_rule

__all__ = ["EngineOptions", "Settings"]

_T = TypeVar("_T")

#: The settings that a response may override.
_PER_RESPONSE = (
    "output_modalities",
    "instructions",
    "audio",
    "max_output_tokens",
    "tools",
    "tool_choice",
)
_TRANSCRIPTION = "transcription"


@attrs.frozen(kw_only=True)
class EngineOptions:
    """The options of the service, for all its sessions.

    ``media``: audio uses a media track, not events. ``label`` names the reply model in
    each response's metadata. ``pace`` is the speed at which the words of a reply are
    sent, relative to speech. ``transcript_lag``: seconds from the first word of a
    response to the end of the user's transcription; None if transcription does not wait
    for it. ``life``: the maximum duration of a session in seconds.
    """

    media: bool = False
    label: str = "scripted, not a language model"
    pace: float = 4.0
    transcript_lag: float | None = 0.1
    life: float = 3600.0


class Settings:
    """A session's configuration. Raises `Refusal` for an invalid one."""

    def __init__(self, session_id: str, changes: Mapping[str, Any]) -> None:
        transcribing = changes.get("type") == _TRANSCRIPTION
        if transcribing and "model" in changes:
            raise Refusal(
                "invalid_model",
                "You must not provide a model parameter for transcription sessions.",
                param="session.model",
            )
        self.id = session_id
        defaults = SESSION_DEFAULTS[_TRANSCRIPTION if transcribing else "realtime"]
        self._session: dict[str, Any] = defaults | {"id": session_id, "expires_at": 0}
        self._new = True
        self.update({"type": "realtime", **changes})
        self._new = False
        #: Whether the assistant has spoken; then its voice cannot change.
        self.voice_used = False

    def expire_at(self, at: float) -> None:
        """Set the time when the session expires."""
        self._session = self._session | {"expires_at": int(at)}

    def for_response(self, changes: Mapping[str, Any]) -> Settings:
        """The settings of a response with these changes. Raises `Refusal`."""
        given = {
            key: value
            for key, value in changes.items()
            if key in _PER_RESPONSE and value is not None
        }
        other = copy.copy(self)
        other.update({"type": "realtime", **given}, prefix="response")
        return other

    def update(self, changes: Mapping[str, Any], *, prefix: str = "session") -> None:
        """Merge a client's changes. Raises `Refusal` and then changes nothing."""
        self._check_kind(changes)
        shape = TRANSCRIPTION if self.transcription_only else REALTIME
        shape(dict(changes), prefix)
        self._check_fixed(changes, prefix)
        detections = DETECTION_DEFAULTS[self._session["type"]]
        session = _merged(self._session, changes, detections)
        _check_modalities(session, prefix)
        self._session = session
        #: Turn detection; None for manual commits. Computed once, because the engine
        #: reads it for every 20 ms of audio.
        self.turn_rule = turn_rule(session["audio"]["input"]["turn_detection"])

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
        """Refuse changes of settings that are fixed after the start."""
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
            return _typed(self._session, TranscriptionSessionConfig)
        return _typed(self._session, RealtimeSessionConfig)

    @property
    def transcription_only(self) -> bool:
        """Whether this is a transcription session, without responses."""
        kind: str = self._session["type"]
        return kind == _TRANSCRIPTION

    @property
    def instructions(self) -> str:
        """The instructions to the assistant; empty by default."""
        return self._session["instructions"] or ""

    @property
    def modalities(self) -> tuple[str, ...]:
        """``audio`` or ``text``."""
        return tuple(self._session["output_modalities"])

    @property
    def max_output_tokens(self) -> int | str:
        """The token limit of a response, or ``inf``."""
        limit: int | str = self._session["max_output_tokens"]
        return limit

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The client's functions; MCP servers are left out."""
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
        """The audio type of ``input_audio_buffer.append``."""
        shape: dict[str, Any] = self._session["audio"]["input"]["format"]
        return str(shape["type"])

    @property
    def output_format(self) -> str:
        """The audio type of ``response.output_audio.delta``."""
        shape: dict[str, Any] = self._session["audio"]["output"]["format"]
        return str(shape["type"])

    @property
    def output_audio(self) -> dict[str, Any]:
        """The audio settings in a response object."""
        output = self._session["audio"]["output"]
        return {"output": {key: output[key] for key in ("format", "voice")}}

    @property
    def voice(self) -> str:
        """The name of the voice, or the id of a custom one."""
        voice = self._session["audio"]["output"]["voice"]
        return voice if isinstance(voice, str) else str(voice["id"])

    @property
    def diarizes(self) -> bool:
        """Whether the client requested segments by speaker."""
        wanted = self._session["audio"]["input"]["transcription"] or {}
        return "diarize" in (wanted.get("model") or "")

    @property
    def transcribes(self) -> bool:
        """Whether the client requested transcripts of the user."""
        return self._session["audio"]["input"]["transcription"] is not None

    @property
    def listens(self) -> bool:
        """Whether audio is processed as it arrives, not only on a commit."""
        return self.transcribes or self.turn_rule is not None


def _merged(
    old: Mapping[str, Any],
    changes: Mapping[str, Any],
    detections: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Merge objects key by key; any other value, including null, replaces the old."""
    result = dict(old)
    for key, new in changes.items():
        base = result.get(key)
        if key == "turn_detection" and isinstance(new, dict):
            kind = new.get("type", "server_vad")
            if not isinstance(base, dict) or base["type"] != kind:
                # A new type starts with its own defaults.
                base = detections.get(kind)
        elif key in ("format", "voice", "tool_choice", "truncation", "tracing"):
            base = None
        if isinstance(new, dict) and isinstance(base, dict):
            new = _merged(base, new, detections)
        elif key == "format" and new == {"type": "audio/pcm"}:
            new = PCM
        result[key] = new
    return result


def _check_modalities(session: dict[str, Any], prefix: str) -> None:
    if session.get("output_modalities", ["audio"]) not in (["audio"], ["text"]):
        raise Refusal(
            "invalid_value",
            "Invalid modalities. Supported combinations are: ['text'] and ['audio'].",
            param=f"{prefix}.output_modalities",
        )


def _typed(value: Any, kind: type[_T]) -> _T:
    """JSON values as an event class.

    They are encoded to JSON text and decoded from it, because the classes keep
    free-form parts as text (`msgspec.Raw`).
    """
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)
