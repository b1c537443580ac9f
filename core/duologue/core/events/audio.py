"""The two audio buffers: what the user says and what the service plays."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from duologue.core.events.types import RealtimeEventType

from .base import ClientEvent, ServerEvent

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
    """More microphone audio, base64, at most 15 MiB; never acknowledged."""

    audio: str


class InputAudioBufferClear(
    ClientEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_CLEAR.value
):
    """Throw away the audio that is not committed yet."""


class InputAudioBufferCommit(
    ClientEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_COMMIT.value
):
    """Make the audio so far a user item, without waiting for silence."""


class OutputAudioBufferClear(
    ClientEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_CLEAR.value
):
    """Stop what the service is playing (WebRTC and SIP)."""


class InputAudioBufferCleared(
    ServerEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_CLEARED.value
):
    """The uncommitted audio is gone."""


class InputAudioBufferCommitted(
    ServerEvent, frozen=True, tag=RealtimeEventType.INPUT_AUDIO_BUFFER_COMMITTED.value
):
    """The audio becomes the user item ``item_id``, after ``previous_item_id``."""

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
    """The user begins to speak; the coming item's id is reserved."""

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
    """Nobody spoke for the idle timeout; the silence becomes an item."""

    item_id: str
    audio_end_ms: int
    audio_start_ms: int


class OutputAudioBufferCleared(
    ServerEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_CLEARED.value
):
    """The service stopped playing a response before its end."""

    response_id: str


class OutputAudioBufferStarted(
    ServerEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_STARTED.value
):
    """The service begins to play a response."""

    response_id: str


class OutputAudioBufferStopped(
    ServerEvent, frozen=True, tag=RealtimeEventType.OUTPUT_AUDIO_BUFFER_STOPPED.value
):
    """The service has played a response to its end."""

    response_id: str
