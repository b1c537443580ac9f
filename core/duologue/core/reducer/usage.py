"""What adds up over a session: usage by modality, problems, rate limits."""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import (
    Problem,
    RateLimit,
    Session,
    TranscriptionUsage,
    Usage,
)

from .handler import Handler

__all__ = [
    "MAX_LIMITS",
    "MAX_PROBLEMS",
    "TABLE",
    "add_problem",
    "add_transcription",
    "add_usage",
    "blame",
]

#: Problems kept of a session; older ones are in its log.
MAX_PROBLEMS = 100
#: Rate limits kept; a service has two.
MAX_LIMITS = 16


def add_problem(session: Session, problem: Problem) -> Session:
    """The session with one more problem at the end of its list."""
    problems = (*session.problems[1 - MAX_PROBLEMS :], problem)
    return replace(session, problems=problems)


def blame(session: Session, problem: Problem) -> Session:
    """The session with a problem of an item, in place of one of the same kind.

    A service says first that something failed and then, in another event, why.
    """
    problems = session.problems
    for index, known in enumerate(problems):
        if (known.kind, known.item_id) == (problem.kind, problem.item_id):
            better = replace(known, message=problem.message, code=problem.code)
            problems = (*problems[:index], better, *problems[index + 1 :])
            return replace(session, problems=problems)
    return add_problem(session, problem)


def add_usage(session: Session, usage: events.ResponseUsage | None) -> Session:
    """The session with what one response used.

    Cached tokens are part of the input, as the service counts them.
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
    """The session with what it took to write down one utterance.

    It is billed apart from responses, by the second or by the token. Input tokens
    that nobody tells apart count as audio, which is what is transcribed.
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
    """A time that can be true."""
    return used if used is not None and 0 < used < 1 << 53 else 0.0


def _count(tokens: int | None) -> int:
    """A number of tokens that can be true: nobody uses fewer than none."""
    return tokens if tokens is not None and 0 <= tokens < 1 << 53 else 0


def _on_rate_limits(
    session: Session, event: events.RateLimitsUpdated, record: Record
) -> Session:
    """Each limit that is named takes the place of what was known of it."""
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
    return number if number is not None and -1 << 53 < number < 1 << 53 else None


TABLE: dict[type, Handler] = {events.RateLimitsUpdated: _on_rate_limits}
