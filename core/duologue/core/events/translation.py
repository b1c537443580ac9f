"""Translation sessions (``/v1/realtime/translations``).

No items, no responses, no turns: two running texts. Four names are shared with
realtime sessions and mean other fields, so a decoder is chosen by session kind.
"""

from __future__ import annotations

from duologue.core.events.types import RealtimeEventType

from .base import ClientEvent, ServerEvent
from .config import TranslationConfig

__all__ = [
    "SessionClose",
    "SessionClosed",
    "SessionInputAudioBufferAppend",
    "SessionInputTranscriptDelta",
    "SessionOutputAudioDelta",
    "SessionOutputTranscriptDelta",
    "TranslationSessionCreated",
    "TranslationSessionUpdate",
    "TranslationSessionUpdated",
]


class SessionClose(ClientEvent, frozen=True, tag=RealtimeEventType.SESSION_CLOSE.value):
    """Ask for the rest of the translation and a clean end."""


class SessionInputAudioBufferAppend(
    ClientEvent,
    frozen=True,
    tag=RealtimeEventType.SESSION_INPUT_AUDIO_BUFFER_APPEND.value,
):
    """More source audio, base64 PCM16 24 kHz mono, silence included."""

    audio: str


class TranslationSessionUpdate(
    ClientEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATE.value
):
    """Change the target language, the source transcription or noise reduction."""

    session: TranslationConfig


class SessionClosed(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_CLOSED.value
):
    """All output was sent; the session is over."""


class TranslationSessionCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_CREATED.value
):
    """The translation session stands."""

    session: TranslationConfig


class SessionInputTranscriptDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_INPUT_TRANSCRIPT_DELTA.value
):
    """More words in the source language; there is never a ``done``."""

    delta: str
    elapsed_ms: int | None = None


class SessionOutputAudioDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_OUTPUT_AUDIO_DELTA.value
):
    """More translated audio."""

    delta: str
    channels: int | None = None
    elapsed_ms: int | None = None
    format: str | None = None
    sample_rate: int | None = None


class SessionOutputTranscriptDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.SESSION_OUTPUT_TRANSCRIPT_DELTA.value,
):
    """More words in the target language; there is never a ``done``."""

    delta: str
    elapsed_ms: int | None = None


class TranslationSessionUpdated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATED.value
):
    """The translation configuration that is now in force."""

    session: TranslationConfig
