"""Responses of the model: their items, parts, text and audio."""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from .base import ClientEvent, ServerEvent
from .config import ResponseCreateParams
from .items import AnyItem, AnyPart
from .objects import RealtimeResponse
from .types import RealtimeEventType

__all__ = [
    "ResponseCancel",
    "ResponseContentPartAdded",
    "ResponseContentPartDone",
    "ResponseCreate",
    "ResponseCreated",
    "ResponseDone",
    "ResponseFunctionCallArgumentsDelta",
    "ResponseFunctionCallArgumentsDone",
    "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone",
    "ResponseOutputAudioTranscriptDelta",
    "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded",
    "ResponseOutputItemDone",
    "ResponseOutputTextDelta",
    "ResponseOutputTextDone",
]


class ResponseCancel(
    ClientEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CANCEL.value
):
    """Cancel a response; without an id, the active one of the conversation."""

    response_id: str | None = None


class ResponseCreate(
    ClientEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CREATE.value
):
    """Request a response from the model."""

    response: ResponseCreateParams | UnsetType = UNSET


class ResponseContentPartAdded(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CONTENT_PART_ADDED.value
):
    """A content part of an output item starts."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: AnyPart


class ResponseContentPartDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CONTENT_PART_DONE.value
):
    """A content part of an output item is complete."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: AnyPart


class ResponseCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CREATED.value
):
    """The model starts a response."""

    response: RealtimeResponse


class ResponseDone(ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_DONE.value):
    """A response has ended, with any status; carries all its items and its usage."""

    response: RealtimeResponse


class ResponseFunctionCallArgumentsDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_FUNCTION_CALL_ARGUMENTS_DELTA.value,
):
    """A delta of the JSON arguments of a function call."""

    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    response_id: str
    item_id: str
    call_id: str
    output_index: int
    delta: str


class ResponseFunctionCallArgumentsDone(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_FUNCTION_CALL_ARGUMENTS_DONE.value,
):
    """The JSON arguments of a function call, partial if it was interrupted."""

    STRICT: ClassVar = ServerEvent.STRICT | {"arguments", "name"}
    JSON_TEXT: ClassVar = frozenset({"arguments"})
    response_id: str
    item_id: str
    call_id: str
    output_index: int
    arguments: str
    name: str = ""


class ResponseOutputAudioDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_DELTA.value
):
    """More audio of the reply, base64 (WebSocket; WebRTC uses RTP)."""

    AUDIO: ClassVar = ("delta",)
    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputAudioDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_DONE.value
):
    """The audio of the reply is complete; playback may still go on."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseOutputAudioTranscriptDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_TRANSCRIPT_DELTA.value,
):
    """A delta of the transcript of a spoken reply; it arrives before playback."""

    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputAudioTranscriptDone(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_TRANSCRIPT_DONE.value,
):
    """The complete transcript of the spoken reply."""

    STRICT: ClassVar = ServerEvent.STRICT | {"transcript"}
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str


class ResponseOutputItemAdded(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_ITEM_ADDED.value
):
    """An output item of a response starts."""

    response_id: str
    output_index: int
    item: AnyItem


class ResponseOutputItemDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_ITEM_DONE.value
):
    """An output item of a response is complete."""

    response_id: str
    output_index: int
    item: AnyItem


class ResponseOutputTextDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_TEXT_DELTA.value
):
    """A delta of the text of a written reply."""

    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputTextDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_TEXT_DONE.value
):
    """The complete text of a written reply."""

    STRICT: ClassVar = ServerEvent.STRICT | {"text"}
    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str
