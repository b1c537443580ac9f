"""The local service with its defaults, for third-party clients.

Each client is unmodified except for the base URL. ``docs/local.md`` has the table of
the tested features.
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
#: The questions of these tests; the recogniser confuses words now and then.
QUESTIONS = ("can you hear me", "tell me the numbers from one to twenty")

Speak = Callable[
    [Path, Callable[[bytes], Awaitable[None]]], Coroutine[None, None, None]
]


@pytest.fixture
async def service() -> AsyncIterator[LocalService]:
    """The service on a free loopback port, with its default ASR, TTS and scenario."""
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
    """The question nearest to the recognised text."""

    def nearest(text: str) -> str:
        words = " ".join(re.findall(r"[a-z']+", text.lower()))
        near = difflib.get_close_matches(words, QUESTIONS, cutoff=0.6)
        return near[0] if near else text

    return nearest
