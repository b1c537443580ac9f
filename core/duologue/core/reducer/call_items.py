"""The rules of calls: what an item says of a tool, and which items belong together.

* Arguments grow by deltas; the final ones replace them, and nothing is appended after.
* They are ``complete`` only when their item is: ``…arguments.done`` comes for an
  interrupted call too, with arguments that are cut off.
* What asks and what answers find each other by ``call_id``, an approval by the id of
  its request, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.state.model import Call, CallLink, Item, McpCall, McpTool, Session
from duologue.core.state.rope import EMPTY_ROPE, Rope
from duologue.core.wire.json_values import canonical_json

from .parts import put_item

__all__ = ["GROWING", "connect", "end_call", "find_call", "merge_call"]


def merge_call(item: Item, wire: Any, *, done: bool) -> Item:
    """The item with what its wire form says of a call; itself if it is about none."""
    read = _READERS.get(wire.__class__)
    if read is None:
        return item
    call = read(item.call or Call(), wire, done)
    return item if call == item.call else replace(item, call=call)


def _arguments(known: Call, text: str, done: bool) -> Rope:
    """What is shown takes the place of what came, unless that is whole or newer."""
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

_ANSWERING = {"function_call_output", "mcp_approval_response"}
GROWING = {"function_call", "mcp_call"}


def end_call(item: Item, status: str) -> Item:
    """The item with its arguments closed: whole unless they were cut off."""
    call = item.call
    if call is None or item.type not in GROWING:
        return item
    # A tool of ours can still be at work; what an MCP server does is in its item.
    running = call.running and item.type == "function_call"
    complete = status in ("completed", "failed")
    if call.final and (call.complete, call.running) == (complete, running):
        return item
    ended = replace(call, final=True, complete=complete, running=running)
    return replace(item, call=ended)


def find_call(session: Session, call_id: str) -> Item | None:
    """The item that asks for a call."""
    link = session.conversation.calls.get(call_id)
    return None if link is None else session.item(link.call)


def connect(session: Session, item_id: str) -> Session:
    """The session with an item tied to the one that asks it, or that answers it."""
    item = session.items[item_id]
    key = _key(item)
    if not key:
        return session
    calls = session.conversation.calls
    known = calls.get(key) or CallLink()
    if item.type in _ANSWERING:
        link = CallLink(known.call, item_id)
    else:
        link = CallLink(item_id, known.output)
    if link != known:
        conversation = replace(session.conversation, calls=calls.set(key, link))
        if item.type == "function_call_output":
            conversation = replace(conversation, last_output=item_id)
        session = replace(session, conversation=conversation)
    return _hand_over(session, link)


def _key(item: Item) -> str | None:
    """What both sides of a call name."""
    if item.call is None:
        return None
    if item.type in ("mcp_approval_request", "mcp_approval_response"):
        return item.call.mcp.approval_request_id if item.call.mcp else None
    return item.call.call_id


def _hand_over(session: Session, link: CallLink) -> Session:
    """The session with the answer on the item that asked for it."""
    asking = session.item(link.call)
    answer = session.item(link.output)
    if asking is None or answer is None or asking.call is None or answer.call is None:
        return session
    call = replace(asking.call, output=answer.call.output)
    if asking.call.mcp is not None and answer.call.mcp is not None:
        mcp = replace(asking.call.mcp, approve=answer.call.mcp.approve)
        call = replace(call, mcp=mcp)
    if call == asking.call:
        return session
    return put_item(session, replace(asking, call=call))
