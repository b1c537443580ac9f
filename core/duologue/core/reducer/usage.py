"""The usage of a session: tokens by modality, transcription, rate limits."""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import (
    RateLimit,
    Session,
    TranscriptionUsage,
    Usage,
)

from .handler import Handler

__all__ = [
    "MAX_LIMITS",
    "TABLE",
    "add_transcription",
    "add_usage",
]

#: The number of rate limits that a session keeps; OpenAI has two.
MAX_LIMITS = 16


def add_usage(session: Session, usage: events.ResponseUsage | None) -> Session:
    """The session with the usage of one more response.

    The service counts a cached token twice: as an input token and as a cached token.
    """
    if usage is None:
        return session
    given = usage.input_token_details or events.InputTokenDetails()
    cached = given.cached_tokens_details or events.CachedTokenDetails()
    made = usage.output_token_details or events.OutputTokenDetails()
    so_far = session.usage.tokens
    total = Usage(
        so_far.input_text + _count(given.text_tokens),
        so_far.input_audio + _count(given.audio_tokens),
        so_far.input_image + _count(given.image_tokens),
        so_far.cached_text + _count(cached.text_tokens),
        so_far.cached_audio + _count(cached.audio_tokens),
        so_far.cached_image + _count(cached.image_tokens),
        so_far.output_text + _count(made.text_tokens),
        so_far.output_audio + _count(made.audio_tokens),
        so_far.total + _count(usage.total_tokens),
    )
    if total == so_far:
        return session
    return replace(session, usage=replace(session.usage, tokens=total))


def add_transcription(
    session: Session, usage: events.TranscriptionUsage | None
) -> Session:
    """The session with the usage of one more transcription.

    It is billed by the second or by the token, separately from responses. Input
    tokens without details count as audio tokens.
    """
    so_far = session.usage.transcription
    if isinstance(usage, events.DurationUsage):
        total = replace(so_far, seconds=so_far.seconds + _seconds(usage.seconds))
    elif usage is not None:
        details = usage.input_token_details
        given = details or events.InputTokenDetails(audio_tokens=usage.input_tokens)
        total = TranscriptionUsage(
            so_far.seconds,
            so_far.input_text + _count(given.text_tokens),
            so_far.input_audio + _count(given.audio_tokens),
            so_far.output_text + _count(usage.output_tokens),
            so_far.total + _count(usage.total_tokens),
        )
    else:
        return session
    if total == so_far:
        return session
    return replace(session, usage=replace(session.usage, transcription=total))


def _seconds(used: float | None) -> float:
    """A duration in seconds; 0 if the value is impossible."""
    return used if used is not None and 0 < used < 1 << 53 else 0.0


def _count(tokens: int | None) -> int:
    """A non-negative token count; 0 if the value is impossible."""
    return tokens if tokens is not None and 0 <= tokens < 1 << 53 else 0


def _on_rate_limits(
    session: Session, event: events.RateLimitsUpdated, record: Record
) -> Session:
    """Replace the limits that the event lists."""
    limits = {limit.name: limit for limit in session.usage.rate_limits}
    for wire in event.rate_limits:
        limits[wire.name] = RateLimit(
            wire.name,
            _possible(wire.limit),
            _possible(wire.remaining),
            wire.reset_seconds,
            record.at,
        )
    kept = tuple(limits.values())[-MAX_LIMITS:]
    if kept == session.usage.rate_limits:
        return session
    return replace(session, usage=replace(session.usage, rate_limits=kept))


def _possible(number: int | None) -> int | None:
    """The number; None if it is too large to be true."""
    return number if number is not None and -1 << 53 < number < 1 << 53 else None


TABLE: dict[type, Handler] = {events.RateLimitsUpdated: _on_rate_limits}
