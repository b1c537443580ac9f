"""The transitions of a connection, a response and an item, as literal tables.

The rules of this file:

* A table maps ``(state, trigger)`` to the next state. Handlers look it up with
  `next_status`. A pair that is not in the table leaves the state unchanged: a late,
  duplicate or out-of-order event is not an error.
* A trigger is an event type, followed by one word if the type does not decide: the
  status in the event, ``again`` for a new epoch, ``expected``, ``retrying``,
  ``rejoined``.
* No other module of the core changes these states.

**Connection.** `duologue.connecting` begins it and `duologue.connected` opens it. A log
of frames alone has neither, so the first event of the service opens it too. A closed or
failed session stays so until the next connection begins. In a hand-over the next
connection begins while the previous one is still open. A connection that is lost while
the next attempt runs does not end the session.

**Response.** It is in progress until its first ``response.done``. A lost connection
ends the active response, and so does a service that falls silent.

**Item.** It is in progress from the first event that names it until the service has
finished it. An incomplete item stays incomplete, also if a later copy is complete. MCP
lists and calls can fail. A deleted item stays as a tombstone; nothing restores it.

The diagrams of the docs are generated from these tables.
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
    "REJOINED",
    "RESPONSE",
    "RESPONSE_DONE",
    "SESSION_CLOSED",
    "SESSION_CREATED",
    "SILENT",
    "SWITCHED",
    "next_status",
]

_State = TypeVar("_State", bound=str)

_CONNECTING, _OPEN = SessionStatus.CONNECTING, SessionStatus.OPEN
_RECONNECTING = SessionStatus.RECONNECTING
_CLOSED, _FAILED = SessionStatus.CLOSED, SessionStatus.FAILED

#: Triggers of connections.
CONNECTING = LocalEventType.CONNECTING.value
CONNECTED = LocalEventType.CONNECTED.value
DISCONNECTED = LocalEventType.DISCONNECTED.value
SWITCHED = LocalEventType.SWITCHED.value
CLOSED = LocalEventType.CLOSED.value
SESSION_CREATED = RealtimeEventType.SESSION_CREATED.value
REJOINED = f"{SESSION_CREATED} rejoined"
SESSION_CLOSED = RealtimeEventType.SESSION_CLOSED.value

#: By local facts, and by events of the service for a log without local facts
#: (``session.updated`` has the trigger of ``session.created``).
CONNECTION: Mapping[tuple[SessionStatus, str], SessionStatus] = {
    # A transport begins to connect.
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
    # A log of frames alone: a sideband joins its session again.
    (_FAILED, REJOINED): _OPEN,
    # The successor of a lost connection takes its place.
    (_RECONNECTING, f"{SWITCHED} again"): _OPEN,
    # The connection has ended.
    (_CONNECTING, DISCONNECTED): _FAILED,
    (_OPEN, DISCONNECTED): _FAILED,
    (_RECONNECTING, DISCONNECTED): _FAILED,
    (_CONNECTING, f"{DISCONNECTED} retrying"): _RECONNECTING,
    (_OPEN, f"{DISCONNECTED} retrying"): _RECONNECTING,
    (_CONNECTING, f"{DISCONNECTED} expected"): _CLOSED,
    (_OPEN, f"{DISCONNECTED} expected"): _CLOSED,
    (_RECONNECTING, f"{DISCONNECTED} expected"): _CLOSED,
    # The session is closed: here, or a translation by the service.
    (_CONNECTING, CLOSED): _CLOSED,
    (_OPEN, CLOSED): _CLOSED,
    (_RECONNECTING, CLOSED): _CLOSED,
    (_CONNECTING, SESSION_CLOSED): _CLOSED,
    (_OPEN, SESSION_CLOSED): _CLOSED,
    (_RECONNECTING, SESSION_CLOSED): _CLOSED,
}

#: The triggers of responses.
RESPONSE_DONE = RealtimeEventType.RESPONSE_DONE.value
SILENT = f"{LocalEventType.TICK.value} silent"

#: By the status in ``response.done``.
RESPONSE: Mapping[tuple[str, str], str] = {
    ("in_progress", f"{RESPONSE_DONE} completed"): "completed",
    ("in_progress", f"{RESPONSE_DONE} cancelled"): "cancelled",
    ("in_progress", f"{RESPONSE_DONE} failed"): "failed",
    ("in_progress", f"{RESPONSE_DONE} incomplete"): "incomplete",
    ("in_progress", DISCONNECTED): "incomplete",
    ("in_progress", SILENT): "incomplete",
}

#: Triggers of items.
ITEM_DONE = RealtimeEventType.CONVERSATION_ITEM_DONE.value
ITEM_DELETED = RealtimeEventType.CONVERSATION_ITEM_DELETED.value
LIST_TOOLS_COMPLETED = RealtimeEventType.MCP_LIST_TOOLS_COMPLETED.value
LIST_TOOLS_FAILED = RealtimeEventType.MCP_LIST_TOOLS_FAILED.value
MCP_CALL_COMPLETED = RealtimeEventType.RESPONSE_MCP_CALL_COMPLETED.value
MCP_CALL_FAILED = RealtimeEventType.RESPONSE_MCP_CALL_FAILED.value
BUFFER_CLEARED = RealtimeEventType.INPUT_AUDIO_BUFFER_CLEARED.value

#: The triggers that finish an item, by its final status.
ITEM_ENDS: Mapping[str, str] = {
    how: f"{ITEM_DONE} {how}" for how in ("completed", "incomplete", "failed")
}

#: Every event that finishes an item has the trigger ``conversation.item.done``, also
#: ``response.output_item.done`` and ``response.done``.
ITEM: Mapping[tuple[str, str], str] = {
    ("in_progress", f"{ITEM_DONE} completed"): "completed",
    ("in_progress", f"{ITEM_DONE} incomplete"): "incomplete",
    ("completed", f"{ITEM_DONE} incomplete"): "incomplete",
    ("in_progress", f"{ITEM_DONE} failed"): "failed",
    ("completed", f"{ITEM_DONE} failed"): "failed",
    # The item of a tool list is done before its list is complete.
    ("in_progress", LIST_TOOLS_COMPLETED): "completed",
    ("in_progress", LIST_TOOLS_FAILED): "failed",
    ("completed", LIST_TOOLS_FAILED): "failed",
    ("in_progress", MCP_CALL_COMPLETED): "completed",
    ("in_progress", MCP_CALL_FAILED): "failed",
    ("completed", MCP_CALL_FAILED): "failed",
    # The user's audio was discarded, or its connection was lost.
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
    """The state after a trigger; unchanged if the table does not have the pair."""
    return table.get((state, trigger), state)
