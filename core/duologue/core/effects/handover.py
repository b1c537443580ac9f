"""Hand-over: move a session to a new connection before the current one expires.

A hand-over takes place between two turns if there is time, otherwise at the last
moment. It never takes place before half of the connection's life: otherwise a short
life, or a clock that differs from the service's, would cause one hand-over after
another. The last `duologue.tick` gives the current time.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events.types import SessionStatus
from ..selectors.session import select_is_settled
from ..state.model import Session

__all__ = [
    "HAND_OVER_DEADLINE",
    "HAND_OVER_EARLY",
    "hand_over_reason",
    "hand_over_times",
    "is_near_expiry",
    "may_hand_over",
]

#: Seconds before its expiry at which a connection is replaced between two turns.
HAND_OVER_EARLY = 300.0
#: Seconds before its expiry at which it is replaced even during a turn.
HAND_OVER_DEADLINE = 30.0


def hand_over_times(session: Session) -> Iterator[float]:
    """The time of a hand-over between two turns, then that of one during a turn.

    Seconds since the Unix epoch. There is no time if the connection has no expiry, or
    opened after its expiry: then the clocks of client and service differ.
    """
    connection = session.connection
    expires, opened = connection.expires_at, connection.opened_at
    if expires is None or (opened is not None and expires <= opened):
        return
    half = expires - (expires - opened) / 2 if opened is not None else 0.0
    yield max(expires - HAND_OVER_EARLY, half)
    yield max(expires - HAND_OVER_DEADLINE, half)


def hand_over_reason(session: Session) -> str | None:
    """Why the connection must be replaced now; None if it need not be."""
    if session.connection.status is not SessionStatus.OPEN:
        return None
    early, late = _due(session)
    if late:
        return "the connection is about to expire"
    is_early = early and select_is_settled(session)
    return "the connection expires soon" if is_early else None


def may_hand_over(session: Session) -> bool:
    """Whether a hand-over that has begun can be completed now.

    A turn may have begun while the new connection was being made. It delays the
    hand-over, unless the current connection is about to expire.
    """
    return _due(session)[1] or select_is_settled(session)


def is_near_expiry(session: Session) -> bool:
    """Whether a hand-over can be due: a quick test, made for every record."""
    expires, ticked = session.connection.expires_at, session.activity.last_tick_at
    return expires is not None and (ticked or 0.0) >= expires - HAND_OVER_EARLY


def _due(session: Session) -> tuple[bool, bool]:
    """Whether the early and the late time of the hand-over have come."""
    times, now = tuple(hand_over_times(session)), session.activity.last_tick_at
    if not times or now is None:
        return False, False
    return now >= times[0], now >= times[1]
