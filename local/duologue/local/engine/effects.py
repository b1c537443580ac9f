"""Effects: plain values that the engine requests and its driver carries out.

The driver reports the result to the engine: `FinishUtterance` with ``transcribed`` or
``transcription_failed``; `GenerateReply` with ``thought`` and ``thought_all``, or
``mind_failed``; `Synthesise` with ``voiced`` and ``voiced_all``, or ``voice_failed``.
The engine ignores results that it no longer needs.
"""

from __future__ import annotations

import attrs

from ..interfaces import Prompt

__all__ = [
    "CloseConnection",
    "DropUtterance",
    "Effect",
    "FeedUtterance",
    "FinishUtterance",
    "GenerateReply",
    "OpenUtterance",
    "StopResponse",
    "Synthesise",
]


@attrs.frozen
class OpenUtterance:
    """Start recognising an utterance; ``utterance`` is its item's id."""

    utterance: str


@attrs.frozen
class FeedUtterance:
    """Pass more audio of an utterance to the recogniser."""

    utterance: str
    pcm16k: bytes


@attrs.frozen
class FinishUtterance:
    """The utterance's audio is complete: get its final transcript."""

    utterance: str


@attrs.frozen
class DropUtterance:
    """Stop recognising an utterance; its transcript is not needed."""

    utterance: str


@attrs.frozen
class GenerateReply:
    """Let the reply model answer the prompt for a response."""

    response: str
    prompt: Prompt


@attrs.frozen
class Synthesise:
    """Speak a text for a response; ``voice`` is a voice name of the protocol."""

    response: str
    text: str
    voice: str


@attrs.frozen
class StopResponse:
    """Cancel generation and synthesis for a response."""

    response: str


@attrs.frozen
class CloseConnection:
    """The session has ended: close the connection after the queued events.

    ``code`` is a WebSocket close code; other connections end without one.
    """

    code: int
    reason: str


Effect = (
    OpenUtterance
    | FeedUtterance
    | FinishUtterance
    | DropUtterance
    | GenerateReply
    | Synthesise
    | StopResponse
    | CloseConnection
)
