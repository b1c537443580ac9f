"""The ear, the voice, the mind and the speech detector of a service, together."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .detector_silero import SileroDetector
from .ear_sphinx import SphinxEar
from .mind import ScriptedMind
from .ports import Detector, Ear, Mind, Voice
from .voice import find_voice

__all__ = ["Parts", "built_in"]


@attrs.frozen(kw_only=True)
class Parts:
    """What a service hears, thinks and speaks with; sessions share it.

    Without an ear a transcription fails, without a voice a spoken response, without
    a detector audio is ignored: a typed conversation needs none of them.
    """

    mind: Mind = attrs.field(factory=ScriptedMind)
    ear: Ear | None = None
    voice: Voice | None = None
    detector: Callable[[], Detector] | None = None

    async def close(self) -> None:
        """Free what the parts hold."""
        if self.ear is not None:
            await self.ear.close()


def built_in() -> Parts:
    """The parts that need no network. Raises `VoiceError` where there is no voice."""
    return Parts(ear=SphinxEar(), voice=find_voice(), detector=SileroDetector)
