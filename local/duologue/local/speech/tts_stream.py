"""Blocking speech synthesis as an asynchronous stream of audio.

The C libraries block and have global state. Each text has a thread, which locks the
library for one clause at a time. So the first audio is ready early, sessions alternate,
and a stop takes effect within one chunk.
"""

from __future__ import annotations

import asyncio
import ctypes
import re
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

from duologue.transports.audio.resample import Resampler

from ..interfaces import SAMPLE_RATE, SynthesiserError

__all__ = ["Emit", "Library", "Say", "Trim", "clauses", "stream"]

#: Receives PCM16 at the library's sample rate; returns False to stop the synthesis.
Emit = Callable[[bytes], bool]
#: Synthesises one clause into an `Emit`; blocks.
Say = Callable[[str, Emit], None]

#: The PCM16 value of the noise floor. Speech starts after 0.2 s of faint noise, which
#: would delay the reply.
_SILENT = 256
#: ms kept before the first louder sample: a word starts softly.
_SOFT_MS = 8
#: Characters; longer sentences are also split at commas.
_LONG = 160
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")
_COMMA = re.compile(r"(?<=,)\s+")


def clauses(text: str) -> list[str]:
    """Split a text into clauses that can be spoken separately."""
    pieces: list[str] = []
    for sentence in _SENTENCE.split(text):
        parts = _COMMA.split(sentence) if len(sentence) > _LONG else [sentence]
        pieces.extend(_joined(parts))
    return [piece for piece in pieces if any(map(str.isalnum, piece))]


def _joined(parts: list[str]) -> list[str]:
    """Join consecutive parts while their total length is less than `_LONG`."""
    pieces = [parts[0]]
    for part in parts[1:]:
        if len(pieces[-1]) + len(part) < _LONG:
            pieces[-1] = f"{pieces[-1]} {part}"
        else:
            pieces.append(part)
    return pieces


async def stream(
    text: str, say: Say, rate: int, lock: threading.Lock
) -> AsyncGenerator[bytes]:
    """Run ``say`` in a thread and stream its audio as PCM16 at 24 kHz.

    ``rate`` is the sample rate of ``say`` in Hz. ``lock`` is held for one clause at a
    time. The thread ends before the iterator does. Raises `SynthesiserError` if ``say``
    fails.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    stopped = threading.Event()

    def put(chunk: bytes | Exception | None) -> None:
        try:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
        except RuntimeError:  # the event loop is closed
            stopped.set()

    def work() -> None:
        try:
            _speak_all(text, say, rate, lock, put, stopped)
        except Exception as error:
            put(error)
        put(None)

    thread = threading.Thread(target=work, name="duologue-voice", daemon=True)
    thread.start()
    ended = False
    try:
        while not ended:
            ready = [await chunks.get()]
            while not chunks.empty():
                ready.append(chunks.get_nowait())
            ended = ready[-1] is None
            if audio := b"".join(part for part in ready if isinstance(part, bytes)):
                yield audio
            for part in ready:
                if isinstance(part, Exception):
                    raise SynthesiserError(f"cannot speak: {part}") from part
    finally:
        stopped.set()
        while not ended:
            ended = await chunks.get() is None
        thread.join()


def _speak_all(
    text: str,
    say: Say,
    rate: int,
    lock: threading.Lock,
    put: Callable[[bytes], None],
    stopped: threading.Event,
) -> None:
    """Synthesise clause by clause until the end or a stop; runs in the thread."""
    resampler = Resampler(rate, SAMPLE_RATE)
    trim = Trim(rate)

    def emit(pcm: bytes) -> bool:
        if sound := trim(pcm):
            put(resampler(sound))
        return not stopped.is_set()

    for clause in clauses(text):
        with lock:
            if stopped.is_set():
                return
            say(clause, emit)
    put(resampler.flush())


class Library:
    """Passes audio from the callback of a C library to an `Emit`."""

    def __init__(self) -> None:
        self._emit: Emit | None = None
        self._failure: Exception | None = None

    def take(self, address: int, size: int) -> bool:
        """Emit the samples at an address; False stops the synthesis. Never raises."""
        # An exception cannot pass through C, so `emitting` raises it.
        try:
            assert self._emit is not None
            return self._emit(ctypes.string_at(address, 2 * size))
        except Exception as error:
            self._failure = error
            return False

    @contextmanager
    def emitting(self, emit: Emit) -> Iterator[None]:
        """Within this context, `take` calls ``emit``. Raises the error of ``emit``."""
        self._emit, self._failure = emit, None
        try:
            yield
        finally:
            self._emit = None
        if self._failure is not None:
            raise self._failure


class Trim:
    """Removes the silence before the first word, except for a few ms."""

    def __init__(self, rate: int) -> None:
        self._kept = rate * _SOFT_MS // 1000 * 2
        self._held: bytes | None = b""

    def __call__(self, pcm: bytes) -> bytes:
        if self._held is None:
            return pcm
        pcm = self._held + pcm
        samples = memoryview(pcm).cast("h")
        loud = (at for at, sample in enumerate(samples) if abs(sample) > _SILENT)
        first = next(loud, None)
        if first is None:
            self._held = pcm[-self._kept :]
            return b""
        self._held = None
        return pcm[max(0, first * 2 - self._kept) :]
