"""How an application wants its session, in the GA's names."""

from __future__ import annotations

from typing import Any

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
    SemanticVad,
    ServerVad,
    Transcription,
    Voice,
)

__all__ = ["TURN_DETECTION", "SessionConfig"]


#: The service finds the turns, by silence; an interruption stops the reply.
TURN_DETECTION = ServerVad(
    threshold=0.5,
    prefix_padding_ms=300,
    silence_duration_ms=500,
    create_response=True,
    interrupt_response=True,
)


@attrs.frozen(kw_only=True)
class SessionConfig:
    """What to ask of the service.

    ``UNSET`` leaves a field to the service, ``None`` sends null, which switches off
    turn detection, transcription and noise reduction. The defaults: spoken answers,
    turns found by the service after 500 ms of silence, an interruption stops the
    reply, nothing transcribed, no tools.
    """

    model: str | UnsetType = models.REALTIME
    output_modalities: tuple[str, ...] | UnsetType = ("audio",)
    instructions: str | UnsetType = UNSET
    voice: str | Voice | UnsetType = UNSET
    turn_detection: ServerVad | SemanticVad | UnsetType | None = TURN_DETECTION
    transcription: Transcription | UnsetType | None = None
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    tools: tuple[FunctionTool | McpToolServer, ...] | UnsetType = ()
    tool_choice: Any = UNSET

    def to_session(self) -> dict[str, Any]:
        """The session object of the GA, as JSON values."""
        config = RealtimeSessionConfig(
            model=self.model,
            output_modalities=self.output_modalities,
            instructions=self.instructions,
            audio=AudioConfig(
                input=AudioInput(
                    turn_detection=self.turn_detection,
                    transcription=self.transcription,
                    noise_reduction=self.noise_reduction,
                ),
                output=AudioOutput(voice=self.voice)
                if self.voice is not UNSET
                else UNSET,
            ),
            tools=self.tools,
            tool_choice=self.tool_choice,
        )
        session: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
        return session
