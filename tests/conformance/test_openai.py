"""The ``openai`` package: its realtime connection over WebSocket, and its REST."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import (
    RealtimeErrorEvent,
    RealtimeFunctionToolParam,
    RealtimeServerEvent,
    ResponseDoneEvent,
)
from openai.types.realtime.realtime_conversation_item_assistant_message import (
    RealtimeConversationItemAssistantMessage,
)
from openai.types.realtime.realtime_conversation_item_function_call import (
    RealtimeConversationItemFunctionCall,
)

from duologue.local import LocalService
from duologue.transports.drivers.webrtc.peer import Peer

WEATHER = RealtimeFunctionToolParam(
    type="function",
    name="get_weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)


@pytest.fixture
async def client(service: LocalService) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=service.base_url, api_key="made-up") as client:
        yield client


async def until_done(far: AsyncRealtimeConnection) -> list[RealtimeServerEvent]:
    """The events up to the next ``response.done``; an error fails the test."""
    events: list[RealtimeServerEvent] = []
    async with asyncio.timeout(30):
        async for event in far:
            assert not isinstance(event, RealtimeErrorEvent), event
            events.append(event)
            if isinstance(event, ResponseDoneEvent):
                break
    return events


async def ask(far: AsyncRealtimeConnection, text: str) -> None:
    await far.conversation.item.create(
        item={
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
    )
    await far.response.create()


def output(events: list[RealtimeServerEvent]) -> Any:
    """The only output item of the finished response."""
    done = events[-1]
    assert isinstance(done, ResponseDoneEvent)
    assert done.response.status == "completed"
    (item,) = done.response.output or []
    return item


async def test_a_text_turn(client: AsyncOpenAI) -> None:
    """The deltas, the final text and the item have the same text."""
    async with client.realtime.connect(model="any") as far:
        await far.session.update(
            session={"type": "realtime", "output_modalities": ["text"]}
        )
        await ask(far, "Hello!")
        events = await until_done(far)
    deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    (text,) = [e.text for e in events if e.type == "response.output_text.done"]
    item = output(events)
    assert isinstance(item, RealtimeConversationItemAssistantMessage)
    assert deltas == text == item.content[0].text
    assert text == "Hello there. It is good to hear you."


@pytest.mark.realtime
async def test_an_audio_turn(
    client: AsyncOpenAI,
    speak: Callable[..., Coroutine[None, None, None]],
    question: Path,
    meant: Callable[[str], str],
) -> None:
    """A spoken question is detected, transcribed, and gets a spoken reply."""
    async with client.realtime.connect(model="any") as far:
        await far.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"transcription": {"model": "any"}}},
            }
        )

        async def send(pcm: bytes) -> None:
            await far.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())

        speaking = asyncio.create_task(speak(question, send))
        events = await until_done(far)
        await speaking
    types: list[str] = [event.type for event in events]
    order = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "response.created",
        "response.output_audio.delta",
        "response.done",
    ]
    places = [types.index(kind) for kind in order]
    assert places == sorted(places)
    heard = [
        e.transcript
        for e in events
        if e.type == "conversation.item.input_audio_transcription.completed"
    ]
    assert [meant(text) for text in heard] == ["can you hear me"]
    audio = b"".join(
        base64.b64decode(e.delta)
        for e in events
        if e.type == "response.output_audio.delta"
    )
    (said,) = [
        e.transcript
        for e in events
        if e.type == "response.output_audio_transcript.done"
    ]
    assert said == "Yes, I can hear you well."
    assert 1.0 < len(audio) / 48_000 < 4.0


async def test_a_tool_call(client: AsyncOpenAI) -> None:
    """A call with arguments, its output, and the reply that uses the output."""
    async with client.realtime.connect(model="any") as far:
        await far.session.update(
            session={
                "type": "realtime",
                "output_modalities": ["text"],
                "tools": [WEATHER],
            }
        )
        await ask(far, "What is the weather in Paris?")
        events = await until_done(far)
        call = output(events)
        assert isinstance(call, RealtimeConversationItemFunctionCall)
        assert call.call_id is not None
        assert (call.name, json.loads(call.arguments)) == (
            "get_weather",
            {"city": "Paris"},
        )
        (final,) = [
            e.arguments
            for e in events
            if e.type == "response.function_call_arguments.done"
        ]
        assert final == call.arguments
        await far.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": "sunny",
            }
        )
        await far.response.create()
        answer = output(await until_done(far))
    assert "sunny" in answer.content[0].text


async def test_an_error_is_an_event(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model="any") as far:
        await far.response.cancel(event_id="mine")
        async with asyncio.timeout(10):
            while not isinstance(event := await far.recv(), RealtimeErrorEvent):
                pass
    assert event.error.code == "response_cancel_not_active"
    assert event.error.event_id == "mine"


async def test_a_client_secret_opens_a_session(
    client: AsyncOpenAI, service: LocalService
) -> None:
    made = await client.realtime.client_secrets.create(
        session={
            "type": "realtime",
            "model": "of-the-key",
            "instructions": "Be brief.",
        },
        expires_after={"anchor": "created_at", "seconds": 10},
    )
    assert made.value.startswith("ek_")
    assert made.expires_at - time.time() == pytest.approx(10, abs=2)
    other = AsyncOpenAI(base_url=service.base_url, api_key=made.value)
    async with other, other.realtime.connect(model="mine") as far:
        created = await far.recv()
    assert created.type == "session.created"
    assert created.session.type == "realtime"
    assert created.session.instructions == "Be brief."
    assert created.session.model == "mine"


async def test_a_call_and_its_sideband(client: AsyncOpenAI) -> None:
    """The package posts an offer, joins the call by its id, and hangs up."""
    peer = Peer(
        on_message=lambda _: None,
        on_audio=None,
        next_audio=None,
        on_closed=lambda _: None,
        loopback=True,
    )
    answer = await client.realtime.calls.create(
        sdp=await peer.offer(),
        session={"type": "realtime", "model": "any", "output_modalities": ["text"]},
    )
    call_id = answer.response.headers["location"].rpartition("/")[2]
    await peer.accept(answer.text)
    await peer.wait_open()
    async with client.realtime.connect(call_id=call_id) as side:
        await ask(side, "Hello!")
        item = output(await until_done(side))
        assert item.content[0].text == "Hello there. It is good to hear you."
        await client.realtime.calls.hangup(call_id)
    await peer.close()


@pytest.mark.realtime
async def test_a_transcription_session(
    client: AsyncOpenAI,
    speak: Callable[..., Coroutine[None, None, None]],
    question: Path,
    meant: Callable[[str], str],
) -> None:
    """Speech is transcribed, and there is no reply."""
    query = {"intent": "transcription"}
    async with client.realtime.connect(extra_query=query) as far:
        await far.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "transcription": {"model": "any"},
                        "turn_detection": {"type": "server_vad"},
                    }
                },
            }
        )

        async def send(pcm: bytes) -> None:
            await far.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())

        speaking = asyncio.create_task(speak(question, send))
        types: list[str] = []
        async with asyncio.timeout(30):
            async for event in far:
                types.append(event.type)
                if event.type.endswith("transcription.completed"):
                    break
        await speaking
    assert event.type == "conversation.item.input_audio_transcription.completed"
    assert meant(event.transcript) == "can you hear me"
    assert not [kind for kind in types if kind.startswith(("response", "error"))]


async def test_refusals_are_the_exceptions_of_the_package(
    client: AsyncOpenAI, service: LocalService
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 9}
        )
    assert caught.value.param == "expires_after.seconds"
    with pytest.raises(openai.NotFoundError):
        await client.realtime.calls.hangup("rtc_none")
    wrong = AsyncOpenAI(base_url=service.base_url, api_key="ek_made_up")
    async with wrong:
        with pytest.raises(openai.AuthenticationError):
            await wrong.realtime.client_secrets.create()
