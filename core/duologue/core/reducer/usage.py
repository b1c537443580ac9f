"""The usage of a session: tokens by modality, transcription, rate limits."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, le, sub

from msgspec.structs import astuple, replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import (
    KnownUsage,
    RateLimit,
    Session,
    TranscriptionUsage,
    Usage,
    with_known,
)

from .handler import Handler

__all__ = [
    "MAX_LIMITS",
    "TABLE",
    "add_transcription",
    "add_usage",
    "count_ended",
    "resolve",
]

#: The number of rate limits that a session keeps; OpenAI has two.
MAX_LIMITS = 16


def count_ended(session: Session) -> Session:
    """The session with one more ended response without usage so far."""
    usage = with_known(session)
    return replace(session, usage=replace(usage, incomplete=usage.incomplete + 1))


def add_usage(
    session: Session, response_id: str, wire: events.RealtimeResponse
) -> Session:
    """The session with what the service says about the usage of an ended response.

    The first usage is added to the totals. If the service says something else later,
    only the tokens that both contain are certain. No tokens are certain only if the
    response has no output.
    """
    if wire.usage is None or wire.usage == events.ResponseUsage():
        return session
    response = session.responses.by_id[response_id]
    if response.usage is None and not session.usage.incomplete:
        # An old snapshot does not say which responses its totals contain.
        return session
    reported, known = resolve(wire.usage, wire.output_modalities)
    if not known.tokens.total and response.item_ids:
        # An output without tokens is impossible: the service does not count them.
        known = KnownUsage()
    before = response.usage
    if before is not None and before != known:
        known = KnownUsage(_each(min, before.tokens, known.tokens))
    if known == before:
        return session
    by_id = session.responses.by_id.set(response_id, replace(response, usage=known))
    session = replace(session, responses=replace(session.responses, by_id=by_id))
    usage = with_known(session)
    if before is None:
        usage = replace(usage, tokens=_each(add, usage.tokens, reported))
        before = KnownUsage()
    model = response.model or ""
    so_far = _each(sub, usage.known.get(model, Usage()), before.tokens)
    usage = replace(
        usage,
        known=usage.known.set(model, _each(add, so_far, known.tokens)),
        incomplete=usage.incomplete + before.complete - known.complete,
    )
    return replace(session, usage=usage)


def _each(combine: Callable[[int, int], int], one: Usage, other: Usage) -> Usage:
    return Usage(*map(combine, astuple(one), astuple(other)))


def resolve(
    usage: events.ResponseUsage, modalities: tuple[str, ...] | None = None
) -> tuple[Usage, KnownUsage]:
    """The tokens of a response as reported, and those of them that are certain.

    ``modalities`` are the response's output modalities. Input and output are certain
    if their reported parts add up to their sum, and the cached tokens are if only one
    division among the modalities is possible. A sum that is left out follows from the
    others. If the total contradicts the sums, nothing is certain.
    """
    wire = usage.input_token_details or events.InputTokenDetails()
    wire_cached = wire.cached_tokens_details or events.CachedTokenDetails()
    wire_made = usage.output_token_details or events.OutputTokenDetails()
    given = wire.text_tokens, wire.audio_tokens, wire.image_tokens
    made = wire_made.text_tokens, wire_made.audio_tokens
    total = usage.total_tokens
    input_sum = _sum_of(usage.input_tokens, given)
    output_sum = _sum_of(usage.output_tokens, made)
    if total is not None and input_sum is None and output_sum is not None:
        input_sum = total - output_sum
    if total is not None and output_sum is None and input_sum is not None:
        output_sum = total - input_sum
    if modalities == ("text",) and made[1] is None:
        made = made[0], 0
    sure_given = _division(input_sum, given, (usage.input_tokens, total))
    sure_made = _division(output_sum, made, (usage.output_tokens, total))
    cached = wire_cached.text_tokens, wire_cached.audio_tokens, wire_cached.image_tokens
    sure_cached = sure_given and _cached(wire.cached_tokens, cached, sure_given)
    sums = (input_sum or 0) + (output_sum or 0)
    reported = [
        *(sure_given or map(_count, given)),
        *(sure_cached or map(_count, cached)),
        *(sure_made or map(_count, made)),
        _count(sums if total is None else total),
    ]
    if total is not None and (total != sums or total < (input_sum or 0)):
        return Usage(*reported), KnownUsage()
    known = [
        *((sure_cached and sure_given) or _NONE),
        *(sure_cached or _NONE),
        *(sure_made or _NONE[:2]),
    ]
    known.append(sum(known[:3]) + sum(known[6:]))
    return Usage(*reported), KnownUsage(Usage(*known), bool(sure_cached and sure_made))


_NONE = (0, 0, 0)
#: Token counts by modality; None is a count that the service left out.
Counts = tuple[int | None, ...]


def _sum_of(told: int | None, parts: Counts) -> int | None:
    """The sum of the parts: as reported, else of the parts that are reported."""
    if told is not None or parts.count(None) == len(parts):
        return told
    return sum(part or 0 for part in parts)


def _division(total: int | None, parts: Counts, sums: Counts) -> tuple[int, ...] | None:
    """The parts of ``total``; None if they are uncertain or impossible.

    A part that is left out is 0 if the others add up to the total. It is the rest if
    all others are reported as 0. Without any of the reported ``sums``, nothing says
    whether text or audio that is left out is 0; images that are left out are.
    """
    if total is None or not _are_possible((total, *parts)):
        return None
    if sums == (None, None) and None in parts[:2]:
        return None
    rest = total - sum(part or 0 for part in parts)
    if rest and not (rest == total and parts.count(None) == 1):
        return None
    return tuple(rest if part is None else part for part in parts)


def _cached(
    total: int | None, parts: Counts, given: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The cached tokens among the input tokens ``given``, None if uncertain.

    Without a sum, the parts that are left out are 0.
    """
    if not _are_possible((total, *parts)):
        return None
    room = tuple(
        most if part is None else 0 for part, most in zip(parts, given, strict=True)
    )
    told = tuple(part or 0 for part in parts)
    rest = 0 if total is None else total - sum(told)
    if rest in (0, sum(room)):
        more = room if rest else _NONE
    elif room.count(0) == 2 and 0 < rest < sum(room):
        more = tuple(rest if most else 0 for most in room)
    else:
        return None
    cached = tuple(map(add, told, more))
    return cached if all(map(le, cached, given)) else None


def _are_possible(counts: Counts) -> bool:
    return all(count is None or 0 <= count < 1 << 53 for count in counts)


def add_transcription(
    session: Session,
    item_id: str,
    content_index: int,
    usage: events.TranscriptionUsage | None,
) -> Session:
    """The session with the usage of a transcription, unless it is counted already.

    It is billed by the second or by the token, separately from responses. Input
    tokens without details count as audio tokens.
    """
    so_far = session.usage.transcription
    counted = session.usage.transcribed.get(item_id, ())
    if usage is None or content_index in counted:
        return session
    if isinstance(usage, events.DurationUsage):
        total = replace(so_far, seconds=so_far.seconds + _seconds(usage.seconds))
    else:
        details = usage.input_token_details
        given = details or events.InputTokenDetails(audio_tokens=usage.input_tokens)
        sums = _count(usage.input_tokens) + _count(usage.output_tokens)
        total = TranscriptionUsage(
            so_far.seconds,
            so_far.input_text + _count(given.text_tokens),
            so_far.input_audio + _count(given.audio_tokens),
            so_far.output_text + _count(usage.output_tokens),
            so_far.total
            + (sums if usage.total_tokens is None else _count(usage.total_tokens)),
        )
    if total == so_far:
        return session
    transcribed = session.usage.transcribed.set(item_id, (*counted, content_index))
    return replace(
        session,
        usage=replace(session.usage, transcription=total, transcribed=transcribed),
    )


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
