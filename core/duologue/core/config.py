"""The configuration that an application requests, in the GA's names."""

from __future__ import annotations

from typing import Any, Self

import attrs
import msgspec
from msgspec import UNSET, UnsetType

from . import models
from .events.config import (
    AudioConfig,
    AudioInput,
    AudioOutput,
    FunctionTool,
    McpToolServer,
    NoiseReduction,
    RealtimeSessionConfig,
    Reasoning,
    SemanticVad,
    ServerVad,
    Transcription,
    Voice,
)
from .wire.legacy import RETIRED, retired_in, with_replacements

__all__ = ["TURN_DETECTION", "SessionConfig"]


#: The service detects turns by silence; an interruption stops the reply.
TURN_DETECTION = ServerVad(
    threshold=0.5,
    prefix_padding_ms=300,
    silence_duration_ms=500,
    create_response=True,
    interrupt_response=True,
)


@attrs.frozen(kw_only=True)
class SessionConfig:
    """The configuration to request from the service.

    ``UNSET`` leaves a field to the service. ``None`` sends null, which switches turn
    detection, transcription or noise reduction off. ``model=None`` is the default of
    `models`; a live session uses ``DUOLOGUE_MODEL`` instead, if that is set. The other
    defaults: spoken replies, turn detection after 500 ms of silence, an interruption
    stops the reply, no transcription, no tools. ``speed`` is 0.25 to 1.5,
    ``max_output_tokens`` a number or ``"inf"``. The transport sets the audio formats. A
    name of the retired beta raises TypeError with its replacement.
    """

    model: str | UnsetType | None = None
    output_modalities: tuple[str, ...] | UnsetType = ("audio",)
    instructions: str | UnsetType = UNSET
    voice: str | Voice | UnsetType = UNSET
    turn_detection: ServerVad | SemanticVad | UnsetType | None = TURN_DETECTION
    transcription: Transcription | UnsetType | None = None
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    tools: tuple[FunctionTool | McpToolServer, ...] | UnsetType = ()
    tool_choice: Any = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    max_output_tokens: int | str | UnsetType = UNSET
    speed: float | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    truncation: Any = UNSET
    tracing: Any = UNSET
    include: tuple[str, ...] | UnsetType = UNSET

    def __new__(cls, **settings: Any) -> Self:
        """Raise TypeError for retired names, with their replacements."""
        if retired := settings.keys() & RETIRED.keys():
            raise TypeError(f"retired: {with_replacements(retired)}")
        return object.__new__(cls)

    @classmethod
    def changing(cls, **changes: Any) -> SessionConfig:
        """A configuration with these fields set and all others ``UNSET``.

        Raises TypeError for an unknown field.
        """
        left: dict[str, Any] = {field.name: UNSET for field in attrs.fields(cls)}
        return cls(**{**left, **changes})

    def to_session(self) -> dict[str, Any]:
        """The session object of the GA, as JSON values.

        Raises ValueError for a retired value or a value of the wrong type.
        """
        config = RealtimeSessionConfig(
            model=models.REALTIME if self.model is None else self.model,
            output_modalities=self.output_modalities,
            instructions=self.instructions,
            audio=AudioConfig(
                input=AudioInput(
                    turn_detection=self.turn_detection,
                    transcription=self.transcription,
                    noise_reduction=self.noise_reduction,
                ),
                output=AudioOutput(voice=self.voice, speed=self.speed),
            ),
            tools=self.tools,
            tool_choice=self.tool_choice,
            parallel_tool_calls=self.parallel_tool_calls,
            max_output_tokens=self.max_output_tokens,
            reasoning=self.reasoning,
            truncation=self.truncation,
            tracing=self.tracing,
            include=self.include,
        )
        frame = msgspec.json.encode(config)
        session: dict[str, Any] = msgspec.json.decode(frame)
        try:
            msgspec.json.decode(frame, type=RealtimeSessionConfig)
        except msgspec.ValidationError as error:
            raise ValueError(f"not a configuration: {error}") from None
        if (retired := retired_in(session)) is not None:
            raise ValueError(retired)
        return _without_empty(session)


def _without_empty(session: dict[str, Any]) -> dict[str, Any]:
    """The session object without empty objects."""
    audio = {side: value for side, value in session.pop("audio").items() if value}
    return {**session, "audio": audio} if audio else session
