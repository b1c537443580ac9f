"""What the engine asks its driver to do, each a plain value.

The driver answers with the engine's inputs of the same name: an utterance that was
finished with ``transcribed`` or ``transcription_failed``, a `Think` with ``thought``
or ``mind_failed``, a `Speak` with ``voiced``…, ``voiced_all`` or ``voice_failed``.
An answer that nobody waits for any more is ignored.
"""

from __future__ import annotations

import attrs

from ..interfaces import Prompt

__all__ = [
    "Close",
    "DropUtterance",
    "FeedUtterance",
    "FinishUtterance",
    "Job",
    "OpenUtterance",
    "Speak",
    "Stop",
    "Think",
]


@attrs.frozen
class OpenUtterance:
    """Let the ear listen to a new utterance, named by its item's id."""

    utterance: str


@attrs.frozen
class FeedUtterance:
    """Give the ear more of an utterance."""

    utterance: str
    pcm16k: bytes


@attrs.frozen
class FinishUtterance:
    """The utterance is complete: its words are wanted."""

    utterance: str


@attrs.frozen
class DropUtterance:
    """Nobody wants the words."""

    utterance: str


@attrs.frozen
class Think:
    """Find the reply for a response."""

    response: str
    prompt: Prompt


@attrs.frozen
class Speak:
    """Speak the reply of a response; ``voice`` is a name of the protocol."""

    response: str
    text: str
    voice: str


@attrs.frozen
class Stop:
    """Stop thinking and speaking for a response."""

    response: str


@attrs.frozen
class Close:
    """The session is over: end the connection, after the events that go before.

    ``code`` is for a WebSocket; other connections just end.
    """

    code: int
    reason: str


Job = (
    OpenUtterance
    | FeedUtterance
    | FinishUtterance
    | DropUtterance
    | Think
    | Speak
    | Stop
    | Close
)
