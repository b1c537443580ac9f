"""G.711, the telephone's audio: ``audio/pcmu`` and ``audio/pcma`` at 8,000 Hz.

The two tables are computed as ITU-T G.711 defines them, because the standard library
has lost its own (``audioop``) and no library that is installed here offers a stream
without a container. One byte is one sample.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Protocol

from ..interfaces import VOICE_RATE

__all__ = ["G711_RATE", "Resampling", "Stream", "Writer", "decode", "encode", "reader"]

#: Hz.
G711_RATE = 8_000


class Stream(Protocol):
    """PCM16 mono on its way from one rate to another."""

    def __call__(self, pcm: bytes) -> bytes:
        """The samples that are ready after these."""

    def flush(self) -> bytes:
        """The samples still held back; the stream is over."""


#: Makes a stream from one rate to another, in Hz.
Resampling = Callable[[int, int], Stream]

_BIAS = 33


def _from_mulaw(code: int) -> int:
    code = ~code & 0xFF
    size = ((((code & 0x0F) << 1) + _BIAS) << ((code >> 4) & 7)) - _BIAS
    return -size * 4 if code & 0x80 else size * 4


def _from_alaw(code: int) -> int:
    code ^= 0x55
    size, shift = (code & 0x0F) * 2 + 1, (code >> 4) & 7
    size = (size + 32) << (shift - 1) if shift else size
    return size * 8 if code & 0x80 else -size * 8


def _decoding(law: Callable[[int], int]) -> tuple[bytes, bytes]:
    """The low and the high byte of each code's sample, for `bytes.translate`."""
    samples = [law(code) & 0xFFFF for code in range(256)]
    return bytes(each & 0xFF for each in samples), bytes(each >> 8 for each in samples)


def _encoding(law: Callable[[int], int]) -> bytes:
    """The nearest code of each sample, by its 16 bits as an unsigned number."""
    codes = sorted((law(code), code) for code in range(256))
    table = bytearray(65_536)
    place = 0
    for sample in range(-32_768, 32_768):
        while place < 255 and sample - codes[place][0] > codes[place + 1][0] - sample:
            place += 1
        table[sample & 0xFFFF] = codes[place][1]
    return bytes(table)


_LAWS = {"audio/pcmu": _from_mulaw, "audio/pcma": _from_alaw}
_DECODING = {name: _decoding(law) for name, law in _LAWS.items()}
_ENCODING: dict[str, bytes] = {}


def decode(data: bytes, kind: str) -> bytes:
    """G.711 as PCM16 at 8 kHz."""
    low, high = _DECODING[kind]
    pcm = bytearray(2 * len(data))
    pcm[0::2], pcm[1::2] = data.translate(low), data.translate(high)
    return bytes(pcm)


def encode(pcm8k: bytes, kind: str) -> bytes:
    """PCM16 at 8 kHz as G.711."""
    table = _ENCODING.get(kind)
    if table is None:
        table = _ENCODING[kind] = _encoding(_LAWS[kind])
    return bytes(map(table.__getitem__, memoryview(pcm8k).cast("H")))


def reader(kind: str, resampling: Resampling) -> Callable[[bytes], bytes]:
    """Makes PCM16 at 24 kHz of G.711, as a stream, for an ear that is used to more.

    Each sample is held for two, which leaves a mirror of the telephone's band above
    it. An ear that was trained on 16 kHz and finds nothing there makes three errors
    where it makes one with the mirror.
    """
    stream = resampling(2 * G711_RATE, VOICE_RATE)
    return lambda data: stream(_held(decode(data, kind)))


def _held(pcm: bytes) -> bytes:
    """Each sample twice."""
    samples = array("H", pcm)
    held = array("H", bytes(2 * len(pcm)))
    held[0::2] = held[1::2] = samples
    return held.tobytes()


class Writer:
    """Makes G.711 of PCM16 at 24 kHz: an `AudioWriter`."""

    bytes_per_ms = G711_RATE // 1000

    def __init__(self, kind: str, resampling: Resampling) -> None:
        self._kind = kind
        self._stream = resampling(VOICE_RATE, G711_RATE)

    def write(self, pcm24k: bytes) -> bytes:
        """What is ready of it."""
        return encode(self._stream(pcm24k), self._kind)

    def flush(self) -> bytes:
        """What was held back; the stream is over."""
        return encode(self._stream.flush(), self._kind)
