"""A voice that says the same text once, and remembers it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..interfaces import VOICE_RATE, Voice

__all__ = ["CachedVoice"]

#: Bytes of speech that are kept: eight minutes, 23 MB.
_KEPT = 8 * 60 * VOICE_RATE * 2


class CachedVoice:
    """Passes a voice on; what was spoken to its end is kept, the least used go first.

    Sessions that ask for a text while it is being spoken share the one synthesis,
    which stops when the last of them has gone.
    """

    def __init__(self, voice: Voice, limit: int = _KEPT) -> None:
        self._voice = voice
        self._limit = limit
        self._kept: OrderedDict[tuple[str | None, str], bytes] = OrderedDict()
        self._size = 0
        self._under_way: dict[tuple[str | None, str], _Synthesis] = {}

    @property
    def name(self) -> str:
        """Which voice this is."""
        return self._voice.name

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        """The text as PCM16 at 24 kHz: at once where it is known."""
        key = (voice, text)
        if (pcm := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            yield pcm
            return
        synthesis = self._under_way.get(key)
        if synthesis is None:
            synthesis = self._under_way[key] = _Synthesis(
                self._voice.speak(text, voice=voice)
            )
        try:
            async with aclosing(synthesis.follow()) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            if self._under_way.get(key) is synthesis and not synthesis.followers:
                del self._under_way[key]
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
    """A text being spoken, and those who follow it."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self.pieces: list[bytes] = []
        self.followers = 0
        self.complete = False
        self._more = asyncio.Event()
        self._failure: Exception | None = None
        self._task = asyncio.create_task(self._run(pieces))

    async def follow(self) -> AsyncGenerator[bytes]:
        """All pieces from the first on, as they come. Raises what the voice raised."""
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
        """Stop speaking, if it still does."""
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
