"""The seam between the client and whatever carries frames and audio.

A transport moves frames and audio and knows nothing of their meaning. Two small
protocols: `Transport` for the events, `AudioSource` and `AudioSink` for the sound.
Audio at the seam is always PCM16 mono little-endian at `SAMPLE_RATE`, whatever
the wire carries; a transport paces, encodes and resamples.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol, runtime_checkable

import attrs

from .credentials import Credentials

__all__ = [
    "BYTES_PER_MS",
    "FRAME_MS",
    "FRAME_SAMPLES",
    "SAMPLE_RATE",
    "AudioSink",
    "AudioSource",
    "Target",
    "Transport",
]

#: Hz; the rate of ``audio/pcm`` in the protocol.
SAMPLE_RATE = 24_000
#: Audio moves in frames of this many ms (the usual Opus frame, RFC 7587).
FRAME_MS = 20
#: Samples in a frame.
FRAME_SAMPLES = SAMPLE_RATE * FRAME_MS // 1000
#: PCM16 mono at `SAMPLE_RATE`.
BYTES_PER_MS = SAMPLE_RATE * 2 // 1000


@attrs.frozen(kw_only=True)
class Target:
    """Where a transport is to connect, and as what.

    ``base_url`` ends in ``/v1`` (no trailing slash); ``session`` is the GA session
    object as JSON (``type``, ``model``, …) that opens the conversation;
    ``timeout`` is the time in seconds until the connection has to be usable.
    """

    base_url: str
    credentials: Credentials
    session: Mapping[str, Any]
    timeout: float = 15.0


class Transport(Protocol):
    """One connection to a service. Used once: connect, exchange frames, close."""

    async def connect(self, target: Target) -> None:
        """Return when frames can be sent.

        Raises a `ConnectError`; a transport that raised needs no `close`.
        """

    async def send(self, frame: str) -> None:
        """Send one event as JSON text. Raises `NotConnected` after close."""

    def frames(self) -> AsyncIterator[str | bytes]:
        """Frames as they came, in order. Ends when the connection is closed.

        Raises `ConnectionLost` where it ended and nobody closed it. ``bytes`` is a
        text frame that was not valid UTF-8.
        """

    async def close(self) -> None:
        """Close at once and free everything. Idempotent, from every state."""


@runtime_checkable
class AudioSource(Protocol):
    """Sound that goes to the service: a file, a microphone."""

    def read(self, samples: int) -> bytes:
        """Up to ``samples`` samples of PCM16 that are due now, without waiting.

        Fewer mean that there is no more just now: the transport fills up with
        silence. Called once every `FRAME_MS` in real time.
        """


@runtime_checkable
class AudioSink(Protocol):
    """Sound that comes from the service: a file, a speaker."""

    def write(self, pcm: bytes) -> None:
        """Take the PCM16 that follows. Must not block."""

    def flush(self) -> None:
        """Drop what was taken and not played (the service was interrupted)."""
