"""Calls of functions and of MCP servers: their arguments, outputs and local tools.

* Deltas append to the arguments, the final arguments replace them, later deltas are
  ignored.
* Arguments are ``complete`` only if their item is completed: ``…arguments.done`` is
  also sent for an interrupted call, with partial arguments.
* A call and its output are linked by ``call_id``, an approval request and its response
  by the id of the request. They can arrive in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import (
    Call,
    CallLink,
    Item,
    McpCall,
    McpTool,
    Problem,
    Session,
)
from duologue.core.state.rope import EMPTY_ROPE, Rope
from duologue.core.wire.json_values import canonical_json

from .handler import Handler, add_problem, put_item
from .outputs import ensure_output
from .requests.sent_events import keep_restored, keep_unconfirmed, mark_sent

__all__ = [
    "TABLE",
    "append_arguments",
    "close_arguments",
    "close_call",
    "find_call",
    "is_call",
    "link_call",
    "merge_call",
    "release_calls",
]

#: The types of items whose arguments arrive in deltas.
_CALLS = ("function_call", "mcp_call")
_CallItem = events.FunctionCallItem | events.FunctionCallOutputItem
#: The types of items that answer another item.
_ANSWERS = ("function_call_output", "mcp_approval_response")


def is_call(item: Item) -> bool:
    """Whether an item is a call of a function or of an MCP server."""
    return item.type in _CALLS


def merge_call(item: Item, wire: Any, *, done: bool) -> Item:
    """The item merged with the call of a wire item; unchanged if it is not a call."""
    read = _READERS.get(wire.__class__)
    if read is None:
        return item
    call = read(item.call or Call(), wire, done)
    return item if call == item.call else replace(item, call=call)


def _arguments(known: Call, text: str, done: bool) -> Rope:
    """The wire item's arguments, unless the known ones are complete or newer."""
    if not text or (known.arguments and (known.complete or not done)):
        return known.arguments
    return known.arguments if known.arguments == text else Rope(text)


def _read_call(known: Call, wire: events.FunctionCallItem, done: bool) -> Call:
    return replace(
        known,
        call_id=wire.call_id or known.call_id,
        name=wire.name or known.name,
        arguments=_arguments(known, wire.arguments, done),
        final=known.final or done,
    )


def _read_output(known: Call, wire: events.FunctionCallOutputItem, done: bool) -> Call:
    return Call(wire.call_id, known.name, EMPTY_ROPE, True, True, wire.output)


def _read_mcp_call(known: Call, wire: events.McpCallItem, done: bool) -> Call:
    mcp = known.mcp or McpCall()
    return replace(
        known,
        name=wire.name or known.name,
        arguments=_arguments(known, wire.arguments, done),
        final=known.final or done,
        output=known.output if wire.output is None else wire.output,
        error=known.error if wire.error is None else _error(wire.error),
        mcp=replace(
            mcp,
            server_label=wire.server_label or mcp.server_label,
            approval_request_id=wire.approval_request_id or mcp.approval_request_id,
        ),
    )


def _error(error: events.McpCallError) -> str:
    return error.message or error.type or "the call failed"


def _read_tools(known: Call, wire: events.McpListToolsItem, done: bool) -> Call:
    mcp = known.mcp or McpCall()
    tools = tuple(McpTool(tool.name, canonical_json(tool)) for tool in wire.tools)
    label = wire.server_label or mcp.server_label
    mcp = replace(mcp, server_label=label, tools=tools or mcp.tools)
    return replace(known, final=True, complete=True, mcp=mcp)


def _read_request(known: Call, wire: events.McpApprovalRequestItem, done: bool) -> Call:
    mcp = known.mcp or McpCall()
    return replace(
        known,
        name=wire.name or known.name,
        arguments=_arguments(known, wire.arguments, done),
        final=True,
        complete=True,
        mcp=replace(
            mcp,
            server_label=wire.server_label or mcp.server_label,
            approval_request_id=wire.id,
        ),
    )


def _read_approval(
    known: Call, wire: events.McpApprovalResponseItem, done: bool
) -> Call:
    mcp = McpCall("", wire.approval_request_id or None, wire.approve)
    return replace(known, final=True, complete=True, mcp=mcp)


_READERS: dict[type, Callable[[Call, Any, bool], Call]] = {
    events.FunctionCallItem: _read_call,
    events.FunctionCallOutputItem: _read_output,
    events.McpCallItem: _read_mcp_call,
    events.McpListToolsItem: _read_tools,
    events.McpApprovalRequestItem: _read_request,
    events.McpApprovalResponseItem: _read_approval,
}


def close_call(item: Item, status: str) -> Item:
    """The item with its arguments final: complete if the call was not interrupted."""
    call = item.call
    if call is None or not is_call(item):
        return item
    # A function can still run here; a call of an MCP server ends with its item.
    running = call.running and item.type == "function_call"
    complete = status in ("completed", "failed")
    if call.final and (call.complete, call.running) == (complete, running):
        return item
    ended = replace(call, final=True, complete=complete, running=running)
    return replace(item, call=ended)


def find_call(session: Session, call_id: str) -> Item | None:
    """The item of the call with this id, not of its output."""
    link = session.conversation.calls.get(call_id)
    return None if link is None else session.item(link.call)


def link_call(session: Session, item_id: str) -> Session:
    """The session with an item linked to its output, or to its call."""
    item = session.items[item_id]
    key = _link_key(item)
    if not key:
        return session
    calls = session.conversation.calls
    known = calls.get(key) or CallLink()
    if item.type in _ANSWERS:
        link = replace(known, output=item_id)
    else:
        link = replace(known, call=item_id)
    if link != known:
        conversation = replace(session.conversation, calls=calls.set(key, link))
        if item.type == "function_call_output":
            conversation = replace(conversation, last_output=item_id)
        session = replace(session, conversation=conversation)
    return _copy_answer(session, link)


def _link_key(item: Item) -> str | None:
    """The id that a call and its answer share."""
    if item.call is None:
        return None
    if item.type in ("mcp_approval_request", "mcp_approval_response"):
        return item.call.mcp.approval_request_id if item.call.mcp else None
    return item.call.call_id


def _copy_answer(session: Session, link: CallLink) -> Session:
    """The session with the answer of a call copied to the item of the call."""
    request = session.item(link.call)
    answer = session.item(link.output)
    if request is None or answer is None or request.call is None or answer.call is None:
        return session
    call = replace(request.call, output=answer.call.output)
    if request.call.mcp is not None and answer.call.mcp is not None:
        mcp = replace(request.call.mcp, approve=answer.call.mcp.approve)
        call = replace(call, mcp=mcp)
    if call == request.call:
        return session
    return put_item(session, replace(request, call=call))


# Events.


def _on_arguments_delta(
    session: Session,
    event: events.ResponseFunctionCallArgumentsDelta,
    record: Record,
) -> Session | None:
    return append_arguments(session, event, record, "function_call", event.call_id)


def _on_arguments_done(
    session: Session, event: events.ResponseFunctionCallArgumentsDone, record: Record
) -> Session:
    return close_arguments(
        session, event, record, "function_call", event.call_id, event.name
    )


def append_arguments(
    session: Session, event: Any, record: Record, type: str, call_id: str | None = None
) -> Session | None:
    """The session with more arguments of a call; None if they are already final."""
    session = ensure_output(session, event, record, role=None, type=type)
    item = session.items[event.item_id]
    call = item.call or Call()
    if item.status == "deleted" or call.final:
        return None
    if not event.delta:
        return session
    grown = replace(
        call,
        call_id=call.call_id or call_id or None,
        arguments=call.arguments.append(event.delta),
    )
    session = put_item(session, replace(item, call=grown))
    return session if call.call_id else link_call(session, item.id)


def close_arguments(
    session: Session,
    event: Any,
    record: Record,
    type: str,
    call_id: str | None = None,
    name: str | None = None,
) -> Session:
    """The session with the final arguments of a call, in place of its deltas.

    The status of the item decides whether they are complete: see `close_call`.
    """
    session = ensure_output(session, event, record, role=None, type=type)
    item = session.items[event.item_id]
    call = item.call or Call()
    if item.status == "deleted" or (call.complete and call.arguments):
        return session
    keep = not event.arguments or call.arguments == event.arguments
    closed = replace(
        call,
        call_id=call.call_id or call_id or None,
        name=name or call.name,
        arguments=call.arguments if keep else Rope(event.arguments),
        final=True,
    )
    if closed == call:
        return session
    return link_call(put_item(session, replace(item, call=closed)), item.id)


def _on_tool_started(
    session: Session, event: events.ToolStarted, record: Record
) -> Session:
    item = find_call(session, event.call_id)
    if item is None or item.call is None or item.call.running:
        return session
    call = replace(item.call, running=True, answered=False, error=None)
    return _put_call(session, item, call, record)


def _on_tool_finished(
    session: Session, event: events.ToolFinished, record: Record
) -> Session:
    """A local function has ended; an item will carry its output."""
    item = find_call(session, event.call_id)
    if item is None or item.call is None:
        return session
    call = replace(
        item.call,
        running=False,
        answered=True,
        error=event.error or item.call.error,
    )
    if call == item.call:
        return session
    session = _put_call(session, item, call, record)
    if not event.error:
        return session
    return add_problem(
        session, Problem("tool_failed", event.error, None, item.id, record.at)
    )


def _on_item_sent(
    session: Session, event: events.ConversationItemCreate, record: Record
) -> Session:
    """An output was sent: its call is answered, even before the service confirms."""
    session = keep_restored(keep_unconfirmed(session, event, record), event)
    if not isinstance(event.item, _CallItem):
        return session
    session = mark_sent(session, event.item.type, event.item.call_id, event.item.id)
    if isinstance(event.item, events.FunctionCallItem):
        return session
    item = find_call(session, event.item.call_id or "")
    if item is None or item.call is None:
        return session
    return _put_call(session, item, replace(item.call, answered=True), record)


def release_calls(session: Session, record: Record) -> Session:
    """The session with every call waiting for its tool whose output was not sent.

    The process that ran the tools has ended.
    """
    for link in session.conversation.calls.values():
        item = session.item(link.call)
        if item is None or item.call is None or item.type != "function_call":
            continue
        if item.call.complete and not link.output_sent and link.output is None:
            call = replace(item.call, running=False, answered=False, error=None)
            session = _put_call(session, item, call, record)
    return session


def _put_call(session: Session, item: Item, call: Call, record: Record) -> Session:
    """The session with a call, and the time of the last fact about its tool."""
    placement = item.placement
    if call == item.call and placement.tool_at == record.at:
        return session
    placement = replace(placement, tool_at=record.at)
    return put_item(session, replace(item, call=call, placement=placement))


TABLE: dict[type, Handler] = {
    events.ConversationItemCreate: _on_item_sent,
    events.ResponseFunctionCallArgumentsDelta: _on_arguments_delta,
    events.ResponseFunctionCallArgumentsDone: _on_arguments_done,
    events.ToolStarted: _on_tool_started,
    events.ToolFinished: _on_tool_finished,
}
