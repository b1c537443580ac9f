"""The transitions of a connection, a response and an item, as literal tables.

The rules of this file:

* A table maps ``(state, trigger)`` to the next state. Handlers look it up with
  `after`; a pair that is not there leaves the state alone, because what comes late,
  twice or out of order is no error.
* A trigger is an event type, with one word behind it where the event alone does not
  decide: the status that it carries, ``again`` for a new epoch, ``expected``,
  ``retrying``.
* Nothing else in the core changes these states.

**Connection.** It begins by `duologue.connecting` and is open by
`duologue.connected`; a log of frames alone has neither, so the service's own first
event will do. A session that is over (closed, failed) stays so until a connection of
a new epoch comes. That is what reconnecting means, and so does a hand-over, where the
next connection begins while the last one is open. One that is lost while another one
is tried is not over.

**Response.** It is in progress until ``response.done`` tells how it ended, once. A
connection that is lost takes the response in work with it.

**Item.** It is in progress from its first mention until the service is through with
it. What was cut off once stays cut off: a late echo does not heal it. Lists and calls
of MCP servers can fail. A deleted item is a tombstone, and nothing brings it back.

The diagrams of the docs are drawn from these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ..events.types import LocalEventType, RealtimeEventType, SessionStatus

__all__ = [
    "BEGINS",
    "BUFFER_CLEARED",
    "CALLED",
    "CONNECTION",
    "DELETED",
    "DONE",
    "ENDED",
    "GREETED",
    "ITEM",
    "ITEM_DONE",
    "ITEM_ENDS",
    "LISTED",
    "LOST",
    "NOT_CALLED",
    "NOT_LISTED",
    "OVER",
    "RESPONSE",
    "STANDS",
    "after",
]

_State = TypeVar("_State", bound=str)

_CONNECTING, _OPEN = SessionStatus.CONNECTING, SessionStatus.OPEN
_RECONNECTING = SessionStatus.RECONNECTING
_CLOSED, _FAILED = SessionStatus.CLOSED, SessionStatus.FAILED

#: What a connection, a response and an item change by: triggers of the tables.
BEGINS = LocalEventType.CONNECTING.value
STANDS = LocalEventType.CONNECTED.value
LOST = LocalEventType.DISCONNECTED.value
OVER = LocalEventType.CLOSED.value
GREETED = RealtimeEventType.SESSION_CREATED.value
ENDED = RealtimeEventType.SESSION_CLOSED.value

#: By the local facts, and by the service's word where a log has none
#: (``session.updated`` says the same as ``session.created``).
CONNECTION: Mapping[tuple[SessionStatus, str], SessionStatus] = {
    # A transport begins.
    (_OPEN, BEGINS): _CONNECTING,
    (_CLOSED, BEGINS): _CONNECTING,
    (_FAILED, BEGINS): _CONNECTING,
    (_CONNECTING, f"{BEGINS} again"): _RECONNECTING,
    (_OPEN, f"{BEGINS} again"): _RECONNECTING,
    (_CLOSED, f"{BEGINS} again"): _RECONNECTING,
    (_FAILED, f"{BEGINS} again"): _RECONNECTING,
    # Frames can be exchanged.
    (_CONNECTING, STANDS): _OPEN,
    (_RECONNECTING, STANDS): _OPEN,
    (_CONNECTING, f"{STANDS} again"): _OPEN,
    (_RECONNECTING, f"{STANDS} again"): _OPEN,
    (_CLOSED, f"{STANDS} again"): _OPEN,
    (_FAILED, f"{STANDS} again"): _OPEN,
    (_CONNECTING, GREETED): _OPEN,
    (_RECONNECTING, GREETED): _OPEN,
    (_CLOSED, f"{GREETED} again"): _OPEN,
    (_FAILED, f"{GREETED} again"): _OPEN,
    (_CONNECTING, f"{GREETED} again"): _OPEN,
    (_RECONNECTING, f"{GREETED} again"): _OPEN,
    # The connection is gone.
    (_CONNECTING, LOST): _FAILED,
    (_OPEN, LOST): _FAILED,
    (_RECONNECTING, LOST): _FAILED,
    (_CONNECTING, f"{LOST} retrying"): _RECONNECTING,
    (_OPEN, f"{LOST} retrying"): _RECONNECTING,
    (_CONNECTING, f"{LOST} expected"): _CLOSED,
    (_OPEN, f"{LOST} expected"): _CLOSED,
    (_RECONNECTING, f"{LOST} expected"): _CLOSED,
    # The session is over: for us, or a translation for the service.
    (_CONNECTING, OVER): _CLOSED,
    (_OPEN, OVER): _CLOSED,
    (_RECONNECTING, OVER): _CLOSED,
    (_CONNECTING, ENDED): _CLOSED,
    (_OPEN, ENDED): _CLOSED,
    (_RECONNECTING, ENDED): _CLOSED,
}

#: The trigger of a response.
DONE = RealtimeEventType.RESPONSE_DONE.value

#: By the status that ``response.done`` carries.
RESPONSE: Mapping[tuple[str, str], str] = {
    ("in_progress", f"{DONE} completed"): "completed",
    ("in_progress", f"{DONE} cancelled"): "cancelled",
    ("in_progress", f"{DONE} failed"): "failed",
    ("in_progress", f"{DONE} incomplete"): "incomplete",
    ("in_progress", LOST): "incomplete",
}

#: The triggers of an item, beside those of its response.
ITEM_DONE = RealtimeEventType.CONVERSATION_ITEM_DONE.value
DELETED = RealtimeEventType.CONVERSATION_ITEM_DELETED.value
LISTED = RealtimeEventType.MCP_LIST_TOOLS_COMPLETED.value
NOT_LISTED = RealtimeEventType.MCP_LIST_TOOLS_FAILED.value
CALLED = RealtimeEventType.RESPONSE_MCP_CALL_COMPLETED.value
NOT_CALLED = RealtimeEventType.RESPONSE_MCP_CALL_FAILED.value
BUFFER_CLEARED = RealtimeEventType.INPUT_AUDIO_BUFFER_CLEARED.value

#: The triggers by which an item ends, by how it does.
ITEM_ENDS: Mapping[str, str] = {
    how: f"{ITEM_DONE} {how}" for how in ("completed", "incomplete", "failed")
}

#: ``conversation.item.done`` stands for every event that shows an item complete:
#: ``response.output_item.done`` and ``response.done`` are its twins.
ITEM: Mapping[tuple[str, str], str] = {
    ("in_progress", f"{ITEM_DONE} completed"): "completed",
    ("in_progress", f"{ITEM_DONE} incomplete"): "incomplete",
    ("completed", f"{ITEM_DONE} incomplete"): "incomplete",
    ("in_progress", f"{ITEM_DONE} failed"): "failed",
    ("completed", f"{ITEM_DONE} failed"): "failed",
    # An MCP server's list of tools is shown as done before it is known.
    ("in_progress", LISTED): "completed",
    ("in_progress", NOT_LISTED): "failed",
    ("completed", NOT_LISTED): "failed",
    ("in_progress", CALLED): "completed",
    ("in_progress", NOT_CALLED): "failed",
    ("completed", NOT_CALLED): "failed",
    # What the user was saying is thrown away, or nobody is left to hear it.
    ("in_progress", BUFFER_CLEARED): "incomplete",
    ("in_progress", LOST): "incomplete",
    ("in_progress", DELETED): "deleted",
    ("completed", DELETED): "deleted",
    ("incomplete", DELETED): "deleted",
    ("failed", DELETED): "deleted",
}


def after(
    table: Mapping[tuple[_State, str], _State], state: _State, trigger: str
) -> _State:
    """The state after a trigger; the same one if the table does not know the pair."""
    return table.get((state, trigger), state)
