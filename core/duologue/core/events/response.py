"""What the model says: a response, its items, their parts, their text and audio."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from duologue.core.events.types import RealtimeEventType

from .base import ClientEvent, ServerEvent
from .config import ResponseCreateParams
from .items import AnyItem, AnyPart
from .objects import RealtimeResponse

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
    """Stop a response; without an id the one in the conversation."""

    response_id: str | None = None


class ResponseCreate(
    ClientEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CREATE.value
):
    """Ask the model to respond."""

    response: ResponseCreateParams | UnsetType = UNSET


class ResponseContentPartAdded(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_CONTENT_PART_ADDED.value
):
    """A content part of an output item begins."""

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
    """The model begins to respond."""

    response: RealtimeResponse


class ResponseDone(ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_DONE.value):
    """A response is over, however it ended; holds all its items and the usage."""

    response: RealtimeResponse


class ResponseFunctionCallArgumentsDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_FUNCTION_CALL_ARGUMENTS_DELTA.value,
):
    """More of a function call's JSON arguments."""

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
    """All of a function call's arguments; cut off if it was interrupted."""

    response_id: str
    item_id: str
    call_id: str
    output_index: int
    arguments: str
    name: str = ""


class ResponseOutputAudioDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_DELTA.value
):
    """More of the reply's audio, base64 (WebSocket; WebRTC uses RTP)."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputAudioDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_DONE.value
):
    """The reply's audio is all made, not all played."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseOutputAudioTranscriptDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_OUTPUT_AUDIO_TRANSCRIPT_DELTA.value,
):
    """More words of the spoken reply; runs ahead of what is heard."""

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
    """All the words of the spoken reply."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str


class ResponseOutputItemAdded(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_ITEM_ADDED.value
):
    """A response begins an output item."""

    response_id: str
    output_index: int
    item: AnyItem


class ResponseOutputItemDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_ITEM_DONE.value
):
    """A response's output item is complete."""

    response_id: str
    output_index: int
    item: AnyItem


class ResponseOutputTextDelta(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_TEXT_DELTA.value
):
    """More of a written reply."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputTextDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_OUTPUT_TEXT_DONE.value
):
    """All of a written reply."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str
