"""Hand-over: move a session to a new connection before the current one expires.

A hand-over takes place between two turns if there is time, otherwise at the last
moment. The last `duologue.tick` gives the current time. `hand_over` yields a
`Reconnect` when the connection must be replaced, and again after each turn, until a
`duologue.connecting` is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events.types import SessionStatus
from ..log.record import Record
from ..selectors.calls import select_pending_calls
from ..selectors.session import is_idle
from ..state.model import Session
from .commands import Reconnect

__all__ = ["HAND_OVER_DEADLINE", "HAND_OVER_EARLY", "hand_over", "may_hand_over"]

#: Seconds before its expiry at which a connection is replaced between two turns.
HAND_OVER_EARLY = 300.0
#: Seconds before its expiry at which it is replaced even during a turn.
HAND_OVER_DEADLINE = 30.0


def hand_over(before: Session, record: Record, after: Session) -> Iterator[Reconnect]:
    """Request a new connection when the current one must be replaced."""
    reason = _reason(after)
    if reason is not None and _reason(before) is None:
        yield Reconnect(after.id, reason)


def _reason(session: Session) -> str | None:
    """Why the connection must be replaced now; None if it need not be."""
    if session.connection.status is not SessionStatus.OPEN:
        return None
    if _expires_within(session, HAND_OVER_DEADLINE):
        return "the connection is about to expire"
    if _expires_within(session, HAND_OVER_EARLY) and _is_quiet(session):
        return "the connection expires soon"
    return None


def may_hand_over(session: Session) -> bool:
    """Whether a hand-over that has begun can be completed now.

    A turn may have begun while the new connection was being made. It delays the
    hand-over, unless the current connection is about to expire.
    """
    return _expires_within(session, HAND_OVER_DEADLINE) or _is_quiet(session)


def _expires_within(session: Session, seconds: float) -> bool:
    expires, now = session.connection.expires_at, session.activity.last_tick_at
    return expires is not None and now is not None and now >= expires - seconds


def _is_quiet(session: Session) -> bool:
    """Whether no turn is in progress and no function call is pending."""
    return is_idle(session) and not select_pending_calls(session)
