"""The other objects that events carry: responses, usage, errors, limits."""

from __future__ import annotations

from typing import Any, ClassVar, Union

from msgspec import UNSET, UnsetType

from .items import AnyItem, Value

__all__ = [
    "CachedTokenDetails",
    "Conversation",
    "DurationUsage",
    "ErrorDetail",
    "InputTokenDetails",
    "OutputTokenDetails",
    "RateLimit",
    "RealtimeResponse",
    "ResponseError",
    "ResponseStatusDetails",
    "ResponseUsage",
    "TokenUsage",
    "TranscriptionLanguage",
    "TranscriptionUsage",
]


class Conversation(Value, frozen=True, kw_only=True):
    """The default conversation."""

    id: str | None = None
    object: str | None = None


class ErrorDetail(Value, frozen=True, kw_only=True):
    """Details of an error; ``event_id`` is the client event that caused it."""

    TEXT: ClassVar = "message"
    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


class RateLimit(Value, frozen=True, kw_only=True):
    """The limit of ``requests`` or ``tokens``, and how much of it remains."""

    STRICT: ClassVar = Value.STRICT | {"name"}
    name: str = ""
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None


#: Fields of the classes below that count tokens.
_TOKENS = frozenset(
    f"{name}_tokens"
    for name in ("text", "audio", "image", "cached", "input", "output", "total")
)


class TranscriptionLanguage(Value, frozen=True, kw_only=True):
    """A language that the transcription detected."""

    code: str = ""


class InputTokenDetails(Value, frozen=True, kw_only=True):
    """Input tokens by modality."""

    COUNTS: ClassVar = _TOKENS

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokenDetails | None = None


class CachedTokenDetails(Value, frozen=True, kw_only=True):
    """Cached input tokens by modality; they are part of the input tokens."""

    COUNTS: ClassVar = _TOKENS

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class OutputTokenDetails(Value, frozen=True, kw_only=True):
    """Output tokens by modality."""

    COUNTS: ClassVar = _TOKENS

    text_tokens: int | None = None
    audio_tokens: int | None = None


class ResponseUsage(Value, frozen=True, kw_only=True):
    """The usage of a response, in tokens."""

    COUNTS: ClassVar = _TOKENS

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokenDetails | None = None
    output_token_details: OutputTokenDetails | None = None


class TokenUsage(Value, frozen=True, kw_only=True, tag_field="type", tag="tokens"):
    """The usage of a transcription, in tokens."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_token_details: InputTokenDetails | None = None


class DurationUsage(Value, frozen=True, kw_only=True, tag_field="type", tag="duration"):
    """The usage of a transcription, in seconds of audio."""

    seconds: float | None = None


#: The usage of a transcription: tokens or seconds.
TranscriptionUsage = Union[TokenUsage, DurationUsage]  # noqa: UP007 - read at run time


class ResponseError(Value, frozen=True, kw_only=True):
    """Why a response failed."""

    TEXT: ClassVar = "message"
    type: str | None = None
    code: str | None = None
    message: str | None = None


class ResponseStatusDetails(Value, frozen=True, kw_only=True):
    """Why a response ended: turn_detected, client_cancelled, …"""

    type: str | None = None
    reason: str | None = None
    error: ResponseError | None = None


class RealtimeResponse(Value, frozen=True, kw_only=True):
    """A response, as the service reports it.

    ``status``: in_progress, completed, cancelled, failed, incomplete.
    ``conversation_id`` null means out of band: not part of the conversation.
    """

    STRICT: ClassVar = frozenset(
        {"id", "status", "output", "conversation_id", "metadata"}
    )

    id: str | None = None
    object: str | None = None
    status: str | None = None
    status_details: ResponseStatusDetails | None = None
    output: tuple[AnyItem, ...] | None = None
    conversation_id: str | UnsetType | None = UNSET
    output_modalities: tuple[str, ...] | None = None
    max_output_tokens: int | str | None = None
    audio: Any = None
    usage: ResponseUsage | None = None
    metadata: dict[str, str] | None = None
