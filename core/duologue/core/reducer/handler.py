"""What a function that handles an event looks like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.core.record import Record
from duologue.core.state import Session

__all__ = ["Handler"]

#: (session, event, record) → the session after it, the same object if nothing
#: changed, None for an event that came too late to count.
Handler = Callable[[Session, Any, Record], Session | None]
