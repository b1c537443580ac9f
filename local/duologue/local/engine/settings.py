"""The service's options, and the current configuration of a session.

`Settings` keeps the configuration as the JSON object of ``session.created``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs
import msgspec

from duologue.core import models
from duologue.core.events import (
    AnySessionConfig,
    RealtimeSessionConfig,
    TranscriptionSessionConfig,
)

from ..interfaces import Tool
from ..schema.checks import one_of
from ..schema.refusal import Refusal
from ..schema.session_config import (
    PCM,
    REALTIME,
    TRANSCRIPTION,
    detection_defaults,
    session_defaults,
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
#: The real service shows these keys of a transcription that is switched on.
_TRANSCRIPTION_DEFAULTS = {"language": None, "prompt": None}


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
        model = changes.get("model")
        kind = "realtime" if changes.get("type") != _TRANSCRIPTION else _TRANSCRIPTION
        if kind == _TRANSCRIPTION and model is not None:
            raise _invalid_model(
                "You must not provide a model parameter for transcription sessions."
            )
        self.id = session_id
        #: The model that the client asked for; empty if none.
        self.model = model if isinstance(model, str) else ""
        self._detections = detection_defaults(kind, self.model)
        #: Whether the assistant has spoken; then its voice cannot change.
        self.voice_used = False
        defaults = session_defaults(kind, self.model)
        self._session: dict[str, Any] = defaults | {"id": session_id, "expires_at": 0}
        #: What the client gave, without the nulls that mean "not given".
        self.given = self.update({"type": kind, **changes})
        if not models.holds_conversations(self.model):
            raise _invalid_model(
                f'Model "{self.model}" is not supported in realtime mode.'
            )
        if self.model:
            self._session["model"] = self.model

    def expire_at(self, at: float) -> None:
        """Set the time when the session expires."""
        self._session = self._session | {"expires_at": int(at)}

    def for_response(self, changes: Mapping[str, Any]) -> Settings:
        """The settings of a response with these changes. Raises `Refusal`."""
        given = {key: changes[key] for key in _PER_RESPONSE if key in changes}
        other = copy.copy(self)
        other.update({"type": "realtime", **given}, prefix="response")
        return other

    def update(
        self, changes: Mapping[str, Any], *, prefix: str = "session"
    ) -> Mapping[str, Any]:
        """Merge a client's changes; return them as checked.

        Raises `Refusal` and then changes nothing.
        """
        self._check_kind(changes)
        shape = TRANSCRIPTION if self.transcription_only else REALTIME
        given: dict[str, Any] = shape(dict(changes), prefix)
        self._check_voice(given, prefix)
        # The model is fixed: the real service ignores another one.
        changed = {key: value for key, value in given.items() if key != "model"}
        session = _merged(self._session, changed, self._detections)
        _check_modalities(session, prefix)
        self._session = session
        #: Turn detection; None for manual commits. Computed once, because the engine
        #: reads it for every 20 ms of audio.
        self.turn_rule = turn_rule(session["audio"]["input"]["turn_detection"])
        return given

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

    def _check_voice(self, changes: Mapping[str, Any], prefix: str) -> None:
        """Refuse another voice after the first audio."""
        voice = changes.get("audio", {}).get("output", {}).get("voice")
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
    def transcriber(self) -> str | None:
        """The model of the user's transcripts, empty if not named; None if off."""
        wanted = self._session["audio"]["input"]["transcription"]
        return None if wanted is None else wanted.get("model", "")

    @property
    def reasons(self) -> bool:
        """Whether the model reasons, so that its messages have a phase."""
        return models.undated(self.model) in models.REASONING

    @property
    def listens(self) -> bool:
        """Whether audio is processed as it arrives, not only on a commit."""
        return self.transcriber is not None or self.turn_rule is not None


def _invalid_model(message: str) -> Refusal:
    return Refusal("invalid_model", message, param="session.model")


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
        elif key == "transcription" and base is None:
            base = _TRANSCRIPTION_DEFAULTS
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
