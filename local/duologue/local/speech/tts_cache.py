"""A cache of synthesised speech."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..interfaces import SAMPLE_RATE, Synthesiser

__all__ = ["CachedSynthesiser"]

#: Maximum bytes in the cache: 23 MB, eight minutes of speech.
_KEPT = 8 * 60 * SAMPLE_RATE * 2


class CachedSynthesiser:
    """Caches complete speech of another synthesiser, with least-recently-used eviction.

    Concurrent requests for the same text share one synthesis. It stops when the last
    request is closed.
    """

    def __init__(self, synthesiser: Synthesiser, limit: int = _KEPT) -> None:
        self._synthesiser = synthesiser
        self._limit = limit
        self._kept: OrderedDict[tuple[str | None, str], bytes] = OrderedDict()
        self._size = 0
        self._running: dict[tuple[str | None, str], _Synthesis] = {}

    @property
    def name(self) -> str:
        """The name of the other synthesiser."""
        return self._synthesiser.name

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        """Stream the speech as PCM16 at 24 kHz, in one chunk if it is cached."""
        key = (voice, text)
        if (pcm := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            yield pcm
            return
        synthesis = self._running.get(key)
        if synthesis is None:
            synthesis = self._running[key] = _Synthesis(
                self._synthesiser.speak(text, voice=voice)
            )
        try:
            async with aclosing(synthesis.follow()) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            if self._running.get(key) is synthesis and not synthesis.followers:
                del self._running[key]
                await synthesis.stop()
                if synthesis.complete:
                    self._keep(key, b"".join(synthesis.pieces))

    def _keep(self, key: tuple[str | None, str], pcm: bytes) -> None:
        self._kept[key] = pcm
        self._size += len(pcm)
        while self._size > self._limit:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest)


class _Synthesis:
    """A running synthesis and the number of its followers."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self.pieces: list[bytes] = []
        self.followers = 0
        self.complete = False
        self._more = asyncio.Event()
        self._failure: Exception | None = None
        self._task = asyncio.create_task(self._run(pieces))

    async def follow(self) -> AsyncGenerator[bytes]:
        """All pieces, from the first one. Raises the error of the synthesis."""
        self.followers += 1
        try:
            at = 0
            while True:
                if at < len(self.pieces):
                    ready = b"".join(self.pieces[at:])
                    at = len(self.pieces)
                    yield ready
                elif self._failure is not None:
                    raise self._failure
                elif self.complete:
                    return
                else:
                    self._more.clear()
                    await self._more.wait()
        finally:
            self.followers -= 1

    async def stop(self) -> None:
        """Cancel the synthesis. Idempotent."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, pieces: AsyncGenerator[bytes]) -> None:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    self.pieces.append(piece)
                    self._more.set()
            self.complete = True
        except Exception as error:
            self._failure = error
        finally:
            self._more.set()
