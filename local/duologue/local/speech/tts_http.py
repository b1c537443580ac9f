"""A voice by URL: any service with OpenAI's ``/audio/speech``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ..interfaces import VOICE_RATE, VoiceError
from .remote import Far, Gone
from .resample import Resampler
from .synthesis import Trim

__all__ = ["UrlVoice"]

#: The protocol's voice where a session names none.
_VOICE = "alloy"
#: Bytes of a WAV file's head at most, before its samples.
_HEAD = 4096


class UrlVoice:
    """Asks for raw PCM (16 bits, mono, 24 kHz) and passes it on as it comes.

    A service that answers with a WAV file (16 bits, mono) all the same is understood.
    """

    def __init__(self, far: Far) -> None:
        self._far = far
        self.name = f"{far.model} at {far.place}"

    async def speak(
        self, text: str, *, voice: str | None = None
    ) -> AsyncGenerator[bytes]:
        """The text as PCM16 at 24 kHz. Raises `VoiceError`."""
        request = {
            "model": self._far.model,
            "voice": voice or _VOICE,
            "input": text,
            "response_format": "pcm",
        }
        reader = _Reader(self._far.place)
        try:
            async with aclosing(self._far.stream(json=request)) as pieces:
                async for piece in pieces:
                    if pcm := reader.take(piece):
                        yield pcm
        except Gone as error:
            raise VoiceError(str(error)) from error
        if pcm := reader.end():
            yield pcm

    async def close(self) -> None:
        """Close the connections."""
        await self._far.close()


class _Reader:
    """Bytes of an answer to whole samples at 24 kHz, without silence in front."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._rest = b""
        self._begun = False
        self._trim = Trim(VOICE_RATE)
        self._resampler: Resampler | None = None

    def take(self, data: bytes) -> bytes:
        """What can be played after these bytes."""
        self._rest += data
        if not self._begun and not self._begin():
            return b""
        whole = len(self._rest) & ~1
        pcm, self._rest = self._rest[:whole], self._rest[whole:]
        return self._trim(pcm if self._resampler is None else self._resampler(pcm))

    def end(self) -> bytes:
        """What was held back."""
        return b"" if self._resampler is None else self._trim(self._resampler.flush())

    def _begin(self) -> bool:
        """Look whether it is a WAV file. Raises `VoiceError` for one we cannot read."""
        head = self._rest
        if len(head) < 4:
            return False
        if head.startswith(b"RIFF"):
            at = head.find(b"data", 12)
            if at < 0 or len(head) < at + 8:
                if len(head) > _HEAD:
                    raise VoiceError(f"the voice at {self._place} sends a broken WAV")
                return False
            rate = _rate(head[:at], self._place)
            if rate != VOICE_RATE:
                self._resampler = Resampler(rate, VOICE_RATE)
            self._rest = head[at + 8 :]
        elif head.startswith((b"ID3", b"OggS", b"fLaC", b"{")):
            raise VoiceError(f"the voice at {self._place} sends no PCM")
        self._begun = True
        return True


def _rate(head: bytes, place: str) -> int:
    """The sample rate in a WAV head: PCM of 16 bits, mono."""
    at = head.find(b"fmt ", 12) + 8
    form, channels = (
        int.from_bytes(head[at + n : at + n + 2], "little") for n in (0, 2)
    )
    rate = int.from_bytes(head[at + 4 : at + 8], "little")
    bits = int.from_bytes(head[at + 14 : at + 16], "little")
    if (form, channels, bits) != (1, 1, 16) or not 4000 <= rate <= 192_000:
        raise VoiceError(f"the voice at {place} sends no PCM of 16 bits, mono")
    return rate
