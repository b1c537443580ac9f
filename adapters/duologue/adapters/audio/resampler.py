"""Streaming conversion between sample rates and channel counts.

For devices that do not accept PCM16 mono at 24 kHz. This is the only module of the
package that imports numpy and soxr; it is imported only for such a device.
"""

from __future__ import annotations

from duologue.transports.errors import MissingExtra

try:
    import numpy as np
    import soxr
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "this device needs soxr: pip install 'duologue[audio]'"
    ) from missing

__all__ = ["Resampler"]


class Resampler:
    """Convert PCM16 from one (rate in Hz, channels) to another; one side is mono.

    Downmixing averages the channels, upmixing copies the mono channel. The low
    quality of soxr is enough for 16 bits and delays the audio by at most 6 ms.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        (rate, self._channels), (new_rate, self._new_channels) = source, target
        self._stream = None
        if rate != new_rate:
            self._stream = soxr.ResampleStream(
                rate, new_rate, 1, dtype="int16", quality="LQ"
            )

    def convert(self, pcm: bytes) -> bytes:
        """Convert whole frames; the output may lag behind the input."""
        samples = np.frombuffer(pcm, dtype="<i2")
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1).astype("<i2")
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples)
        return bytes(np.repeat(samples, self._new_channels).astype("<i2").tobytes())
