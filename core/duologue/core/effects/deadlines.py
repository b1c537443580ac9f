"""When time matters: the next moment at which `react` waits for a tick."""

from __future__ import annotations

from collections.abc import Iterator

from ..events.types import SessionStatus
from ..state.model import Session
from .rules import HAND_OVER_DEADLINE, HAND_OVER_EARLY, PATIENCE, outputs_are_in

__all__ = ["tick_at"]


def tick_at(session: Session) -> float | None:
    """When a `duologue.tick` will next change what is to be done; None: nothing will.

    Seconds since the Unix epoch. It may lie in the past: then it is due now.
    """
    if session.connection.status is not SessionStatus.OPEN:
        return None
    ticked = session.activity.ticked_at
    due = [at for at in _moments(session) if ticked is None or at > ticked]
    return min(due, default=None)


def _moments(session: Session) -> Iterator[float]:
    """The times that rules of `react` wait for."""
    expires = session.connection.expires_at
    if expires is not None:
        yield expires - HAND_OVER_EARLY
        yield expires - HAND_OVER_DEADLINE
    item = session.item(session.activity.last_spoken)
    ended = item.placement.speech_ended_at if item is not None else None
    if ended is not None and (session.responses.wished or outputs_are_in(session)):
        yield ended + PATIENCE
