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
        so_far.input_text + (given.text_tokens or 0),
        so_far.input_audio + (given.audio_tokens or 0),
        so_far.input_image + (given.image_tokens or 0),
        so_far.cached_text + (cached.text_tokens or 0),
        so_far.cached_audio + (cached.audio_tokens or 0),
        so_far.cached_image + (cached.image_tokens or 0),
        so_far.output_text + (made.text_tokens or 0),
        so_far.output_audio + (made.audio_tokens or 0),
        so_far.total + (usage.total_tokens or 0),
    )
    if total == so_far:
        return session
    return attrs.evolve(session, ledger=Ledger(total, session.ledger.problems))
