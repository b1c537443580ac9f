"""Audio sources: a file, a callable, a queue, silence.

Each is an `AudioSource`: PCM16 mono little-endian at `SAMPLE_RATE`. A transport calls
it in its event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from ..contract import BYTES_PER_MS
from ..errors import MediaError
from .wav import read_wav

__all__ = ["CallbackSource", "QueueSource", "SilenceSource", "WavSource"]


class WavSource:
    """A WAV file, played once.

    The file has PCM samples of 8, 16, 24 or 32 bits, or float samples of 32 bits, any
    sample rate and any number of channels. The constructor reads and converts it.
    Raises `MediaError` for any other file, `MissingExtra` if the conversion needs an
    extra.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._pcm = read_wav(Path(path))
        self._at = 0
        self._end = asyncio.Event()

    @property
    def duration_ms(self) -> int:
        """The duration of the audio in ms."""
        return len(self._pcm) // BYTES_PER_MS

    @property
    def ended(self) -> bool:
        """Whether all audio has been read."""
        return self._end.is_set()

    async def wait_ended(self) -> None:
        """Wait until all audio has been read."""
        await self._end.wait()

    def read(self, samples: int) -> bytes:
        """Return the next samples; empty when all audio has been read."""
        part = self._pcm[self._at : self._at + samples * 2]
        self._at += len(part)
        if self._at >= len(self._pcm):
            self._end.set()
        return part


class SilenceSource:
    """Endless silence."""

    def read(self, samples: int) -> bytes:
        """Return silence."""
        return bytes(samples * 2)


class CallbackSource:
    """Audio from a function: ``fn(samples)`` returns at most ``samples`` samples."""

    def __init__(self, fn: Callable[[int], bytes]) -> None:
        self._fn = fn

    def read(self, samples: int) -> bytes:
        """Call the function."""
        return self._fn(samples)


class QueueSource:
    """A queue of audio that your application fills.

    It holds ``limit_ms`` of audio. If it is full, the oldest audio is dropped, because
    in a conversation the newest matters most; `dropped_ms` counts it. You can call
    `push` from any thread, such as a microphone's.
    """

    def __init__(self, limit_ms: int = 30_000) -> None:
        self._limit = limit_ms * BYTES_PER_MS
        self._pcm = bytearray()
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def buffered_ms(self) -> int:
        """The duration of the queued audio in ms."""
        return len(self._pcm) // BYTES_PER_MS

    @property
    def dropped_ms(self) -> int:
        """The duration of the dropped audio in ms."""
        return self._dropped // BYTES_PER_MS

    def push(self, pcm: bytes) -> None:
        """Append PCM16. Raises `MediaError` for an odd number of bytes."""
        if len(pcm) % 2:
            raise MediaError(f"{len(pcm)} bytes are not whole samples of two bytes")
        with self._lock:
            self._pcm += pcm
            excess = max(0, len(self._pcm) - self._limit)
            del self._pcm[:excess]
            self._dropped += excess

    def read(self, samples: int) -> bytes:
        """Remove and return the oldest samples, at most ``samples``."""
        with self._lock:
            part = bytes(self._pcm[: samples * 2])
            del self._pcm[: len(part)]
            return part
