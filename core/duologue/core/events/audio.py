"""The two audio buffers: input (the user) and output (the reply)."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from .base import ClientEvent, ServerEvent
from .types import RealtimeEventType

__all__ = [
    "InputAudioBufferAppend",
    "InputAudioBufferClear",
    "InputAudioBufferCleared",
    "InputAudioBufferCommit",
    "InputAudioBufferCommitted",
    "InputAudioBufferDtmfEventReceived",
    "InputAudioBufferSpeechStarted",
    "InputAudioBufferSpeechStopped",
    "InputAudioBufferTimeoutTriggered",
    "OutputAudioBufferClear",
    "OutputAudioBufferCleared",
    "OutputAudioBufferStarted",
    "OutputAudioBufferStopped",
]


class InputAudioBufferAppend(
    ClientEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_APPEND.value
):
    """Append user audio: base64, at most 15 MiB. Never acknowledged."""

    AUDIO: ClassVar = ("audio",)
    audio: str


class InputAudioBufferClear(
    ClientEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_CLEAR.value
):
    """Discard the audio that is not committed yet."""


class InputAudioBufferCommit(
    ClientEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_COMMIT.value
):
    """Commit the buffered audio as a user item, without waiting for silence."""


class OutputAudioBufferClear(
    ClientEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_CLEAR.value
):
    """Stop the playback of the reply (WebRTC and SIP)."""


class InputAudioBufferCleared(
    ServerEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_CLEARED.value
):
    """The uncommitted audio was discarded."""


class InputAudioBufferCommitted(
    ServerEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_COMMITTED.value
):
    """The buffered audio becomes user item ``item_id``, after ``previous_item_id``."""

    item_id: str
    previous_item_id: str | UnsetType | None = UNSET


class InputAudioBufferDtmfEventReceived(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.INPUT_AUDIO_BUFFER_DTMF_EVENT_RECEIVED.value,
):
    """The caller pressed a telephone key. Has no ``event_id``."""

    event: str
    received_at: int


class InputAudioBufferSpeechStarted(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.INPUT_AUDIO_BUFFER_SPEECH_STARTED.value,
):
    """The user starts to speak; ``item_id`` is the id of the future item."""

    item_id: str
    audio_start_ms: int


class InputAudioBufferSpeechStopped(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.INPUT_AUDIO_BUFFER_SPEECH_STOPPED.value,
):
    """The user has stopped speaking."""

    item_id: str
    audio_end_ms: int


class InputAudioBufferTimeoutTriggered(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.INPUT_AUDIO_BUFFER_TIMEOUT_TRIGGERED.value,
):
    """The user was silent for the idle timeout; the silence becomes an item."""

    item_id: str
    audio_end_ms: int
    audio_start_ms: int


class OutputAudioBufferCleared(
    ServerEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_CLEARED.value
):
    """The service stopped the playback of a response before its end."""

    response_id: str


class OutputAudioBufferStarted(
    ServerEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_STARTED.value
):
    """The service starts the playback of a response."""

    response_id: str


class OutputAudioBufferStopped(
    ServerEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_STOPPED.value
):
    """The service has played a response to its end."""

    response_id: str
