"""The progress of MCP tool lists and MCP calls, which the service runs itself.

Their items arrive in ``conversation.item.*`` and ``response.output_item.*``: see
`calls`. The events here report the progress. Events of calls have no ``response_id``.
"""

from __future__ import annotations

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state import transitions
from duologue.core.state.model import Call, Item, McpCall, Problem, Session

from .calls import append_arguments, close_arguments
from .handler import Handler, put_item, put_problem
from .ordering import ensure_item

__all__ = ["TABLE"]


def _on_list_begun(
    session: Session, event: events.McpListToolsInProgress, record: Record
) -> Session:
    return ensure_item(session, event.item_id, record, type="mcp_list_tools")


def _on_listed(
    session: Session, event: events.McpListToolsCompleted, record: Record
) -> Session:
    session = ensure_item(session, event.item_id, record, type="mcp_list_tools")
    return _advance(session, event.item_id, transitions.LIST_TOOLS_COMPLETED, record.at)


def _on_not_listed(
    session: Session, event: events.McpListToolsFailed, record: Record
) -> Session:
    session = ensure_item(session, event.item_id, record, type="mcp_list_tools")
    before = session.items[event.item_id]
    session = _advance(session, event.item_id, transitions.LIST_TOOLS_FAILED, record.at)
    if session.items[event.item_id].status == before.status:
        return session
    label = before.call.server_label if before.call else None
    message = f"the tools of {label or 'an MCP server'} could not be listed"
    return put_problem(
        session, Problem("mcp_failed", message, item_id=before.id, at=record.at)
    )


def _advance(session: Session, item_id: str, trigger: str, at: float | None) -> Session:
    """The session with an item after a trigger; its call no longer runs."""
    item = session.items[item_id]
    status = transitions.next_status(transitions.ITEM, item.status, trigger)
    moved = item
    if status != item.status:
        finished = item.placement.finished_at
        placement = replace(
            item.placement, finished_at=at if finished is None else finished
        )
        moved = replace(item, status=status, placement=placement)
    return put_item(session, _set_running(moved, False))


def _set_running(item: Item, running: bool) -> Item:
    call = item.call or Call(mcp=McpCall())
    if call.running == running:
        return item
    return replace(item, call=replace(call, running=running))


def _on_call_begun(
    session: Session, event: events.ResponseMcpCallInProgress, record: Record
) -> Session:
    session = ensure_item(session, event.item_id, record, type="mcp_call")
    item = session.items[event.item_id]
    return put_item(session, _set_running(item, item.status == "in_progress"))


def _on_called(
    session: Session, event: events.ResponseMcpCallCompleted, record: Record
) -> Session:
    session = ensure_item(session, event.item_id, record, type="mcp_call")
    return _advance(session, event.item_id, transitions.MCP_CALL_COMPLETED, record.at)


def _on_not_called(
    session: Session, event: events.ResponseMcpCallFailed, record: Record
) -> Session:
    """The call failed; a later event has the item with the reason."""
    session = ensure_item(session, event.item_id, record, type="mcp_call")
    before = session.items[event.item_id]
    session = _advance(session, event.item_id, transitions.MCP_CALL_FAILED, record.at)
    if session.items[event.item_id].status == before.status:
        return session
    name = before.call.name if before.call else ""
    message = f"the call of {name or 'an MCP tool'} failed"
    return put_problem(
        session, Problem("mcp_failed", message, item_id=before.id, at=record.at)
    )


def _on_arguments_delta(
    session: Session, event: events.ResponseMcpCallArgumentsDelta, record: Record
) -> Session | None:
    return append_arguments(session, event, record, "mcp_call")


def _on_arguments_done(
    session: Session, event: events.ResponseMcpCallArgumentsDone, record: Record
) -> Session:
    return close_arguments(session, event, record, "mcp_call")


TABLE: dict[type, Handler] = {
    events.McpListToolsInProgress: _on_list_begun,
    events.McpListToolsCompleted: _on_listed,
    events.McpListToolsFailed: _on_not_listed,
    events.ResponseMcpCallInProgress: _on_call_begun,
    events.ResponseMcpCallCompleted: _on_called,
    events.ResponseMcpCallFailed: _on_not_called,
    events.ResponseMcpCallArgumentsDelta: _on_arguments_delta,
    events.ResponseMcpCallArgumentsDone: _on_arguments_done,
}
