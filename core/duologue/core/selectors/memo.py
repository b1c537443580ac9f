"""Memoisation by identity: a selector runs again only if its input nodes changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import is_
from typing import TypeVar

from ..argument_checks import require_session
from ..state.model import Session

__all__ = ["memoised"]

_T = TypeVar("_T")
#: The maximum number of sessions for which a selector keeps its last result.
_SESSIONS = 64


def memoised(
    *inputs: str,
) -> Callable[[Callable[[Session], _T]], Callable[[Session], _T]]:
    """Memoise a selector; ``inputs`` are the nodes of a session that it reads.

    The results for the last 64 sessions, and their nodes, stay in memory even if the
    store is gone. Any other argument than a session raises TypeError.
    """

    def decorate(select: Callable[[Session], _T]) -> Callable[[Session], _T]:
        kept: dict[str, tuple[tuple[object, ...], _T]] = {}

        @wraps(select)
        def remembered(session: Session) -> _T:
            require_session(session, remembered.__name__)
            nodes = tuple([getattr(session, name) for name in inputs])
            last = kept.get(session.id)
            if last is not None and all(map(is_, last[0], nodes)):
                return last[1]
            result = select(session)
            # Several threads may run this at once, so no step relies on another.
            kept.pop(session.id, None)
            kept[session.id] = (nodes, result)
            if len(kept) > _SESSIONS:
                kept.pop(next(iter(tuple(kept))), None)
            return result

        return remembered

    return decorate
