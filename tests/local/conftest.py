"""Fixtures: an engine on fake time, and the service with simple components."""

from __future__ import annotations

import base64
import itertools
import json
import math
from array import array
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from duologue.core import decode
from duologue.core.events import Malformed, Unknown
from duologue.local import Engine, Options
from duologue.local.engine import effects
from duologue.local.interfaces import Call, Say

#: 20 ms of sound and of silence, PCM16 at 24 kHz.
LOUD = b"\x01\x10" * 480
QUIET = bytes(960)


class LoudnessDetector:
    """Treats all sound as speech."""

    chunk_bytes = 1024

    def __call__(self, pcm16k: bytes) -> float:
        return 1.0 if any(pcm16k) else 0.0

    def reset(self) -> None:
        pass


class ToneVoice:
    """Speaks a tone of 60 ms for each character."""

    name = "tone"

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        for _ in text:
            yield b"\x00\x20\x00\xe0" * 720


def two_thirds(pcm24k: bytes) -> bytes:
    """24 kHz to 16 kHz, correct only in length and silence."""
    return pcm24k[: len(pcm24k) // 6 * 4]


class Repeating:
    """Resamples by whole factors, correct only in length."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        common = math.gcd(from_rate, to_rate)
        self._up, self._down = to_rate // common, from_rate // common

    def __call__(self, pcm: bytes) -> bytes:
        samples = memoryview(pcm).cast("H").tolist()
        repeated = [each for each in samples for _ in range(self._up)]
        return array("H", repeated[:: self._down]).tobytes()

    def flush(self) -> bytes:
        return b""


class Bench:
    """An engine on fake time; its jobs are answered by script.

    ``hold`` names the classes of jobs that are left alone; they lie in ``held``.
    """

    def __init__(
        self,
        *,
        media: bool = False,
        session: dict[str, Any] | None = None,
        transcribe: bool = True,
        words: str = "can you hear me",
        says: str = "Yes, I can hear you.",
        audio_ms: int = 1000,
        pace: float = 4.0,
        transcript_lag: float | None = 0.1,
        life: float = 3600.0,
    ) -> None:
        numbers = itertools.count(1)
        given = session or {}
        if transcribe:
            given = {"audio": {"input": {"transcription": {"model": "any"}}}} | given
        self.engine = Engine(
            new_id=lambda prefix: f"{prefix}_{next(numbers)}",
            session=given,
            options=Options(
                media=media, pace=pace, transcript_lag=transcript_lag, life=life
            ),
            detector=LoudnessDetector,
            to_16k=two_thirds,
            resampling=Repeating,
        )
        self.media = media
        self.words = words
        self.says = says
        self.thoughts: tuple[Say | Call, ...] = ()
        self.audio_ms = audio_ms
        self.at = 1000.0
        self.events: list[dict[str, Any]] = []
        self.played = b""
        self.hold: tuple[type[object], ...] = ()
        self.held: list[effects.Effect] = []
        self.fed: dict[str, int] = {}
        self.fails: dict[str, str] = {}
        self.engine.start(self.at)
        self.follow()

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in self.events if event["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        """The last event of one type."""
        return self.of(kind)[-1]

    def forget(self) -> None:
        """Forget the events so far."""
        self.events.clear()

    def send(self, kind: str, **fields: Any) -> None:
        """Send a client event."""
        self.raw(json.dumps({"type": kind, **fields}))

    def raw(self, frame: str | bytes) -> None:
        """Send any frame."""
        self.engine.receive(frame, self.at)
        self.follow()

    def hear(self, ms: int, *, loud: bool = False) -> None:
        """Send audio in real time while the track plays."""
        for _ in range(ms // 20):
            self.at += 0.02
            self.engine.hear(LOUD if loud else QUIET, self.at)
            self.follow()
            self.play()
            self.tick()

    def turn(self, ms: int = 1000) -> None:
        """Send speech and silence until the turn ends."""
        self.hear(ms, loud=True)
        self.hear(600)

    def run(self, seconds: float) -> None:
        """Let time pass without audio from the user."""
        for _ in range(round(seconds / 0.02)):
            self.at += 0.02
            self.play()
            self.tick()

    def play(self) -> None:
        if self.media:
            self.played += self.engine.next_audio(self.at)
            self.follow()

    def tick(self) -> None:
        deadline = self.engine.deadline
        if deadline is not None and deadline <= self.at:
            self.engine.tick(self.at)
            self.follow()
            assert (self.engine.deadline or math.inf) > self.at, "it would spin"

    def follow(self) -> None:
        """Answer the jobs and collect the events."""
        while todo := self.engine.take_effects():
            self.collect()
            for job in todo:
                if isinstance(job, self.hold):
                    self.held.append(job)
                else:
                    self.answer(job)
        self.collect()

    def collect(self) -> None:
        for frame in self.engine.take_frames():
            assert not isinstance(decode(frame), Malformed | Unknown), frame
            self.events.append(json.loads(frame))

    def release(self) -> None:
        """Answer the jobs that were held."""
        held, self.held, self.hold = self.held, [], ()
        for job in held:
            self.answer(job)
        self.follow()

    def answer(self, job: effects.Effect) -> None:
        engine, at = self.engine, self.at
        match job:
            case effects.FeedUtterance(utterance, pcm16k):
                self.fed[utterance] = self.fed.get(utterance, 0) + len(pcm16k)
            case effects.FinishUtterance(utterance):
                if why := self.fails.get("ear"):
                    engine.transcription_failed(utterance, why, at)
                else:
                    engine.transcribed(utterance, self.words, at)
            case effects.GenerateReply(response):
                if why := self.fails.get("mind"):
                    engine.mind_failed(response, why, at)
                else:
                    for thought in self.thoughts or (Say(self.says),):
                        engine.thought(response, thought, at)
                    engine.thought_all(response, at)
            case effects.Synthesise(response):
                engine.voiced(response, b"\x00\x20" * 24 * self.audio_ms, at)
                if why := self.fails.get("voice"):
                    engine.voice_failed(response, why, at)
                else:
                    engine.voiced_all(response, at)


@pytest.fixture
def bench() -> Callable[..., Bench]:
    """Creates a `Bench`."""
    return Bench


@pytest.fixture
def tone_voice() -> ToneVoice:
    return ToneVoice()


@pytest.fixture
def append() -> Callable[[bytes], dict[str, Any]]:
    """Creates an append event."""

    def make(pcm: bytes) -> dict[str, Any]:
        return {
            "type": "input_audio_buffer.append",
            "audio": base64.b64encode(pcm).decode(),
        }

    return make


@pytest.fixture
def say(flite: None) -> Callable[[str], Awaitable[bytes]]:
    """Speaks a text with the voice that the recogniser understands best."""
    from duologue.local.components import find_synthesiser

    async def speak(text: str) -> bytes:
        return b"".join(
            [pcm async for pcm in find_synthesiser().speak(text, voice="ash")]
        )

    return speak
