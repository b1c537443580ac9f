"""Calls of functions and of MCP servers: their arguments, outputs and local tools.

* Deltas append to the arguments, the final arguments replace them, later deltas are
  ignored.
* Arguments are ``complete`` only if their item is completed: ``…arguments.done`` is
  also sent for an interrupted call, with partial arguments.
* A call and its output are linked by ``call_id``, an approval request and its response
  by the id of the request. They can arrive in any order.
* Two items with one ``call_id`` are two calls, unless their response, name and
  arguments can be the same: then it is one call that is listed again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
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

from .handler import Handler, add_problem, put_item, put_problem
from .ordering import keep_place
from .outputs import add_output, ensure_output
from .requests.inputs import add_sent_input
from .requests.sent_events import keep_restored, keep_unconfirmed
from .requests.tool_outputs import (
    find_call,
    keys_of,
    mark_call,
    mark_output,
    put_link,
    unconfirmed_call,
)

__all__ = [
    "MAX_OTHERS",
    "TABLE",
    "append_arguments",
    "close_arguments",
    "close_call",
    "end_call",
    "is_call",
    "link_call",
    "merge_call",
    "release_calls",
]

_Arguments = TypeVar(
    "_Arguments",
    events.ResponseFunctionCallArgumentsDelta,
    events.ResponseFunctionCallArgumentsDone,
)
#: The number of further calls with one ``call_id`` that can wait for their output.
MAX_OTHERS = 32
#: The types of items whose arguments arrive in deltas.
_CALLS = ("function_call", "mcp_call")


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
    return Call(
        wire.call_id,
        known.name,
        EMPTY_ROPE,
        True,
        True,
        wire.output,
        alias=known.alias,
    )


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
    code = None if error.code is None else f"error {error.code}"
    return error.message or error.type or code or "the call failed"


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


def link_call(session: Session, item_id: str) -> Session:
    """The session with an item linked to its output, or to its call."""
    item = session.items[item_id]
    call = item.call
    if call is None:
        return session
    if item.type in ("mcp_approval_request", "mcp_approval_response"):
        key = call.mcp.approval_request_id if call.mcp else None
        if not key:
            return session
        link = session.conversation.calls.get(key) or CallLink()
        if item.type == "mcp_approval_request":
            return _put_link(session, key, replace(link, call=item_id))
        return _put_link(session, key, replace(link, output=item_id))
    if not call.call_id:
        return session
    if item.type == "function_call_output":
        return _link_output(session, item, call, call.call_id)
    return _link_function(session, item, call, call.call_id)


def _link_output(session: Session, item: Item, call: Call, call_id: str) -> Session:
    """The session with the output of a function call linked to its call."""
    links = session.conversation.calls
    key = call.key or call_id
    if key not in links or links[key].output != item.id:
        key = unconfirmed_call(session, call_id) or call_id
        link = replace(
            links.get(key) or CallLink(), output=item.id, output_refused=False
        )
        session = put_link(session, key, link)
        if key != call_id:
            session = put_item(session, replace(item, call=replace(call, alias=key)))
            first = links[call_id]
            others = tuple(each for each in first.others if each != key)
            session = put_link(session, call_id, replace(first, others=others))
        conversation = replace(session.conversation, last_output=item.id)
        session = replace(session, conversation=conversation)
    return _put_link(session, key, session.conversation.calls[key])


def _link_function(session: Session, item: Item, call: Call, call_id: str) -> Session:
    """The session with a function call linked, unless another item is this call."""
    if call.alias == item.id:
        # It had no ``call_id`` before.
        call = replace(call, alias=None)
        item = replace(item, call=call)
        session = put_item(session, item)
    if call.alias is not None:
        return session
    known = session.conversation.calls.get(call_id) or CallLink()
    holder = session.item(known.call)
    if holder is None or holder.id == item.id or holder.call is None:
        return _put_link(session, call_id, replace(known, call=item.id))
    if not call.final:
        # Its arguments will show whether it is another call.
        return session
    if not _can_be_same(holder, item):
        return _add_call(session, item, holder, call_id)
    is_same = _has_arguments(holder.call, call)
    if not holder.call.complete and (is_same or not holder.call.final):
        return _put_link(session, call_id, replace(known, call=item.id))
    if not is_same:
        return _add_call(session, item, holder, call_id)
    return _repeat(session, holder, item)


def _can_be_same(one: Item, other: Item) -> bool:
    """Whether two items with one ``call_id`` can be one call, by all but arguments.

    An item without a response is of the conversation only, or an echo.
    """
    assert one.call is not None
    assert other.call is not None
    responses = {one.placement.response_id, other.placement.response_id} - {None}
    names = {one.call.name, other.call.name} - {""}
    return len(responses) < 2 and len(names) < 2


def _has_arguments(known: Call, call: Call) -> bool:
    """Whether a call has no other arguments than a known one."""
    one, other = str(known.arguments), str(call.arguments)
    if not other or one == other:
        return True
    try:
        return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
    except msgspec.DecodeError:
        return False


def _repeat(session: Session, holder: Item, item: Item) -> Session:
    """The session after a call is listed again under the id of another item.

    A problem if its response lists both, because they may be two calls.
    """
    response_id = item.placement.response_id
    if holder.placement.response_id is None:
        return add_output(session, response_id, holder.id, item.placement.epoch)
    if response_id is None:
        return session
    assert item.call is not None
    message = (
        f"the call {item.call.call_id} of {item.call.name} is listed twice, as "
        f"{holder.id} and as {item.id}: it is run once"
    )
    problem = Problem("call_repeated", message, item_id=item.id)
    return put_problem(session, replace(problem, response_id=response_id))


def _add_call(session: Session, item: Item, holder: Item, call_id: str) -> Session:
    """The session with another call that has the ``call_id`` of a known one.

    Its key is the ``call_id`` if the known call is no longer waiting for its tool.
    """
    known = session.conversation.calls[call_id]
    assert holder.call is not None
    can_answer = holder.call.complete or holder.status == "in_progress"
    has_output = session.item(known.output) is not None
    # What this client creates has no response.
    is_sent = known.call_sent and item.placement.response_id is None
    link = CallLink(call=item.id, call_sent=is_sent)
    is_waiting = not (holder.call.answered or has_output or known.call_sent)
    if can_answer and is_waiting:
        alias = f"{call_id}/{item.id}"
        session = _put_alias(session, item, alias)
        session = put_link(session, alias, link)
        others = (*known.others, alias)[-MAX_OTHERS:]
        return put_link(session, call_id, replace(known, others=others))
    alias = f"{call_id}/{holder.id}"
    for each in (holder, session.item(known.output)):
        session = _put_alias(session, each, alias)
    others = known.others
    if can_answer and not has_output:
        others = (*others, alias)[-MAX_OTHERS:]
    session = put_link(session, alias, replace(known, others=()))
    return put_link(session, call_id, replace(link, others=others))


def _put_alias(session: Session, item: Item | None, alias: str) -> Session:
    if item is None or item.call is None:
        return session
    return put_item(session, replace(item, call=replace(item.call, alias=alias)))


def _put_link(session: Session, key: str, link: CallLink) -> Session:
    """The session with a link, and the answer of its call copied to the call."""
    return _copy_answer(put_link(session, key, link), link)


def end_call(session: Session, item_id: str, at: float | None) -> Session:
    """The session after the response of an item has ended.

    A call without a ``call_id`` can have no output: it is a problem.
    """
    session = link_call(session, item_id)
    item = session.items[item_id]
    call = item.call
    if item.type != "function_call" or call is None or not call.complete or call.key:
        return session
    session = put_link(_put_alias(session, item, item_id), item_id, CallLink(item_id))
    message = (
        f"the call of {call.name or 'a function'} has no call_id, so its output cannot "
        f"be sent: it is not run"
    )
    return put_problem(
        session, Problem("call_without_id", message, item_id=item_id, at=at)
    )


def _find(
    session: Session, call_id: str, is_meant: Callable[[Call], bool]
) -> Item | None:
    """The first call with this ``call_id`` or key that can be meant."""
    items = [find_call(session, key) for key in keys_of(session, call_id)]
    found = [item for item in items if item is not None and item.call is not None]
    meant = (item for item in found if item.call and is_meant(item.call))
    return next(meant, found[0] if found else None)


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
    event = _with_item(session, event)
    return append_arguments(session, event, record, "function_call", event.call_id)


def _on_arguments_done(
    session: Session, event: events.ResponseFunctionCallArgumentsDone, record: Record
) -> Session:
    event = _with_item(session, event)
    return close_arguments(
        session, event, record, "function_call", event.call_id, event.name
    )


def _with_item(session: Session, event: _Arguments) -> _Arguments:
    """The event with the item of its ``call_id``, if it names no item."""
    item = None if event.item_id else find_call(session, event.call_id)
    return event if item is None else replace(event, item_id=item.id)


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


def _is_new(call: Call) -> bool:
    return not (call.running or call.answered)


def _on_tool_started(
    session: Session, event: events.ToolStarted, record: Record
) -> Session:
    item = _find(session, event.call_id, _is_new)
    if item is None or item.call is None or item.call.running:
        return session
    call = replace(item.call, running=True, answered=False, error=None)
    return _put_call(session, item, call, record)


def _on_tool_finished(
    session: Session, event: events.ToolFinished, record: Record
) -> Session:
    """A local function has ended; an item will carry its output."""
    item = _find(session, event.call_id, lambda call: call.running)
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
    session = add_sent_input(session, event, record)
    session = keep_restored(keep_unconfirmed(session, event, record), event)
    session = keep_place(session, event)
    wire = event.item
    known = session.item(wire.id)
    if isinstance(wire, events.FunctionCallItem):
        return session if known else mark_call(session, wire.call_id)
    if not isinstance(wire, events.FunctionCallOutputItem):
        return session
    if known is None:
        session, key = mark_output(session, wire.call_id, event.event_id)
    else:
        # It is not created but restored.
        key = known.call.key if known.call else wire.call_id
    item = find_call(session, key)
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
