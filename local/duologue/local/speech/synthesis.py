"""A blocking synthesiser as an asynchronous stream of audio.

Voice libraries have one global state and block: each text is spoken in a thread of
its own, clause by clause, so that the first audio is early, another session gets
its turn between two clauses, and stopping takes one chunk.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, Callable

from ..interfaces import VOICE_RATE, VoiceError
from .resample import Resampler

__all__ = ["Emit", "Say", "Trim", "clauses", "stream"]

#: Takes PCM16 at the library's own rate; False means: stop.
Emit = Callable[[bytes], bool]
#: Speaks one clause, blocking, into an `Emit`.
Say = Callable[[str, Emit], None]

#: PCM16 up to which the audio has not begun: voices start with 0.2 s of faint noise,
#: which a listener would wait through.
_SILENT = 256
#: ms kept before that: a word begins softly.
_SOFT_MS = 8
#: Longer sentences are cut at their commas too, in characters.
_LONG = 160
_SENTENCE = re.compile(r"(?<=[.!?;:])\s+|\n+")
_COMMA = re.compile(r"(?<=,)\s+")


def clauses(text: str) -> list[str]:
    """The text in pieces that can be spoken one after the other."""
    pieces: list[str] = []
    for sentence in _SENTENCE.split(text):
        parts = _COMMA.split(sentence) if len(sentence) > _LONG else [sentence]
        pieces.extend(_joined(parts))
    return [piece for piece in pieces if any(map(str.isalnum, piece))]


def _joined(parts: list[str]) -> list[str]:
    """Short parts put together again, up to the length that is worth a cut."""
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
    """The text as PCM16 at 24 kHz, made by ``say`` at ``rate`` Hz in a thread.

    ``lock`` is held for one clause at a time. The thread has ended when the
    iterator has. Raises `VoiceError` if ``say`` fails.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
    stopped = threading.Event()

    def put(chunk: bytes | Exception | None) -> None:
        try:
            loop.call_soon_threadsafe(chunks.put_nowait, chunk)
        except RuntimeError:  # the loop was closed under us: nobody listens
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
            while not chunks.empty():  # the voice is faster than we are called
                ready.append(chunks.get_nowait())
            ended = ready[-1] is None
            if audio := b"".join(part for part in ready if isinstance(part, bytes)):
                yield audio
            for part in ready:
                if isinstance(part, Exception):
                    raise VoiceError(f"cannot speak: {part}") from part
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
    """Speak clause by clause until the end or the stop; runs in the thread."""
    resampler = Resampler(rate, VOICE_RATE)
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


class Trim:
    """Drops the silence before the first word, but for its last few ms."""

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
