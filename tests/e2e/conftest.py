"""A local service with real speech recognition and synthesis, and its clients."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from duologue.core import SessionConfig, events, models
from duologue.core.config import TURN_DETECTION
from duologue.local import LocalService
from duologue.transports import Client, Credentials

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
async def service() -> AsyncIterator[LocalService]:
    """The service on a free loopback port."""
    async with LocalService() as service:
        yield service


@pytest.fixture
async def client(service: LocalService) -> AsyncIterator[Client]:
    """A client of that service, with a meaningless key."""
    credentials = Credentials("made-up")
    async with Client(credentials=credentials, base_url=service.base_url) as client:
        yield client


@pytest.fixture
def config() -> SessionConfig:
    """Spoken turns, with transcription of the user."""
    return SessionConfig(
        turn_detection=TURN_DETECTION,
        transcription=events.Transcription(model=models.TRANSCRIPTION),
    )


@pytest.fixture
def question() -> Path:
    """A WAV file that asks "Can you hear me?"."""
    return EXAMPLES / "question.wav"


@pytest.fixture
def count() -> Path:
    """A WAV file that says "Tell me the numbers from one to twenty."."""
    return EXAMPLES / "count.wav"


@pytest.fixture
def spoken() -> object:
    """Reads the PCM16 of a WAV file."""

    def read(path: Path) -> bytes:
        with wave.open(str(path), "rb") as file:
            return file.readframes(file.getnframes())

    return read
