"""Deadlines: the next time at which a `duologue.tick` is needed.

A tick ends the waits that are due, and lets the rules of `react` act. Each wait has its
own limit: see `reducer.requests`, `reducer.responses`, `reducer.input_audio`,
`reducer.playback`, `selectors.waits` and `effects.handover`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..events.types import SessionStatus
from ..reducer.input_audio import speech_deadlines
from ..reducer.playback import playing_deadlines
from ..reducer.requests.answers import request_deadlines
from ..reducer.responses import silence_deadlines
from ..selectors.waits import waits
from ..state.model import Session
from .lifecycle import connection_deadlines

__all__ = ["tick_at"]


def tick_at(session: Session) -> float | None:
    """When the next `duologue.tick` is due; None if nothing waits for one.

    Seconds since the Unix epoch. A time in the past means now. It is always after the
    last tick, because a tick that is not later than the last one has no effect.
    """
    last = session.activity.last_tick_at
    ticked = -math.inf if last is None else last
    later = math.nextafter(ticked, math.inf)
    moments = (at for at in _moments(session) if at > ticked)
    return min((*moments, *(max(at, later) for at in _waits(session))), default=None)


def _waits(session: Session) -> Iterator[float]:
    """The ends of waits: a tick at such a time ends the wait, or sets a later end."""
    if session.connection.status is SessionStatus.OPEN:
        yield from request_deadlines(session)
        yield from silence_deadlines(session)
        yield from speech_deadlines(session)
        yield from playing_deadlines(session)


def _moments(session: Session) -> Iterator[float]:
    """Times that need one tick only: after it, they are ignored."""
    yield from connection_deadlines(session)
    if session.connection.status is SessionStatus.OPEN:
        yield from waits(session)
