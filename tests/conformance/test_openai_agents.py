"""``openai-agents``: its ``RealtimeSession`` with its own history."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import (
    AssistantMessageItem,
    RealtimeAgent,
    RealtimeRunner,
    RealtimeSession,
    RealtimeSessionEvent,
    UserMessageItem,
)

Speak = Callable[
    [Path, Callable[[bytes], Awaitable[None]]], Coroutine[None, None, None]
]
Open = Callable[..., contextlib.AbstractAsyncContextManager[RealtimeSession]]


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


@pytest.fixture
def opened(websocket_url: str) -> Open:
    """``async with opened(tools) as session``: a session of an agent."""

    @contextlib.asynccontextmanager
    async def run(tools: list[Any] | None = None) -> AsyncIterator[RealtimeSession]:
        agent = RealtimeAgent[Any](
            name="Agent", instructions="Help.", tools=tools or []
        )
        runner = RealtimeRunner(agent)
        session = await runner.run(
            model_config={
                "url": f"{websocket_url}?model=any",
                "api_key": "made-up",
                "initial_model_settings": {
                    "model_name": "any",
                    "tracing": None,
                    "input_audio_transcription": {"model": "any"},
                    "turn_detection": {
                        "type": "server_vad",
                        "interrupt_response": True,
                    },
                },
            }
        )
        async with session:
            yield session

    return run


async def until(
    session: RealtimeSession, is_it: Callable[[RealtimeSessionEvent], bool]
) -> list[RealtimeSessionEvent]:
    """The events up to the wanted one; an error fails the test."""
    events: list[RealtimeSessionEvent] = []
    async with asyncio.timeout(30):
        async for event in session:
            assert event.type != "error", event
            events.append(event)
            if is_it(event):
                break
    return events


def lines(session: RealtimeSession) -> list[tuple[str, str]]:
    """Role and text of each line in the package's history."""
    found: list[tuple[str, str]] = []
    for item in session._history:
        if isinstance(item, UserMessageItem | AssistantMessageItem):
            texts = [
                getattr(part, "transcript", None) or getattr(part, "text", None) or ""
                for part in item.content
            ]
            found.append((item.role, "".join(texts)))
    return found


@pytest.mark.realtime
async def test_a_voice_turn(
    opened: Open, speak: Speak, question: Path, meant: Callable[[str], str]
) -> None:
    async with opened() as session:
        speaking = asyncio.create_task(speak(question, session.send_audio))
        events = await until(session, lambda event: event.type == "agent_end")
        await speaking
        shown = lines(session)
    types = [event.type for event in events]
    assert types.index("agent_start") < types.index("audio") < types.index("audio_end")
    assert [(role, meant(text)) for role, text in shown] == [
        ("user", "can you hear me"),
        ("assistant", "Yes, I can hear you well."),
    ]


async def test_a_tool_call(opened: Open) -> None:
    """The package runs the tool and requests the response itself."""
    async with opened([get_weather]) as session:
        await session.send_message("What is the weather in Paris?")
        events = await until(session, lambda event: event.type == "tool_end")
        await until(session, lambda event: event.type == "agent_end")
        shown = lines(session)
    (end,) = [event for event in events if event.type == "tool_end"]
    assert (end.tool.name, end.output) == ("get_weather", "sunny in Paris")
    assert "sunny in Paris" in shown[-1][1]


@pytest.mark.realtime
async def test_an_interruption(
    opened: Open, speak: Speak, question: Path, count: Path, meant: Callable[[str], str]
) -> None:
    """Speech during a reply stops it, and the unheard part is truncated."""
    async with opened() as session:
        await session.send_message("Tell me the numbers from one to twenty.")
        await until(session, lambda event: event.type == "audio")
        await asyncio.sleep(1.0)  # A part of it is played.
        speaking = asyncio.create_task(speak(question, session.send_audio))
        events = await until(session, lambda event: event.type == "audio_interrupted")
        assert events
        await until(session, lambda event: event.type == "agent_end")
        await speaking
        shown = lines(session)
    assert ("user", "can you hear me") in [(r, meant(text)) for r, text in shown]
