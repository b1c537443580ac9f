"""The local service as it is, for clients that no one here wrote.

Each client is unmodified but for the base URL. The table of what each is tested on
stands in ``docs/local.md``.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path

import pytest

from duologue.local import LocalService

EXAMPLES = Path(__file__).parents[2] / "examples"
#: 100 ms of PCM16 at 24 kHz.
_CHUNK = 4800
#: What is asked in these tests; a real ear takes one word for another now and then.
QUESTIONS = ("can you hear me", "tell me the numbers from one to twenty")

Speak = Callable[
    [Path, Callable[[bytes], Awaitable[None]]], Coroutine[None, None, None]
]


@pytest.fixture
async def service() -> AsyncIterator[LocalService]:
    """The service on a free loopback port, with its own ear, voice and scenario."""
    async with LocalService() as service:
        yield service


@pytest.fixture
def websocket_url(service: LocalService) -> str:
    return service.base_url.replace("http", "ws", 1) + "/realtime"


@pytest.fixture
def question() -> Path:
    """A WAV file that asks "Can you hear me?"."""
    return EXAMPLES / "question.wav"


@pytest.fixture
def count() -> Path:
    """A WAV file that says "Tell me the numbers from one to twenty."."""
    return EXAMPLES / "count.wav"


@pytest.fixture
def speak() -> Speak:
    """``await speak(wav, send)``: the file in real time, and a second of silence."""

    async def run(path: Path, send: Callable[[bytes], Awaitable[None]]) -> None:
        with wave.open(str(path), "rb") as file:
            pcm = file.readframes(file.getnframes()) + bytes(10 * _CHUNK)
        for start in range(0, len(pcm), _CHUNK):
            await send(pcm[start : start + _CHUNK])
            await asyncio.sleep(0.1)

    return run


@pytest.fixture
def meant() -> Callable[[str], str]:
    """The question that is nearest to what a real ear wrote down."""

    def nearest(text: str) -> str:
        words = " ".join(re.findall(r"[a-z']+", text.lower()))
        near = difflib.get_close_matches(words, QUESTIONS, cutoff=0.6)
        return near[0] if near else text

    return nearest
