"""What a function that handles an event looks like, and which records reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.core.events.base import LocalEvent
from duologue.core.record import Record
from duologue.core.state import Session

__all__ = ["Handler", "is_fact"]

#: (session, event, record) → the session after it, the same object if nothing
#: changed, None for an event that came too late to count.
Handler = Callable[[Session, Any, Record], Session | None]


def is_fact(record: Record) -> bool:
    """Whether a record can change state: what a client says is a wish, not a fact.

    The service's own events count only as received, local facts only as local.
    """
    return record.dir == ("local" if isinstance(record.event, LocalEvent) else "in")
