"""Speech recognition by a service with OpenAI's ``/audio/transcriptions``."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable

from ..interfaces import ASR_RATE, RecogniserError, Utterance
from .http_endpoint import Endpoint, EndpointError

__all__ = ["HttpRecogniser"]

#: The maximum length of an utterance in bytes: five minutes. The rest is dropped.
_LONGEST = 300 * ASR_RATE * 2


class HttpRecogniser:
    """Sends each complete utterance as a WAV file; gives no interim transcripts."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def start(self) -> None:
        """No preparation is needed."""

    def listen(self, on_guess: Callable[[str], None]) -> Utterance:
        """Open an utterance."""
        return _Utterance(self._endpoint)

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()


class _Utterance:
    """Collects the audio of an utterance."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pcm = bytearray()

    def feed(self, pcm16k: bytes) -> None:
        """Add the next audio."""
        self._pcm += pcm16k[: _LONGEST - len(self._pcm)]

    async def finish(self) -> str:
        """Send the audio and return its transcript. Raises `RecogniserError`."""
        wav = _wav(bytes(self._pcm))
        try:
            answer = await self._endpoint.post(
                data={"model": self._endpoint.model, "response_format": "json"},
                files={"file": ("speech.wav", wav, "audio/wav")},
            )
        except EndpointError as error:
            raise RecogniserError(str(error)) from error
        return _text(answer, self._endpoint.host)

    def drop(self) -> None:
        """Discard the audio. Cancelling `finish` ends the request."""
        self._pcm.clear()


def _wav(pcm16k: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(ASR_RATE)
        out.writeframes(pcm16k)
    return file.getvalue()


def _text(answer: bytes, host: str) -> str:
    try:
        text = json.loads(answer)["text"]
    except (ValueError, LookupError, TypeError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise RecogniserError(f"the response of the ear at {host} has no text")
    return text
