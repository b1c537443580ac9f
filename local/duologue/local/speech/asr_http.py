"""An ear by URL: any service with OpenAI's ``/audio/transcriptions``."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable

from ..interfaces import EAR_RATE, EarError, Hearing
from .remote import Far, Gone

__all__ = ["UrlEar"]

#: Bytes of an utterance that are sent: five minutes; what follows is left out.
_LONGEST = 300 * EAR_RATE * 2


class UrlEar:
    """Sends each utterance as a WAV file once it is complete. It makes no guesses."""

    def __init__(self, far: Far) -> None:
        self._far = far

    async def start(self) -> None:
        """Nothing to get ready."""

    def listen(self, on_guess: Callable[[str], None]) -> Hearing:
        """Open an utterance."""
        return _Utterance(self._far)

    async def close(self) -> None:
        """Close the connections."""
        await self._far.close()


class _Utterance:
    """The audio so far."""

    def __init__(self, far: Far) -> None:
        self._far = far
        self._pcm = bytearray()

    def feed(self, pcm16k: bytes) -> None:
        """Take the audio that follows."""
        self._pcm += pcm16k[: _LONGEST - len(self._pcm)]

    async def finish(self) -> str:
        """The words. Raises `EarError`."""
        try:
            answer = await self._far.ask(
                data={"model": self._far.model, "response_format": "json"},
                files={"file": ("speech.wav", _wav(bytes(self._pcm)), "audio/wav")},
            )
        except Gone as error:
            raise EarError(str(error)) from error
        return _text(answer, self._far.place)

    def drop(self) -> None:
        """Nobody wants the words; cancelling `finish` ends the request."""
        self._pcm.clear()


def _wav(pcm16k: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(EAR_RATE)
        out.writeframes(pcm16k)
    return file.getvalue()


def _text(answer: bytes, place: str) -> str:
    try:
        text = json.loads(answer)["text"]
    except (ValueError, LookupError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise EarError(f"the ear at {place} answers without a text")
    return text
