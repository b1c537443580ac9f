"""Audio sinks: a file, a callable, a buffer, and a silence filter.

Each is an `AudioSink`: PCM16 mono little-endian at `SAMPLE_RATE`. A transport calls it
in its event loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from types import TracebackType

from ..contract import BYTES_PER_MS, AudioSink
from ..errors import MediaError
from .wav import WavWriter

__all__ = ["BufferSink", "CallbackSink", "TrimmedSink", "WavSink"]

#: The loudest sample that counts as silence: Opus does not decode silence to zeros.
_QUIET = 64


class WavSink:
    """Writes received audio to a WAV file; also a context manager.

    The header is updated once a second. If the process is killed, the file is valid and
    lacks at most the last second. Raises `MediaError` if writing fails.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
        with self._translated():
            self._file = WavWriter(self._path)

    @property
    def duration_ms(self) -> int:
        """The duration of the file so far in ms."""
        return self._file.written // BYTES_PER_MS

    def write(self, pcm: bytes) -> None:
        """Append to the file. Does nothing after `close`."""
        if not self._file.closed:
            with self._translated():
                self._file.write(pcm)

    def flush(self) -> None:
        """Does nothing: the file keeps all received audio."""

    def close(self) -> None:
        """Complete the file. Idempotent."""
        with self._translated():
            self._file.close()

    def __enter__(self) -> WavSink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"{self._path}: cannot be written: {error.strerror}"
            raise MediaError(reason) from None


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

    Silence is buffered until sound follows, so pauses between sounds remain.
    """

    def __init__(self, sink: AudioSink) -> None:
        self._sink = sink
        self._silence = bytearray()
        self._heard = False

    def write(self, pcm: bytes) -> None:
        """Write sound to the inner sink; buffer silence that follows it."""
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
        """Drop the buffered silence and flush the inner sink."""
        self._silence.clear()
        self._sink.flush()
