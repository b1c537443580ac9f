"""The interface between the client and a transport.

A transport moves frames and audio and does not interpret them. `Transport` is the
protocol for events; `AudioSource` and `AudioSink` are the protocols for audio. Audio
is always PCM16 mono little-endian at `SAMPLE_RATE`; the transport paces, encodes and
resamples it.

Every other protocol is optional. The client tests for it with ``isinstance``, so
implement all members of it or none. To have a type checker verify yours, assign it:
``transport: Repeatable = MyTransport()``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import attrs

from duologue.core.log.record import Record

from .clock import Clock
from .http.credentials import Credentials
from .http.providers import OPENAI, Provider
from .http.redaction import Headers

__all__ = [
    "BYTES_PER_MS",
    "FRAME_MS",
    "FRAME_SAMPLES",
    "OWN",
    "SAMPLE_RATE",
    "Audible",
    "AudioSink",
    "AudioSource",
    "Flushable",
    "Following",
    "KeySource",
    "ProviderKeySource",
    "Recorder",
    "Rejoining",
    "Repeatable",
    "Report",
    "Reporting",
    "Sourced",
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
#: Bytes of one ms of PCM16 mono at `SAMPLE_RATE`.
BYTES_PER_MS = SAMPLE_RATE * 2 // 1000


#: The ``src`` of the records that a transport reports (see `Reporting`).
OWN = "transport"

#: Called with a frame and its direction: "out" for an event that the transport sends by
#: itself, "local" for a local fact. Called in the event loop; must not block.
Report = Callable[[str, Literal["out", "local"]], None]


@attrs.frozen(kw_only=True)
class Target:
    """The service and the session that a transport connects to.

    ``base_url`` ends in ``/v1`` (no trailing slash); ``session`` is the GA session
    object as JSON (``type``, ``model``, …); ``timeout`` is the time in seconds until
    the connection must be usable; ``safety_identifier`` is a pseudonym of the end user
    (header ``OpenAI-Safety-Identifier``). ``headers`` and ``query`` are added to those
    of the ``provider``; their ``repr`` shows no values.
    """

    base_url: str
    credentials: Credentials
    session: Mapping[str, Any]
    timeout: float = 15.0
    safety_identifier: str | None = None
    provider: Provider = OPENAI
    headers: Mapping[str, str] = attrs.field(factory=dict, converter=Headers)
    query: Mapping[str, str] = attrs.field(factory=dict, converter=Headers)


@runtime_checkable
class ProviderKeySource(Protocol):
    """A key source that requests its keys from the provider of the client."""

    def bind(self, provider: Provider) -> KeySource:
        """The same source for this provider; called when the client is made."""


class KeySource(Protocol):
    """Supplies the key of each connection; `Credentials` is the simplest source."""

    @property
    def renews(self) -> bool:
        """Whether `fetch` can return another key after the service refused one."""

    async def fetch(
        self, base_url: str, session: Mapping[str, Any], timeout: float
    ) -> Credentials:
        """Return the key for one connection within ``timeout`` seconds.

        Raises a `ConnectError`.
        """


@runtime_checkable
class Transport(Protocol):
    """One connection to a service. Used once: connect, exchange frames, close."""

    async def connect(self, target: Target) -> None:
        """Return when frames can be sent.

        Raises a `ConnectError`; after that, `close` is not needed.
        """

    async def send(self, frame: str) -> None:
        """Send one event as JSON text. Raises `NotConnected` unless connected."""

    def frames(self) -> AsyncIterator[str | bytes]:
        """Received frames, in order. Ends when the connection is closed.

        Raises `ConnectionLost` if the connection ended and `close` was not called.
        A text frame that is not valid UTF-8 is returned as ``bytes``.
        """

    async def close(self) -> None:
        """Close at once and free everything. Idempotent, from every state."""


@runtime_checkable
class AudioSource(Protocol):
    """Audio for the service: a file, a microphone."""

    def read(self, samples: int) -> bytes:
        """Return up to ``samples`` samples of PCM16 without waiting.

        The transport pads with silence. Called every `FRAME_MS` in real time.
        """


@runtime_checkable
class AudioSink(Protocol):
    """Audio from the service: a file, a speaker."""

    def write(self, pcm: bytes) -> None:
        """Play or store the next PCM16 audio. Must not block."""

    def flush(self) -> None:
        """Discard audio that has not been played yet (the reply was interrupted)."""


@runtime_checkable
class Repeatable(Protocol):
    """A transport that can create its successor, so that its session can reconnect."""

    def again(self) -> Transport | None:
        """A new transport to the same service; None if reconnecting is impossible."""


@runtime_checkable
class Reporting(Protocol):
    """A transport that sends events by itself, or detects local facts.

    For example, a WebSocket transport sends the user's audio and knows how much of a
    reply was played. Each report becomes a record of the session with ``src`` `OWN`.
    """

    def report_to(self, report: Report) -> None:
        """Call ``report`` with each such event or fact.

        Called before `connect`. Report an event before you send it. Report the played
        duration before ``speech_started``: the client truncates the reply there.
        """


@runtime_checkable
class Sourced(Protocol):
    """A transport that may receive on another channel, such as a sideband."""

    @property
    def src(self) -> str | None:
        """The ``src`` of received frames; None on the session's own connection."""


@runtime_checkable
class Rejoining(Protocol):
    """A transport that may join the same session of the service again: a sideband."""

    @property
    def rejoins(self) -> bool:
        """Whether `again` makes a transport to the same session of the service."""


@runtime_checkable
class Recorder(Protocol):
    """A transport that writes the log of its session."""

    def log(self, record: Record) -> None:
        """Write one record. Raises OSError; the client then retries the record."""

    def end_log(self) -> None:
        """Close the log; no more records follow."""


@runtime_checkable
class Flushable(Protocol):
    """A transport that buffers received audio."""

    def flush_audio(self) -> None:
        """Discard received audio that has not been played yet."""


@runtime_checkable
class Audible(Flushable, Protocol):
    """A transport that carries audio, and can mute it and set its volume."""

    def set_muted(self, muted: bool) -> None:
        """If ``muted``, send silence in place of the source's audio."""

    def set_volume(self, volume: float) -> None:
        """Scale received audio by this volume, from 0 to 1 (the default)."""


@runtime_checkable
class Tappable(Protocol):
    """A transport that carries audio, and can pass a copy of it to callbacks."""

    def tap(
        self, said: Callable[[bytes], None], heard: Callable[[bytes], None]
    ) -> None:
        """Pass sent PCM16 audio to ``said``, received to ``heard``, in real time."""


@runtime_checkable
class Following(Protocol):
    """A recording: the client repeats the recorded session with it.

    It waits for what the application does, as it was recorded.
    """

    def requested(self) -> None:
        """The application has requested an item."""

    def chance(self) -> float | None:
        """The random number of the last recorded end of a connection, from 0 to 1.

        None if the transport has none.
        """


@runtime_checkable
class Timed(Protocol):
    """A transport with its own clock and session id: a recording.

    The client uses both, so that a replayed session has its recorded times and id.
    """

    @property
    def clock(self) -> Clock | None:
        """The clock of the recording; None if the transport has none."""

    @property
    def session_id(self) -> str | None:
        """The id of the recorded session; None if the transport has none."""
