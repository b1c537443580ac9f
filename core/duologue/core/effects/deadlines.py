"""Deadlines: the next time at which a rule of `react` needs a `duologue.tick`."""

from __future__ import annotations

from collections.abc import Iterator

from ..events.types import SessionStatus
from ..state.model import Session
from .handover import HAND_OVER_DEADLINE, HAND_OVER_EARLY
from .responses import ANSWER_TIMEOUT, has_unanswered_outputs

__all__ = ["tick_at"]


def tick_at(session: Session) -> float | None:
    """When the next `duologue.tick` is due; None if no rule waits for one.

    Seconds since the Unix epoch. A time in the past means now.
    """
    if session.connection.status is not SessionStatus.OPEN:
        return None
    ticked = session.activity.last_tick_at
    due = [at for at in _deadlines(session) if ticked is None or at > ticked]
    return min(due, default=None)


def _deadlines(session: Session) -> Iterator[float]:
    expires = session.connection.expires_at
    if expires is not None:
        yield expires - HAND_OVER_EARLY
        yield expires - HAND_OVER_DEADLINE
    item = session.item(session.activity.unanswered_item)
    ended = item.placement.speech_ended_at if item is not None else None
    is_due = session.responses.queued or has_unanswered_outputs(session)
    if ended is not None and is_due:
        yield ended + ANSWER_TIMEOUT
