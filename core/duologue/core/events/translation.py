"""Translation sessions (``/v1/realtime/translations``).

No items, responses or turns, but two texts that grow. Three event types have other
fields than in realtime sessions, so decoding depends on the session kind.
"""

from __future__ import annotations

from typing import ClassVar

from .base import ClientEvent, ServerEvent
from .config import TranslationConfig
from .types import RealtimeEventType, SessionKind

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
    """Request the remaining output of the translation, then close the session."""

    KIND: ClassVar = SessionKind.TRANSLATION


class SessionInputAudioBufferAppend(
    ClientEvent,
    frozen=True,
    tag=RealtimeEventType.SESSION_INPUT_AUDIO_BUFFER_APPEND.value,
):
    """Append source audio: base64 PCM16 mono at 24,000 Hz, silence included."""

    KIND: ClassVar = SessionKind.TRANSLATION
    AUDIO: ClassVar = ("audio",)
    audio: str


class TranslationSessionUpdate(
    ClientEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATE.value
):
    """Change the target language, the source transcription or noise reduction."""

    KIND: ClassVar = SessionKind.TRANSLATION
    session: TranslationConfig


class SessionClosed(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_CLOSED.value
):
    """The service has sent all output and closed the session."""

    KIND: ClassVar = SessionKind.TRANSLATION


class TranslationSessionCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_CREATED.value
):
    """The service has created the translation session."""

    KIND: ClassVar = SessionKind.TRANSLATION
    session: TranslationConfig


class SessionInputTranscriptDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_INPUT_TRANSCRIPT_DELTA.value
):
    """A delta of the text in the source language; no event marks its end."""

    KIND: ClassVar = SessionKind.TRANSLATION
    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    delta: str
    elapsed_ms: int | None = None


class SessionOutputAudioDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_OUTPUT_AUDIO_DELTA.value
):
    """More translated audio, base64."""

    KIND: ClassVar = SessionKind.TRANSLATION
    AUDIO: ClassVar = ("delta",)
    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
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
    """A delta of the text in the target language; no event marks its end."""

    KIND: ClassVar = SessionKind.TRANSLATION
    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    delta: str
    elapsed_ms: int | None = None


class TranslationSessionUpdated(
    ServerEvent, frozen=True, tag=RealtimeEventType.SESSION_UPDATED.value
):
    """The translation configuration that is now in force."""

    KIND: ClassVar = SessionKind.TRANSLATION
    session: TranslationConfig
