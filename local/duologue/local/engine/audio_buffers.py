"""The user's audio before it is an item: its format, and what waits for a commit."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator

from ..interfaces import VOICE_RATE
from ..speech.g711 import Resampling, reader
from .outbox import Refusal

__all__ = ["MOST_AUDIO", "MOST_FRAME", "Intake", "decoded"]

_BYTES_PER_MS = VOICE_RATE * 2 // 1000
#: Audio in one event at most, in base64 as it is sent (API page "Client events",
#: input_audio_buffer.append: "up to a maximum of 15 MiB").
MOST_AUDIO = 15 * 1024 * 1024
#: Bytes of one event at most, whatever it is and however it comes: as much audio as is
#: allowed, and room for the rest.
MOST_FRAME = 16 * 1024 * 1024
#: Audio kept where the client commits by hand: seven minutes, then the oldest goes.
_KEPT = 420_000 * _BYTES_PER_MS
#: A commit needs this much (the service's own limit).
_LEAST_MS = 100
#: Characters of base64 that are decoded at a time; a multiple of four.
_STEP = 256 * 1024
#: Bytes of audio that leave the hand's buffer at a time: 20 s.
_PIECE = 20_000 * _BYTES_PER_MS


def decoded(audio: str) -> Iterator[bytes]:
    """The bytes of a base64 text, in steps that take no longer than a millisecond.

    Raises `Refusal`.
    """
    if len(audio) > MOST_AUDIO:
        raise Refusal(
            "string_above_max_length",
            f"Invalid 'audio': more than {MOST_AUDIO} characters of base64.",
            param="audio",
        )
    for start in range(0, len(audio), _STEP):
        piece = audio[start : start + _STEP]
        last = start + _STEP >= len(audio)
        try:
            data = base64.b64decode(piece, validate=True)
        except (binascii.Error, ValueError) as error:
            raise _not_base64() from error
        if not last and len(data) != _STEP // 4 * 3:
            raise _not_base64()  # padding in the middle
        yield data


def _not_base64() -> Refusal:
    return Refusal("invalid_value", "The audio is not valid base64.", param="audio")


class Intake:
    """One session's: a stream of samples, whatever comes in, and the hand's buffer."""

    def __init__(self, resampling: Resampling | None) -> None:
        self._resampling = resampling
        self._kind = "audio/pcm"
        self._read: Callable[[bytes], bytes] | None = None
        self._odd = b""
        self._buffer = bytearray()

    def samples(self, data: bytes, kind: str = "audio/pcm") -> bytes:
        """Audio of that format as PCM16 at 24 kHz; half a sample waits for the rest."""
        if kind != self._kind:
            self._kind, self._odd, self._read = kind, b"", None
            if kind != "audio/pcm" and self._resampling is not None:
                self._read = reader(kind, self._resampling)
        if kind != "audio/pcm":
            return b"" if self._read is None else self._read(data)
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        return data[:whole]

    def keep(self, pcm24k: bytes) -> None:
        """Keep audio for a commit by hand."""
        self._buffer += pcm24k
        del self._buffer[:-_KEPT]

    def take(self) -> Iterator[bytes]:
        """What waits for a commit, piece by piece; nothing is left.

        Raises `Refusal` where it is too little, and leaves it.
        """
        ms = len(self._buffer) / _BYTES_PER_MS
        if ms < _LEAST_MS:
            raise Refusal(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at "
                f"least {_LEAST_MS}ms of audio, but buffer only has {ms:.2f}ms.",
            )
        audio, self._buffer = self._buffer, bytearray()
        starts = range(0, len(audio), _PIECE)
        return (bytes(audio[start : start + _PIECE]) for start in starts)

    def clear(self) -> None:
        """Forget what was not committed."""
        self._odd = b""
        self._buffer.clear()
