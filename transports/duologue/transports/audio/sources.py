"""Sources and sinks of sound: files, callables, queues.

Each is one side of the seam (`AudioSource`, `AudioSink`): PCM16 mono little-endian
at `SAMPLE_RATE`. A transport calls them inside its event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from types import TracebackType

from ..contract import BYTES_PER_MS
from ..errors import MediaError
from .wav import HEADER_BYTES, header, read_wav

__all__ = [
    "BufferSink",
    "CallbackSink",
    "CallbackSource",
    "QueueSource",
    "SilenceSource",
    "WavSink",
    "WavSource",
]


class WavSource:
    """A WAV file, said once from its beginning to its end.

    PCM of 8, 16, 24 and 32 bits and float of 32, of any rate and any number of
    channels. The file is read and converted here and now. Raises `MediaError`
    where it is not such a file, `MissingExtra` where converting needs an extra.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._pcm = read_wav(Path(path))
        self._at = 0
        self._end = asyncio.Event()

    @property
    def duration_ms(self) -> int:
        """How long it sounds."""
        return len(self._pcm) // BYTES_PER_MS

    @property
    def ended(self) -> bool:
        """Whether all of it was read."""
        return self._end.is_set()

    async def wait_ended(self) -> None:
        """Return when all of it was read."""
        await self._end.wait()

    def read(self, samples: int) -> bytes:
        """The next samples; nothing after the end."""
        part = self._pcm[self._at : self._at + samples * 2]
        self._at += len(part)
        if self._at >= len(self._pcm):
            self._end.set()
        return part


class SilenceSource:
    """Nothing to say, for ever."""

    def read(self, samples: int) -> bytes:
        """Silence."""
        return bytes(samples * 2)


class CallbackSource:
    """Whatever ``fn(samples)`` returns: PCM16 that is due now, or less."""

    def __init__(self, fn: Callable[[int], bytes]) -> None:
        self._fn = fn

    def read(self, samples: int) -> bytes:
        """What the callable gives."""
        return self._fn(samples)


class QueueSource:
    """Sound that the app pushes and a transport reads.

    It holds ``limit_ms`` of sound. Beyond that the oldest goes, because in a
    conversation what was said last is what counts; `dropped_ms` tells how much.
    `push` may be called from any thread, such as a microphone's.
    """

    def __init__(self, limit_ms: int = 30_000) -> None:
        self._limit = limit_ms * BYTES_PER_MS
        self._pcm = bytearray()
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def buffered_ms(self) -> int:
        """How much waits to be read."""
        return len(self._pcm) // BYTES_PER_MS

    @property
    def dropped_ms(self) -> int:
        """How much was lost because nobody read it in time."""
        return self._dropped // BYTES_PER_MS

    def push(self, pcm: bytes) -> None:
        """Append PCM16. Raises `MediaError` for half a sample."""
        if len(pcm) % 2:
            raise MediaError(f"{len(pcm)} bytes are not whole samples of two bytes")
        with self._lock:
            self._pcm += pcm
            excess = max(0, len(self._pcm) - self._limit)
            del self._pcm[:excess]
            self._dropped += excess

    def read(self, samples: int) -> bytes:
        """The oldest samples that wait, at most so many."""
        with self._lock:
            part = bytes(self._pcm[: samples * 2])
            del self._pcm[: len(part)]
            return part


class WavSink:
    """A WAV file of what was heard.

    The header is brought up to date once a second, so what a killed process leaves
    is a valid file that lacks its last second at most. Also a context manager.
    Raises `MediaError` where the file cannot be written.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        self._written = 0
        self._in_header = 0
        try:
            # What was said is for its owner only, as in a log; a file that was
            # there, or a device, keeps its mode.
            self._file = os.fdopen(_owners_only(self._path), "wb")
        except OSError as error:
            raise self._failure(error) from None
        self._guarded(self._update_header)

    @property
    def duration_ms(self) -> int:
        """How long the file sounds by now."""
        return self._written // BYTES_PER_MS

    def write(self, pcm: bytes) -> None:
        """Append to the file. What comes after `close` is dropped."""
        if not self._file.closed:
            self._guarded(lambda: self._append(pcm))

    def flush(self) -> None:
        """Does nothing: a file plays nothing, it keeps all that was received."""

    def close(self) -> None:
        """Complete the file. Idempotent."""
        if not self._file.closed:
            self._guarded(self._update_header)
            self._guarded(self._file.close)

    def __enter__(self) -> WavSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, pcm: bytes) -> None:
        self._file.write(pcm)
        self._written += len(pcm)
        if self._written - self._in_header >= 1000 * BYTES_PER_MS:
            self._update_header()

    def _update_header(self) -> None:
        # The sound goes to the disk before the header that counts it.
        self._file.flush()
        self._file.seek(0)
        self._file.write(header(self._written))
        self._file.flush()
        self._file.seek(HEADER_BYTES + self._written)
        self._in_header = self._written

    def _guarded(self, step: Callable[[], object]) -> None:
        try:
            step()
        except OSError as error:
            # Whatever failed, the descriptor is given back.
            with contextlib.suppress(OSError):
                self._file.close()
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> MediaError:
        return MediaError(f"{self._path}: cannot be written: {error.strerror}")


def _owners_only(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


class CallbackSink:
    """Hands what was heard to ``fn(pcm)``, and a flush to ``on_flush()``."""

    def __init__(
        self,
        fn: Callable[[bytes], None],
        on_flush: Callable[[], None] | None = None,
    ) -> None:
        self._fn = fn
        self._on_flush = on_flush

    def write(self, pcm: bytes) -> None:
        """Pass it on."""
        self._fn(pcm)

    def flush(self) -> None:
        """Tell the app to stop playing what it was given."""
        if self._on_flush is not None:
            self._on_flush()


class BufferSink:
    """Keeps all that was heard in ``pcm``, and counts the flushes. For tests."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._flushes = 0

    @property
    def pcm(self) -> bytes:
        """All of it, what was flushed included."""
        return bytes(self._pcm)

    @property
    def flushes(self) -> int:
        """How often it was flushed."""
        return self._flushes

    def write(self, pcm: bytes) -> None:
        """Keep it."""
        self._pcm += pcm

    def flush(self) -> None:
        """Count it; what was taken stays, so that a test can see it."""
        self._flushes += 1
