"""Packets are decoded only when the session needs the audio."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import pytest

from duologue.core import Session, SessionConfig, models, select_transcripts
from duologue.core.events import Transcription
from duologue.local import LocalService
from duologue.local.server.deferred_decoder import DeferredDecoder
from duologue.transports import Client, Credentials, WavSource, webrtc

QUESTION = Path(__file__).parents[3] / "examples" / "question.wav"


@attrs.define
class Listener:
    listens: bool = False
    heard: list[bytes] = attrs.Factory(list)

    def hear(self, pcm24k: bytes) -> None:
        self.heard.append(pcm24k)


class Decoder:
    """Counts packets; the audio of a packet is its text, twice."""

    def __init__(self) -> None:
        self.decoded = 0

    def decode(self, packet: bytes) -> bytes:
        self.decoded += 1
        return packet * 2


def unheard(listener: Listener) -> tuple[DeferredDecoder, Any]:
    decoder: Any = Decoder()
    return DeferredDecoder(listener, lambda: decoder), decoder


def test_what_is_listened_to_goes_on_at_once() -> None:
    listener = Listener(listens=True)
    calls, _ = unheard(listener)
    for packet in (b"a", b"b"):
        calls.take(packet)
    assert listener.heard == [b"aa", b"bb"]


def test_what_nobody_hears_is_not_decoded() -> None:
    """The client's next event decodes all packets, once."""
    listener = Listener()
    calls, decoder = unheard(listener)
    for packet in (b"a", b"b"):
        calls.take(packet)
    assert decoder.decoded == 0
    list(calls.catch_up())
    list(calls.catch_up())
    assert listener.heard == [b"aabb"]


def test_what_came_before_the_listening_comes_first() -> None:
    listener = Listener()
    calls, _ = unheard(listener)
    calls.take(b"a")
    listener.listens = True
    calls.take(b"b")
    assert listener.heard == [b"aabb"]


def test_what_is_kept_is_bounded() -> None:
    """Seven minutes, as in the input audio buffer; the oldest is dropped."""
    listener = Listener()
    calls, decoder = unheard(listener)
    for _ in range(30_000):
        calls.take(b"a")
    list(calls.catch_up())
    assert decoder.decoded == 21_000


def test_much_of_it_leaves_room_for_others() -> None:
    """Decoding yields after each five seconds of audio."""
    calls, decoder = unheard(Listener())
    for _ in range(1_100):
        calls.take(b"a")
    steps = [decoder.decoded for _ in calls.catch_up()]
    assert steps == [250, 500, 750, 1_000, 1_100]


@pytest.mark.realtime
async def test_what_was_said_before_a_commit_by_hand_is_understood() -> None:
    """Push-to-talk over WebRTC: the packets become the item's audio."""
    source = WavSource(QUESTION)
    config = SessionConfig(
        turn_detection=None, transcription=Transcription(model=models.TRANSCRIPTION)
    )
    async with (
        LocalService() as service,
        Client(credentials=Credentials("made-up"), base_url=service.base_url) as client,
    ):
        session = await client.start_session(config, transport=webrtc(source=source))
        await source.wait_ended()
        await asyncio.sleep(0.3)
        await session.send_event({"type": "input_audio_buffer.commit"})
        state = await session.until(_is_written_down, timeout=20)
    [line] = select_transcripts(state)
    assert {"hear", "me"} & set(line.text.lower().split())


def _is_written_down(session: Session) -> bool:
    return any(line.final for line in select_transcripts(session))
