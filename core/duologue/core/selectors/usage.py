"""Totals of a session: tokens, problems and rate limits."""

from __future__ import annotations

from ..argument_checks import of_session
from ..state.model import Problem, RateLimit, Session, TranscriptionUsage, Usage

__all__ = [
    "select_problems",
    "select_rate_limits",
    "select_transcription_usage",
    "select_usage",
]


@of_session
def select_usage(session: Session) -> Usage:
    """Tokens so far, by modality; cached tokens are included in the input."""
    return session.usage.tokens


@of_session
def select_transcription_usage(session: Session) -> TranscriptionUsage:
    """Seconds and tokens of input transcription so far, which is billed separately."""
    return session.usage.transcription


@of_session
def select_problems(session: Session) -> tuple[Problem, ...]:
    """The last hundred problems, oldest first."""
    return session.problems


@of_session
def select_rate_limits(session: Session) -> tuple[RateLimit, ...]:
    """The rate limits that the service last reported."""
    return session.usage.rate_limits
