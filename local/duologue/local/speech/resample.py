"""Sample rates: the one module that knows soxr."""

from __future__ import annotations

import numpy as np
import soxr

__all__ = ["Resampler", "resample"]


class Resampler:
    """A stream of PCM16 mono from one rate to another.

    ``prompt`` favours a short delay (6 ms) over a steep filter: for audio that is
    waited for, like a microphone's.
    """

    def __init__(self, from_rate: int, to_rate: int, *, prompt: bool = False) -> None:
        quality = "LQ" if prompt else "HQ"
        self._stream = soxr.ResampleStream(
            from_rate, to_rate, 1, dtype="int16", quality=quality
        )

    def __call__(self, pcm: bytes) -> bytes:
        """The samples that are ready after these."""
        return self._run(pcm, last=False)

    def flush(self) -> bytes:
        """The samples still held back; the stream is over."""
        return self._run(b"", last=True)

    def _run(self, pcm: bytes, *, last: bool) -> bytes:
        samples = np.frombuffer(pcm, dtype="<i2")
        ready: bytes = self._stream.resample_chunk(samples, last=last).tobytes()
        return ready


def resample(pcm: bytes, from_rate: int, to_rate: int) -> bytes:
    """A whole piece of PCM16 mono at another rate."""
    if from_rate == to_rate:
        return pcm
    samples = np.frombuffer(pcm, dtype="<i2")
    changed: bytes = soxr.resample(samples, from_rate, to_rate).tobytes()
    return changed
