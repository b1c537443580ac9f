"""The seam between the client and whatever carries frames and audio.

A transport moves frames and audio and knows nothing of their meaning. Two small
protocols: `Transport` for the events, `AudioSource` and `AudioSink` for the sound.
Audio at the seam is always PCM16 mono little-endian at `SAMPLE_RATE`, whatever
the wire carries; a transport paces, encodes and resamples.

The other protocols are what a transport may offer beside. Who drives it looks for
the method and does without where there is none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import attrs

from .clock import Clock
from .http.credentials import Credentials

__all__ = [
    "BYTES_PER_MS",
    "FRAME_MS",
    "FRAME_SAMPLES",
    "OWN",
    "SAMPLE_RATE",
    "Audible",
    "AudioSink",
    "AudioSource",
    "Report",
    "Reporting",
    "Tappable",
    "Target",
    "Timed",
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


#: The ``src`` of the records that a transport reports of itself.
OWN = "transport"

#: Takes what a transport did by itself: the frame, and "out" for an event that it
#: sent, "local" for a fact. Called in the transport's loop; it must not block.
Report = Callable[[str, Literal["out", "local"]], None]


@attrs.frozen(kw_only=True)
class Target:
    """Where a transport is to connect, and as what.

    ``base_url`` ends in ``/v1`` (no trailing slash); ``session`` is the GA session
    object as JSON (``type``, ``model``, …) that opens the conversation;
    ``timeout`` is the time in seconds until the connection has to be usable;
    ``safety_identifier`` names the end user to the service without saying who it is
    (header ``OpenAI-Safety-Identifier``).
    """

    base_url: str
    credentials: Credentials
    session: Mapping[str, Any]
    timeout: float = 15.0
    safety_identifier: str | None = None


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


@runtime_checkable
class Reporting(Protocol):
    """A transport that does things which nobody told it to.

    One that carries sound in events sends what the user says, and knows how much of
    the reply was heard. Each becomes a record of the session, with `OWN` as ``src``.
    """

    def report_to(self, report: Report) -> None:
        """Call ``report`` for each from now on; at the latest before `connect`.

        An event is reported before it is sent, and how much was heard before the
        frame that asks for it (``speech_started``) is given out.
        """


@runtime_checkable
class Audible(Protocol):
    """A transport that carries sound: both sides can be turned down."""

    def set_muted(self, muted: bool) -> None:
        """Send silence in place of the source, or the source again."""

    def set_volume(self, volume: float) -> None:
        """Pass on what is heard at this volume, from 0 to 1 (the default)."""

    def flush_audio(self) -> None:
        """Drop what was received and not played."""


@runtime_checkable
class Tappable(Protocol):
    """A transport that carries sound: both sides can be listened to."""

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """Call back with all PCM16 that goes out and comes in, as it does."""


@runtime_checkable
class Timed(Protocol):
    """A transport with a time and a name of its own: a recording.

    A client takes both from it, so that what is replayed has the times and the ids
    that it had.
    """

    clock: Clock
    session_id: str
