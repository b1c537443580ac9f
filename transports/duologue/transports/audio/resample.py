"""Converts audio of any sample width, rate and channel count; resamples streams.

The only module of this root that imports numpy and soxr.
"""

from __future__ import annotations

from ..contract import SAMPLE_RATE
from ..errors import MissingExtra

try:
    import numpy as np
    import soxr
except ImportError as missing:  # pragma: no cover - needs a second environment
    raise MissingExtra(
        "converting audio needs numpy and soxr: pip install 'duologue[webrtc]'"
    ) from missing

__all__ = ["Resampler", "convert"]

#: The numpy type of each encoding; 24-bit samples are widened to 32 bits first.
_TYPES = {"u8": "u1", "s16": "<i2", "s24": "<i4", "s32": "<i4", "f32": "<f4"}


def convert(data: bytes, *, encoding: str, channels: int, rate: int) -> bytes:
    """PCM16 mono at `SAMPLE_RATE` from interleaved samples.

    ``encoding`` is one of u8, s16, s24, s32, f32; ``data`` has whole frames. Channels
    are averaged, floats beyond ±1 are clipped, and NaN becomes silence.
    """
    if (encoding, channels, rate) == ("s16", 1, SAMPLE_RATE):
        return data
    samples = _to_float(data, encoding).reshape(-1, channels).mean(axis=1)
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    scaled = np.rint(samples * 32768.0)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def _to_float(
    data: bytes, encoding: str
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Samples as floats from -1 to 1."""
    if encoding == "s24":
        wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        data = wide.tobytes()
    samples = np.frombuffer(data, dtype=_TYPES[encoding]).astype(np.float64)
    if encoding == "f32":
        known = np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
        return np.clip(known, -1.0, 1.0)
    if encoding == "u8":
        return (samples - 128.0) / 128.0
    return samples / (32768.0 if encoding == "s16" else 2147483648.0)


class Resampler:
    """Converts a stream of PCM16 mono from one sample rate to another, in Hz.

    ``prompt`` uses a less steep filter with a delay of 6 ms, for live audio.
    """

    def __init__(self, from_rate: int, to_rate: int, *, prompt: bool = False) -> None:
        quality = "LQ" if prompt else "HQ"
        self._stream = soxr.ResampleStream(
            from_rate, to_rate, 1, dtype="int16", quality=quality
        )

    def __call__(self, pcm: bytes) -> bytes:
        """Resample the next input; return the samples that are ready."""
        return self._run(pcm, last=False)

    def flush(self) -> bytes:
        """The remaining samples at the end of the stream."""
        return self._run(b"", last=True)

    def _run(self, pcm: bytes, *, last: bool) -> bytes:
        samples = np.frombuffer(pcm, dtype="<i2")
        return bytes(self._stream.resample_chunk(samples, last=last).tobytes())
