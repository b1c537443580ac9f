"""The cache of synthesised speech."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from duologue.local.interfaces import SynthesiserError
from duologue.local.speech.tts_cache import CachedSynthesiser


async def spoken(voice: CachedSynthesiser, text: str) -> bytes:
    return b"".join([piece async for piece in voice.speak(text, voice="ash")])


class Counting:
    """Records its texts; waits for `go` in the middle of each."""

    name = "counting"

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.stopped = 0
        self.go = asyncio.Event()
        self.go.set()

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        self.spoken.append(text)
        try:
            yield b"\1\0" * 100
            await self.go.wait()
            if text == "bad":
                raise SynthesiserError("no")
            yield b"\2\0" * 100
        except GeneratorExit:
            self.stopped += 1
            raise


async def test_a_text_is_synthesised_once() -> None:
    """Each voice has its own entry; the least recently used entry is evicted."""
    voice = Counting()
    cached = CachedSynthesiser(voice, limit=900)
    first = await spoken(cached, "a")
    assert await spoken(cached, "a") == first == b"\1\0" * 100 + b"\2\0" * 100
    assert voice.spoken == ["a"]
    assert [pcm async for pcm in cached.speak("a", voice="alloy")] != []
    await spoken(cached, "b")
    await spoken(cached, "a")
    assert voice.spoken == ["a", "a", "b", "a"]


async def test_concurrent_requests_share_a_synthesis() -> None:
    """It stops when the last request is closed."""
    voice = Counting()
    voice.go.clear()
    cached = CachedSynthesiser(voice)
    one, two = cached.speak("a"), cached.speak("a")
    assert await anext(one) == await anext(two) == b"\1\0" * 100
    await one.aclose()
    voice.go.set()
    assert await anext(two) == b"\2\0" * 100
    with pytest.raises(StopAsyncIteration):
        await anext(two)
    assert voice.spoken == ["a"]
    voice.go.clear()
    three = cached.speak("c")
    await anext(three)
    await three.aclose()
    assert voice.spoken == ["a", "c"]
    assert [key for key in cached._kept] == [(None, "a")]


async def test_a_failed_synthesis_is_not_cached() -> None:
    cached = CachedSynthesiser(Counting())
    for _ in range(2):
        with pytest.raises(SynthesiserError, match="no"):
            await spoken(cached, "bad")
    assert cached._kept == {}
