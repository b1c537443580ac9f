"""Sound of one rate and number of channels to another, as it runs.

For devices that take no PCM16 mono at 24 kHz. The only module here that imports numpy
and soxr, and imported only then.
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

__all__ = ["Converter"]


class Converter:
    """PCM16 of one (rate, channels) to another; mono on one side at least.

    Channels are averaged, or all get the same. Resampling holds back
    6 ms at most, which is why it is the one of low quality: 16 bits, a soft edge.
    """

    def __init__(self, of: tuple[int, int], to: tuple[int, int]) -> None:
        (rate, self._channels), (new_rate, self._new_channels) = of, to
        self._stream = None
        if rate != new_rate:
            self._stream = soxr.ResampleStream(
                rate, new_rate, 1, dtype="int16", quality="LQ"
            )

    def convert(self, pcm: bytes) -> bytes:
        """What there is by now; whole samples of all channels go in and come out."""
        samples = np.frombuffer(pcm, dtype="<i2")
        if self._channels > 1:
            samples = samples.reshape(-1, self._channels).mean(axis=1).astype("<i2")
        if self._stream is not None:
            samples = self._stream.resample_chunk(samples)
        return bytes(np.repeat(samples, self._new_channels).astype("<i2").tobytes())
