"""What adds up over a session: usage, problems, limits; and the bookkeeping.

A part of the state, in a module of its own: see `state`.
"""

from __future__ import annotations

from msgspec import Struct

__all__ = [
    "NO_USAGE",
    "Problem",
    "RateLimit",
    "SessionUsage",
    "TranscriptionUsage",
    "Usage",
]


class Usage(Struct, frozen=True, gc=False):
    """Tokens so far, by modality; the cached ones are part of the input."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    output_audio: int = 0
    total: int = 0


class TranscriptionUsage(Struct, frozen=True, gc=False):
    """What writing down the user's words took; billed apart, by seconds or tokens."""

    seconds: float = 0.0
    input_text: int = 0
    input_audio: int = 0
    output_text: int = 0
    total: int = 0


class RateLimit(Struct, frozen=True, gc=False):
    """What was left of ``requests`` or ``tokens`` at a time, until when."""

    name: str
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None
    at: float | None = None


class Problem(Struct, frozen=True, gc=False):
    """Something that went wrong, for a person to read.

    ``event_id`` is the client event that caused it and ``origin`` that event's type,
    where the service and our memory know them.
    """

    kind: str
    message: str
    code: str | None = None
    item_id: str | None = None
    at: float | None = None
    response_id: str | None = None
    event_id: str | None = None
    origin: str | None = None


class SessionUsage(Struct, frozen=True, gc=False):
    """Tokens of responses, usage of transcription, and the latest rate limits."""

    tokens: Usage = Usage()
    transcription: TranscriptionUsage = TranscriptionUsage()
    rate_limits: tuple[RateLimit, ...] = ()


#: The usage of a session without responses.
NO_USAGE = SessionUsage()
