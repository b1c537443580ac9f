"""A local service in a separate process that prints the times of its steps.

    python benchmarks/served.py [quiet]

Prints lines of JSON: first ``{"base_url": …}``, then ``{"mark": …, "at": …}`` with the
monotonic clock, which all processes of a machine share; ``quiet`` prints only the
first line. Ends when its input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import attrs

from duologue.local import LocalService
from duologue.local.components import built_in
from duologue.transports.drivers.webrtc.peer import Peer

__all__ = ["AUDIBLE", "audible"]

#: The PCM16 level above which a sample is audible (-40 dB).
AUDIBLE = 327


def audible(pcm: bytes) -> bool:
    """Whether the audio contains an audible sample."""
    samples = memoryview(pcm).cast("h")
    return bool(samples) and max(max(samples), -min(samples)) > AUDIBLE


def mark(what: str) -> None:
    """Print that a step happened now."""
    print(json.dumps({"mark": what, "at": time.monotonic()}), flush=True)


class _Detector:
    """A detector that marks each chunk with audible sound."""

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.chunk_bytes = detector.chunk_bytes
        self.reset = detector.reset

    def __call__(self, pcm16k: bytes) -> float:
        if audible(pcm16k):
            mark("heard")
        found: float = self._detector(pcm16k)
        return found


class _Hearing:
    """A recognition that marks the request for its text and the result."""

    def __init__(self, hearing: Any) -> None:
        self._hearing = hearing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hearing, name)

    async def finish(self) -> str:
        """The recognised text."""
        words: str = await self._hearing.finish()
        mark("words")
        return words


class _Ear:
    """A recogniser whose utterances print marks."""

    def __init__(self, ear: Any) -> None:
        self._ear = ear

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ear, name)

    def listen(self, on_guess: Callable[[str], None]) -> _Hearing:
        """Open an utterance."""
        return _Hearing(self._ear.listen(on_guess))


class _Voice:
    """A synthesiser that marks the request and the first audio."""

    def __init__(self, voice: Any) -> None:
        self._voice = voice

    def __getattr__(self, name: str) -> Any:
        return getattr(self._voice, name)

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        """The text as audio."""
        mark("reply")
        first = True
        async for pcm in self._voice.speak(text, voice=voice):
            if first:
                mark("voice")
            first = False
            yield pcm


def _tell() -> None:
    """Mark the packets that peers send."""
    make, send = Peer.__init__, Peer.send

    def told_init(self: Peer, *, next_audio: Callable[[], Any], **rest: Any) -> None:
        def told_audio() -> Any:
            audio = next_audio()
            if isinstance(audio, bytes) and audible(audio):
                mark("taken")
            return audio

        make(self, next_audio=told_audio, **rest)

    def told_send(self: Peer, text: str) -> None:
        for event in ("speech_started", "speech_stopped"):
            if f'"input_audio_buffer.{event}"' in text:
                mark(event)
        send(self, text)

    Peer.__init__ = told_init  # type: ignore[method-assign, assignment]
    Peer.send = told_send  # type: ignore[method-assign]


async def serve(*, quiet: bool) -> None:
    """Serve until the input closes."""
    found = parts = built_in()
    if not quiet:
        _tell()
        parts = attrs.evolve(
            found,
            ear=_Ear(found.ear),
            voice=_Voice(found.voice),
            detector=lambda: _Detector(found.detector()),  # type: ignore[misc]
        )
    async with LocalService(parts=parts, max_listening=1000) as service:
        await found.ear.start()  # type: ignore[union-attr]
        print(json.dumps({"base_url": service.base_url}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await found.close()


if __name__ == "__main__":
    asyncio.run(serve(quiet="quiet" in sys.argv))
