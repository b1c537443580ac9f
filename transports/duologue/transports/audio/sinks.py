"""What was heard, without the silence around it."""

from __future__ import annotations

from ..contract import AudioSink

__all__ = ["TrimmedSink"]

#: A sample no louder than this is silence: Opus makes nothing much of nothing.
_QUIET = 64


class TrimmedSink:
    """Passes on the audio from the first sound to the last; pauses between stay.

    Silence is held back until sound follows it, so none stands at either end.
    """

    def __init__(self, sink: AudioSink) -> None:
        self._sink = sink
        self._silence = bytearray()
        self._heard = False

    def write(self, pcm: bytes) -> None:
        """Take the PCM16 that follows."""
        samples = memoryview(pcm[: len(pcm) & ~1]).cast("h")
        if not samples or max(max(samples), -min(samples)) <= _QUIET:
            if self._heard:
                self._silence += pcm
            return
        if self._silence:
            self._sink.write(bytes(self._silence))
            self._silence.clear()
        self._heard = True
        self._sink.write(pcm)

    def flush(self) -> None:
        """Pass on that what was taken is not to be played."""
        self._silence.clear()
        self._sink.flush()
