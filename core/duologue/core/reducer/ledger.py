"""What adds up over a session: usage by modality, and problems."""

from __future__ import annotations

import attrs

from duologue.core import events
from duologue.core.state import Ledger, Problem, Session, Usage

__all__ = ["MAX_PROBLEMS", "add_problem", "add_usage"]

#: Problems kept of a session; older ones are in its log.
MAX_PROBLEMS = 100


def add_problem(session: Session, problem: Problem) -> Session:
    """The session with one more problem at the end of its list."""
    ledger = session.ledger
    problems = (*ledger.problems[1 - MAX_PROBLEMS :], problem)
    return attrs.evolve(session, ledger=Ledger(ledger.usage, problems))


def add_usage(session: Session, usage: events.ResponseUsage | None) -> Session:
    """The session with what one response used.

    Cached tokens are part of the input, as the service counts them.
    """
    if usage is None:
        return session
    given = usage.input_token_details or events.InputTokenDetails()
    cached = given.cached_tokens_details or events.CachedTokenDetails()
    made = usage.output_token_details or events.OutputTokenDetails()
    so_far = session.ledger.usage
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
    return attrs.evolve(session, ledger=Ledger(total, session.ledger.problems))


def _count(tokens: int | None) -> int:
    """A number of tokens that can be true: nobody uses fewer than none."""
    return tokens if tokens is not None and 0 <= tokens < 1 << 53 else 0
