"""The page in headless Chromium, with the real server and the real local service."""

from __future__ import annotations

import difflib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from .visit import EXAMPLES, Served

#: The spoken sentences; the real recogniser mistakes a word now and then.
QUESTIONS = (
    "can you hear me",
    "tell me the numbers from one to twenty",
    "what is your name",
)


@pytest.fixture
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """``duologue web --local`` on a free port; ``served`` marks add options."""
    marker = request.node.get_closest_marker("parametrize")
    options = getattr(request, "param", ()) if marker else ()
    server = Served(tuple(options))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def question() -> Path:
    """A WAV file that asks "Can you hear me?"."""
    return EXAMPLES / "question.wav"


@pytest.fixture
def count() -> Path:
    """A WAV file that says "Tell me the numbers from one to twenty."."""
    return EXAMPLES / "count.wav"


@pytest.fixture
def meant() -> Callable[[str], str]:
    """The sentence that is nearest to the recognised text."""

    def nearest(text: str) -> str:
        words = " ".join(re.findall(r"[a-z']+", text.lower()))
        near = difflib.get_close_matches(words, QUESTIONS, cutoff=0.6)
        return near[0] if near else text

    return nearest
