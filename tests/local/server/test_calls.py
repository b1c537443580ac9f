"""A call to the complete service: WebRTC on loopback, built-in components."""

from __future__ import annotations

import asyncio
import json
import threading
import wave
from array import array
from pathlib import Path
from typing import Any

import httpx
import pytest

from duologue.local import LocalService, Parts
from duologue.local.components import find_synthesiser
from duologue.transports.drivers.webrtc.peer import Peer

from ...closed_set import decode, lasts

EXAMPLES = Path(__file__).parents[3] / "examples"
REPLIES = [
    "Yes, I can hear you well.",
    "Hello there. It is good to hear you.",
    "I am the scripted voice of duologue, not a language model.",
    "I can greet you, tell you that I hear you, and count for you.",
    "You are welcome.",
    "Goodbye, and thank you for the conversation.",
    "One, two, three, four, five.",
    "I did not hear any words. This is a scripted reply.",
    "I heard three words. This is a scripted reply.",
    "I heard five words. This is a scripted reply.",
]
SESSION = {
    "type": "realtime",
    "audio": {"input": {"transcription": {"model": "any"}}},
}


def samples(name: str) -> bytes:
    with wave.open(str(EXAMPLES / name)) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        pcm: bytes = file.readframes(file.getnframes())
        return pcm


async def converse(
    base_url: str, question: bytes
) -> tuple[list[dict[str, Any]], bytes]:
    """Ask and wait for the end of the reply; returns the events and the audio."""
    events: list[dict[str, Any]] = []
    heard = bytearray()
    stopped = asyncio.Event()
    position = 0

    def take(message: str | bytes) -> None:
        events.append(json.loads(message))
        if events[-1]["type"] == "output_audio_buffer.stopped":
            stopped.set()

    def speak() -> bytes:
        nonlocal position
        position += 960
        return question[position - 960 : position]

    peer = Peer(
        on_message=take,
        on_audio=heard.extend,
        next_audio=speak,
        on_closed=lambda _: None,
        loopback=True,
    )
    async with httpx.AsyncClient(headers={"Authorization": "Bearer x"}) as http:
        files = {
            "sdp": (None, await peer.offer()),
            "session": (None, json.dumps(SESSION)),
        }
        answer = await http.post(f"{base_url}/realtime/calls", files=files)
    await peer.accept(answer.text)
    async with asyncio.timeout(20):
        await stopped.wait()
    await asyncio.sleep(0.3)  # the rest of the jitter buffer
    await peer.close()
    return events, bytes(heard)


@pytest.mark.realtime
async def test_a_spoken_question_is_answered() -> None:
    """The question is recognised, and the audio of the response is the reply.

    Other audio shows that the closed-set check can fail.
    """
    threads = set(threading.enumerate())
    async with LocalService() as service:
        events, heard = await converse(service.base_url, samples("question.wav"))
    transcripts = [
        event["transcript"]
        for event in events
        if event["type"] == "conversation.item.input_audio_transcription.completed"
    ]
    [words] = transcripts
    assert "hear me" in words
    voice = find_synthesiser()
    expected = b"".join([pcm async for pcm in voice.speak(REPLIES[0])])
    if voice.name == "flite":
        assert decode(heard, REPLIES) == REPLIES[0]
        spoiled = array("h", heard)[::-1].tobytes()
        assert decode(spoiled, REPLIES) != REPLIES[0]
    assert lasts(heard, expected)
    async with asyncio.timeout(5):
        while set(threading.enumerate()) - threads:
            await asyncio.sleep(0.05)


@pytest.mark.realtime
async def test_a_data_channel_of_any_label() -> None:
    """Microsoft's guide for WebRTC names it ``realtime-channel``."""
    received: asyncio.Queue[str | bytes] = asyncio.Queue()
    peer = Peer(
        on_message=received.put_nowait,
        next_audio=None,
        on_closed=lambda _: None,
        channel="realtime-channel",
        loopback=True,
    )
    headers = {"Authorization": "Bearer x", "Content-Type": "application/sdp"}
    async with LocalService(parts=Parts()) as service, httpx.AsyncClient() as http:
        url = f"{service.base_url}/realtime/calls?model=a-model"
        answer = await http.post(url, headers=headers, content=await peer.offer())
        await peer.accept(answer.text)
        created = json.loads(await asyncio.wait_for(received.get(), 20))
        await peer.close()
    assert created["type"] == "session.created"
    assert created["session"]["model"] == "a-model"


def test_the_questions_are_what_the_script_made() -> None:
    """Mono, 24 kHz, a few seconds, with silence at both ends."""
    for name in ("question.wav", "count.wav"):
        pcm = samples(name)
        assert 1.5 < len(pcm) / 48_000 < 5
        loudest = [
            max(map(abs, array("h", part))) for part in (pcm[:9600], pcm[-9600:])
        ]
        assert max(loudest) < 50 < max(map(abs, array("h", pcm)))
