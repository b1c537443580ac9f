"""Audio sinks: a file, a callable, a buffer, and a filter of silence.

Each is an `AudioSink`: PCM16 mono little-endian at `SAMPLE_RATE`. A transport calls it
in its event loop.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from types import TracebackType

from ..contract import BYTES_PER_MS, AudioSink
from ..errors import MediaError
from .wav import HEADER_BYTES, header

__all__ = ["BufferSink", "CallbackSink", "TrimmedSink", "WavSink"]

#: The loudest sample that counts as silence: Opus does not decode silence to zeros.
_QUIET = 64


class WavSink:
    """Writes received audio to a WAV file; also a context manager.

    The header is updated once a second, so a killed process leaves a valid file
    without its last second at most. Raises `MediaError` if writing fails.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        self._written = 0
        self._in_header = 0
        try:
            # Readable by its owner only, as a log; an existing file or a device
            # keeps its mode.
            self._file = os.fdopen(_owners_only(self._path), "wb")
        except OSError as error:
            raise self._failure(error) from None
        self._guarded(self._update_header)

    @property
    def duration_ms(self) -> int:
        """The duration of the file so far in ms."""
        return self._written // BYTES_PER_MS

    def write(self, pcm: bytes) -> None:
        """Append to the file. Does nothing after `close`."""
        if not self._file.closed:
            self._guarded(lambda: self._append(pcm))

    def flush(self) -> None:
        """Does nothing: the file keeps all received audio."""

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
        # Write the audio to disk before the header that counts it.
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
            # Release the descriptor in any case.
            with contextlib.suppress(OSError):
                self._file.close()
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> MediaError:
        return MediaError(f"{self._path}: cannot be written: {error.strerror}")


def _owners_only(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o600)


class CallbackSink:
    """Calls ``fn(pcm)`` with received audio and ``on_flush()`` for a flush."""

    def __init__(
        self,
        fn: Callable[[bytes], None],
        on_flush: Callable[[], None] | None = None,
    ) -> None:
        self._fn = fn
        self._on_flush = on_flush

    def write(self, pcm: bytes) -> None:
        """Call ``fn``."""
        self._fn(pcm)

    def flush(self) -> None:
        """Call ``on_flush``, so that your application stops playing."""
        if self._on_flush is not None:
            self._on_flush()


class BufferSink:
    """Keeps all received audio in ``pcm`` and counts flushes. For tests."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._flushes = 0

    @property
    def pcm(self) -> bytes:
        """All received audio, also after a flush."""
        return bytes(self._pcm)

    @property
    def flushes(self) -> int:
        """The number of flushes."""
        return self._flushes

    def write(self, pcm: bytes) -> None:
        """Append to ``pcm``."""
        self._pcm += pcm

    def flush(self) -> None:
        """Count the flush and keep the audio."""
        self._flushes += 1


class TrimmedSink:
    """Drops the silence before the first and after the last sound.

    Silence is held back until sound follows, so pauses in between stay.
    """

    def __init__(self, sink: AudioSink) -> None:
        self._sink = sink
        self._silence = bytearray()
        self._heard = False

    def write(self, pcm: bytes) -> None:
        """Take the next PCM16."""
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
        """Drop the held-back silence and flush the inner sink."""
        self._silence.clear()
        self._sink.flush()
