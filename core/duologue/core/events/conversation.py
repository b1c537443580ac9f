"""The conversation: its items, their order, and the transcripts of user audio."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from .base import ClientEvent, ServerEvent
from .items import AnyItem
from .objects import (
    Conversation,
    ErrorDetail,
    TranscriptionLanguage,
    TranscriptionUsage,
)
from .types import RealtimeEventType

__all__ = [
    "ConversationCreated",
    "ConversationItemAdded",
    "ConversationItemCreate",
    "ConversationItemCreated",
    "ConversationItemDelete",
    "ConversationItemDeleted",
    "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted",
    "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed",
    "ConversationItemInputAudioTranscriptionSegment",
    "ConversationItemRetrieve",
    "ConversationItemRetrieved",
    "ConversationItemTruncate",
    "ConversationItemTruncated",
]


class ConversationItemCreate(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_CREATE.value
):
    """Add an item to the conversation; the answer is ``added`` or an error."""

    AUDIO: ClassVar = ("item",)
    item: AnyItem
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemDelete(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_DELETE.value
):
    """Remove an item from the conversation."""

    item_id: str


class ConversationItemRetrieve(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_RETRIEVE.value
):
    """Request the service's copy of an item, audio included."""

    item_id: str


class ConversationItemTruncate(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_TRUNCATE.value
):
    """Truncate an assistant item to the audio that the user heard."""

    STRICT: ClassVar = ClientEvent.STRICT | {"audio_end_ms"}
    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_CREATED.value
):
    """The default conversation was created (rare in GA traffic)."""

    conversation: Conversation


class ConversationItemAdded(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_ADDED.value
):
    """An item was added to the conversation, after ``previous_item_id``."""

    item: AnyItem
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_CREATED.value
):
    """The beta's name for ``added``; compatible services still send it."""

    item: AnyItem
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemDeleted(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_DELETED.value
):
    """An item was removed from the conversation."""

    item_id: str


class ConversationItemDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_DONE.value
):
    """An item is complete. A null ``previous_item_id`` means unknown here."""

    item: AnyItem
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_COMPLETED.value,
):
    """The final transcript of user audio; may arrive long after the reply."""

    STRICT: ClassVar = ServerEvent.STRICT | {"transcript"}
    item_id: str
    content_index: int
    transcript: str | None = None
    usage: TranscriptionUsage | None = None
    languages: tuple[TranscriptionLanguage, ...] | None = None
    logprobs: msgspec.Raw | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_DELTA.value,
):
    """A delta of the provisional transcript of user audio."""

    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    item_id: str
    content_index: int = 0
    delta: str = ""
    logprobs: msgspec.Raw | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionFailed(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_FAILED.value,
):
    """User audio could not be transcribed; the item stays."""

    item_id: str
    content_index: int
    error: ErrorDetail


class ConversationItemInputAudioTranscriptionSegment(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_SEGMENT.value,
):
    """A segment of user audio with its speaker (diarisation); times in seconds."""

    STRICT: ClassVar = ServerEvent.STRICT | {"text"}
    item_id: str
    content_index: int
    id: str
    end: float
    speaker: str
    start: float
    text: str


class ConversationItemRetrieved(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_RETRIEVED.value
):
    """The service's copy of an item, audio included."""

    AUDIO: ClassVar = ("item",)
    item: AnyItem


class ConversationItemTruncated(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_TRUNCATED.value
):
    """The audio of an assistant item now ends at ``audio_end_ms``."""

    STRICT: ClassVar = ServerEvent.STRICT | {"audio_end_ms"}
    item_id: str
    content_index: int
    audio_end_ms: int
