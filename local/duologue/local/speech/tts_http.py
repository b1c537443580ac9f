"""Speech synthesis by a service with OpenAI's ``/audio/speech``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from duologue.transports.audio.resample import Resampler

from ..interfaces import SAMPLE_RATE, SynthesiserError
from .http_endpoint import Endpoint, EndpointError
from .tts_stream import Trim

__all__ = ["HttpSynthesiser"]

#: The voice if a session names none.
_VOICE = "alloy"
#: The maximum length of a WAV header in bytes.
_HEAD = 4096


class HttpSynthesiser:
    """Requests raw PCM (16 bits, mono, 24 kHz) and streams it.

    A WAV file (16 bits, mono, any rate) is accepted too.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.name = f"{endpoint.model} at {endpoint.host}"

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        """Stream the speech as PCM16 at 24 kHz. Raises `SynthesiserError`."""
        request = {
            "model": self._endpoint.model,
            "voice": voice or _VOICE,
            "input": text,
            "response_format": "pcm",
        }
        reader = _Reader(self._endpoint.host)
        try:
            async with aclosing(self._endpoint.stream(json=request)) as pieces:
                async for piece in pieces:
                    if pcm := reader.take(piece):
                        yield pcm
        except EndpointError as error:
            raise SynthesiserError(str(error)) from error
        if pcm := reader.end():
            yield pcm

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()


class _Reader:
    """Converts a response body to samples at 24 kHz, without leading silence."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._rest = b""
        self._begun = False
        self._trim = Trim(SAMPLE_RATE)
        self._resampler: Resampler | None = None

    def take(self, data: bytes) -> bytes:
        """Convert the next bytes; return the samples that are ready."""
        self._rest += data
        if not self._begun and not self._begin():
            return b""
        whole = len(self._rest) & ~1
        pcm, self._rest = self._rest[:whole], self._rest[whole:]
        return self._trim(pcm if self._resampler is None else self._resampler(pcm))

    def end(self) -> bytes:
        """The remaining samples."""
        return b"" if self._resampler is None else self._trim(self._resampler.flush())

    def _begin(self) -> bool:
        """Detect the format. Raises `SynthesiserError` for an unsupported one."""
        head = self._rest
        if len(head) < 4:
            return False
        if head.startswith(b"RIFF"):
            at = head.find(b"data", 12)
            if at < 0 or len(head) < at + 8:
                if len(head) > _HEAD:
                    raise SynthesiserError(
                        f"the voice at {self._host} sends a broken WAV"
                    )
                return False
            rate = _rate(head[:at], self._host)
            if rate != SAMPLE_RATE:
                self._resampler = Resampler(rate, SAMPLE_RATE)
            self._rest = head[at + 8 :]
        elif head.startswith((b"ID3", b"OggS", b"fLaC", b"{")):
            raise SynthesiserError(f"the voice at {self._host} sends no PCM")
        self._begun = True
        return True


def _rate(head: bytes, host: str) -> int:
    """The sample rate of a WAV file. Raises `SynthesiserError` unless 16 bits, mono."""
    at = head.find(b"fmt ", 12) + 8
    form, channels = (
        int.from_bytes(head[at + n : at + n + 2], "little") for n in (0, 2)
    )
    rate = int.from_bytes(head[at + 4 : at + 8], "little")
    bits = int.from_bytes(head[at + 14 : at + 16], "little")
    if (form, channels, bits) != (1, 1, 16) or not 4000 <= rate <= 192_000:
        raise SynthesiserError(f"the voice at {host} sends no PCM of 16 bits, mono")
    return rate
