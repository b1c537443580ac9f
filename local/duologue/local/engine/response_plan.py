"""How a response is made: its session's settings, changed for this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..speech.g711 import Resampling, Writer
from .options import Options
from .output_items import AudioWriter, Manner, PcmWriter
from .reply import Plan
from .settings import Settings

__all__ = ["Planner"]


class Planner:
    """Plans the responses of a session."""

    def __init__(self, options: Options, resampling: Resampling | None) -> None:
        self._options = options
        self._resampling = resampling

    def plan(
        self,
        settings: Settings,
        changes: Mapping[str, Any],
        conversation_id: str | None,
    ) -> Plan:
        """A response as the session says but for the changes. Raises `Refusal`."""
        settings = settings.changed(changes)
        mark = {"duologue": self._options.label}
        return Plan(
            manner=Manner(
                spoken=settings.modalities == ("audio",),
                pace=self._options.pace,
                writer=None if self._options.media else self._writer(settings),
            ),
            voice=settings.voice,
            instructions=settings.instructions,
            tools=settings.tools,
            tool_choice=settings.tool_choice,
            metadata=mark | (changes.get("metadata") or {}),
            conversation_id=conversation_id,
            max_output_tokens=settings.max_output_tokens,
            audio=settings.output_audio,
        )

    def _writer(self, settings: Settings) -> Callable[[], AudioWriter]:
        """What makes the audio of deltas."""
        kind, resampling = settings.output_format, self._resampling
        if kind == "audio/pcm" or resampling is None:
            return PcmWriter
        return lambda: Writer(kind, resampling)
