"""What a function that handles an event looks like, and which records reach it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.core.events.base import ClientEvent, Event, LocalEvent
from duologue.core.log.record import Direction, Record
from duologue.core.state.model import Session

__all__ = ["Handler", "is_fact", "way"]

#: (session, event, record) → the session after it, the same object if nothing
#: changed, None for an event that came too late to count.
Handler = Callable[[Session, Any, Record], Session | None]


def way(event: type[Event]) -> Direction:
    """The way that a record of such an event goes if it can change state.

    Things count only from where they come from: the service's events as received,
    local facts as local, a client's own events as sent. What a client sends is a fact
    about the client and a wish of the service: see `requests`.
    """
    if issubclass(event, LocalEvent):
        return "local"
    return "out" if issubclass(event, ClientEvent) else "in"


def is_fact(record: Record) -> bool:
    """Whether a record can change state: see `way`."""
    return record.dir == way(type(record.event))
