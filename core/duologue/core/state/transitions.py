"""The transitions of a connection, a response and an item, as literal tables.

The rules of this file:

* A table maps ``(state, trigger)`` to the next state. Handlers look it up with
  `next_status`. A pair that is not in the table leaves the state unchanged: a late,
  duplicate or out-of-order event is not an error.
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
    "BUFFER_CLEARED",
    "CLOSED",
    "CONNECTED",
    "CONNECTING",
    "CONNECTION",
    "DISCONNECTED",
    "ITEM",
    "ITEM_DELETED",
    "ITEM_DONE",
    "ITEM_ENDS",
    "LIST_TOOLS_COMPLETED",
    "LIST_TOOLS_FAILED",
    "MCP_CALL_COMPLETED",
    "MCP_CALL_FAILED",
    "RESPONSE",
    "RESPONSE_DONE",
    "SESSION_CLOSED",
    "SESSION_CREATED",
    "next_status",
]

_State = TypeVar("_State", bound=str)

_CONNECTING, _OPEN = SessionStatus.CONNECTING, SessionStatus.OPEN
_RECONNECTING = SessionStatus.RECONNECTING
_CLOSED, _FAILED = SessionStatus.CLOSED, SessionStatus.FAILED

#: What a connection, a response and an item change by: triggers of the tables.
CONNECTING = LocalEventType.CONNECTING.value
CONNECTED = LocalEventType.CONNECTED.value
DISCONNECTED = LocalEventType.DISCONNECTED.value
CLOSED = LocalEventType.CLOSED.value
SESSION_CREATED = RealtimeEventType.SESSION_CREATED.value
SESSION_CLOSED = RealtimeEventType.SESSION_CLOSED.value

#: By the local facts, and by the service's word where a log has none
#: (``session.updated`` says the same as ``session.created``).
CONNECTION: Mapping[tuple[SessionStatus, str], SessionStatus] = {
    # A transport begins.
    (_OPEN, CONNECTING): _CONNECTING,
    (_CLOSED, CONNECTING): _CONNECTING,
    (_FAILED, CONNECTING): _CONNECTING,
    (_CONNECTING, f"{CONNECTING} again"): _RECONNECTING,
    (_OPEN, f"{CONNECTING} again"): _RECONNECTING,
    (_CLOSED, f"{CONNECTING} again"): _RECONNECTING,
    (_FAILED, f"{CONNECTING} again"): _RECONNECTING,
    # Frames can be exchanged.
    (_CONNECTING, CONNECTED): _OPEN,
    (_RECONNECTING, CONNECTED): _OPEN,
    (_CONNECTING, f"{CONNECTED} again"): _OPEN,
    (_RECONNECTING, f"{CONNECTED} again"): _OPEN,
    (_CLOSED, f"{CONNECTED} again"): _OPEN,
    (_FAILED, f"{CONNECTED} again"): _OPEN,
    (_CONNECTING, SESSION_CREATED): _OPEN,
    (_RECONNECTING, SESSION_CREATED): _OPEN,
    (_CLOSED, f"{SESSION_CREATED} again"): _OPEN,
    (_FAILED, f"{SESSION_CREATED} again"): _OPEN,
    (_CONNECTING, f"{SESSION_CREATED} again"): _OPEN,
    (_RECONNECTING, f"{SESSION_CREATED} again"): _OPEN,
    # The connection is gone.
    (_CONNECTING, DISCONNECTED): _FAILED,
    (_OPEN, DISCONNECTED): _FAILED,
    (_RECONNECTING, DISCONNECTED): _FAILED,
    (_CONNECTING, f"{DISCONNECTED} retrying"): _RECONNECTING,
    (_OPEN, f"{DISCONNECTED} retrying"): _RECONNECTING,
    (_CONNECTING, f"{DISCONNECTED} expected"): _CLOSED,
    (_OPEN, f"{DISCONNECTED} expected"): _CLOSED,
    (_RECONNECTING, f"{DISCONNECTED} expected"): _CLOSED,
    # The session is over: for us, or a translation for the service.
    (_CONNECTING, CLOSED): _CLOSED,
    (_OPEN, CLOSED): _CLOSED,
    (_RECONNECTING, CLOSED): _CLOSED,
    (_CONNECTING, SESSION_CLOSED): _CLOSED,
    (_OPEN, SESSION_CLOSED): _CLOSED,
    (_RECONNECTING, SESSION_CLOSED): _CLOSED,
}

#: The trigger of a response.
RESPONSE_DONE = RealtimeEventType.RESPONSE_DONE.value

#: By the status that ``response.done`` carries.
RESPONSE: Mapping[tuple[str, str], str] = {
    ("in_progress", f"{RESPONSE_DONE} completed"): "completed",
    ("in_progress", f"{RESPONSE_DONE} cancelled"): "cancelled",
    ("in_progress", f"{RESPONSE_DONE} failed"): "failed",
    ("in_progress", f"{RESPONSE_DONE} incomplete"): "incomplete",
    ("in_progress", DISCONNECTED): "incomplete",
}

#: The triggers of an item, beside those of its response.
ITEM_DONE = RealtimeEventType.CONVERSATION_ITEM_DONE.value
ITEM_DELETED = RealtimeEventType.CONVERSATION_ITEM_DELETED.value
LIST_TOOLS_COMPLETED = RealtimeEventType.MCP_LIST_TOOLS_COMPLETED.value
LIST_TOOLS_FAILED = RealtimeEventType.MCP_LIST_TOOLS_FAILED.value
MCP_CALL_COMPLETED = RealtimeEventType.RESPONSE_MCP_CALL_COMPLETED.value
MCP_CALL_FAILED = RealtimeEventType.RESPONSE_MCP_CALL_FAILED.value
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
    ("in_progress", LIST_TOOLS_COMPLETED): "completed",
    ("in_progress", LIST_TOOLS_FAILED): "failed",
    ("completed", LIST_TOOLS_FAILED): "failed",
    ("in_progress", MCP_CALL_COMPLETED): "completed",
    ("in_progress", MCP_CALL_FAILED): "failed",
    ("completed", MCP_CALL_FAILED): "failed",
    # What the user was saying is thrown away, or nobody is left to hear it.
    ("in_progress", BUFFER_CLEARED): "incomplete",
    ("in_progress", DISCONNECTED): "incomplete",
    ("in_progress", ITEM_DELETED): "deleted",
    ("completed", ITEM_DELETED): "deleted",
    ("incomplete", ITEM_DELETED): "deleted",
    ("failed", ITEM_DELETED): "deleted",
}


def next_status(
    table: Mapping[tuple[_State, str], _State], state: _State, trigger: str
) -> _State:
    """The state after a trigger; the same one if the table does not know the pair."""
    return table.get((state, trigger), state)
