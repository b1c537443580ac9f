"""What a function that handles an event looks like, and which records reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.core.events.base import ClientEvent, LocalEvent
from duologue.core.record import Record
from duologue.core.state import Session

__all__ = ["Handler", "is_fact"]

#: (session, event, record) → the session after it, the same object if nothing
#: changed, None for an event that came too late to count.
Handler = Callable[[Session, Any, Record], Session | None]


def is_fact(record: Record) -> bool:
    """Whether a record can change state: things count only from where they come from.

    The service's events count as received, local facts as local, a client's own
    events as sent. What a client sends is a fact about the client and a wish of the
    service: see `requests`.
    """
    event = record.event
    if isinstance(event, LocalEvent):
        return record.dir == "local"
    return record.dir == ("out" if isinstance(event, ClientEvent) else "in")
