"""The conversation: its items, their order, and the words of the user's audio."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from duologue.core.events.types import RealtimeEventType

from .base import ClientEvent, ServerEvent
from .items import AnyItem
from .objects import (
    Conversation,
    ErrorDetail,
    TranscriptionLanguage,
    TranscriptionUsage,
)

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
    """Put an item into the conversation; answered by ``added``, or an error."""

    item: AnyItem
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemDelete(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_DELETE.value
):
    """Take an item out of the conversation."""

    item_id: str


class ConversationItemRetrieve(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_RETRIEVE.value
):
    """Ask for the service's own copy of an item, audio included."""

    item_id: str


class ConversationItemTruncate(
    ClientEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_TRUNCATE.value
):
    """Cut an assistant item's audio at what the user heard; its transcript goes too."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationCreated(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_CREATED.value
):
    """The default conversation has a name (rare in GA traffic)."""

    conversation: Conversation


class ConversationItemAdded(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_ADDED.value
):
    """An item stands in the conversation, after ``previous_item_id``."""

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
    """An item has left the conversation."""

    item_id: str


class ConversationItemDone(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_DONE.value
):
    """An item is complete; a null predecessor here says nothing."""

    item: AnyItem
    previous_item_id: str | UnsetType | None = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_COMPLETED.value,
):
    """The words of a user's audio, final; may come long after the answer."""

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
    """More words of a user's audio, provisional."""

    item_id: str
    content_index: int = 0
    delta: str = ""
    logprobs: msgspec.Raw | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionFailed(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_FAILED.value,
):
    """A user's audio could not be transcribed; the item stays."""

    item_id: str
    content_index: int
    error: ErrorDetail


class ConversationItemInputAudioTranscriptionSegment(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.CONVERSATION_ITEM_INPUT_AUDIO_TRANSCRIPTION_SEGMENT.value,
):
    """A stretch of a user's audio with its speaker (diarised models), in seconds."""

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
    """The service's own copy of an item, audio included."""

    item: AnyItem


class ConversationItemTruncated(
    ServerEvent, frozen=True, tag=RealtimeEventType.CONVERSATION_ITEM_TRUNCATED.value
):
    """Assistant audio now ends at ``audio_end_ms``; the service forgot its words."""

    item_id: str
    content_index: int
    audio_end_ms: int
