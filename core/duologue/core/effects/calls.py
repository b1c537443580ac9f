"""When to run the tool of a function call: once, as soon as the call is complete.

If the process has ended before it sent the output, the tool is run again when the
session is continued: then the model gets an output. A call that this client has
created, from a history, is not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import events
from ..log.record import Record
from ..reducer.requests.tool_outputs import find_call
from ..selectors.calls import has_output, select_pending_calls
from ..state.model import Call, Item, Session
from ..wire.event_ids import item_id_of
from .commands import RunTool

__all__ = ["calls_to_run", "run_calls"]


def run_calls(before: Session, record: Record, after: Session) -> Iterator[RunTool]:
    """Run the tools of the calls that this record has made ready."""
    for call in calls_to_run(before, record, after):
        assert call.key is not None
        yield RunTool(after.id, call.key)


def calls_to_run(before: Session, record: Record, after: Session) -> Iterator[Call]:
    """The function calls that this record has made ready to run."""
    if before.connection.opened_at is None and after.connection.opened_at is not None:
        # The first connection of a continued session is open.
        for call in select_pending_calls(after):
            if _waiting(after, find_call(after, call.key)) is not None:
                yield call
    elif before.items is not after.items:
        for item_id in _touched(before, record, after):
            item, earlier = after.items.get(item_id), before.items.get(item_id)
            if item is None or item is earlier or item.type != "function_call":
                continue
            ready = _waiting(after, item)
            if ready is not None and _waiting(before, earlier) is None:
                yield ready


def _waiting(session: Session, item: Item | None) -> Call | None:
    """The call of an item, if it waits for its tool to be started.

    The type of the item does not count, because a later copy may have another one.
    """
    if item is None or item.call is None:
        return None
    call = item.call
    if item.status != "completed" or not call.complete or call.call_id is None:
        return None
    link = session.conversation.calls.get(call.key or "")
    if link is None or link.call != item.id:
        # Another item is the same call.
        return None
    is_begun = call.running or call.answered or has_output(session, call)
    return None if is_begun or link.call_sent else call


def _touched(before: Session, record: Record, after: Session) -> Iterable[str]:
    """The items that a record is about, or that it may have finished."""
    event = record.event
    if isinstance(event, events.ResponseDone):
        response = after.response(event.response.id or before.responses.active)
        return () if response is None else response.item_ids
    item_id = item_id_of(event)
    return () if item_id is None else (item_id,)
