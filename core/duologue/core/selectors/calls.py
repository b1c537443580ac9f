"""Function calls and MCP approvals that are pending or running."""

from __future__ import annotations

from collections.abc import Callable

from ..argument_checks import of_session
from ..state.model import Call, Item, Session
from .items import select_items
from .memo import memoised

__all__ = [
    "has_output",
    "select_call",
    "select_pending_approvals",
    "select_pending_calls",
    "select_running_calls",
]


@of_session
def select_call(session: Session, call_id: str) -> Call | None:
    """The function call of a `RunTool`, or the last one with this ``call_id``."""
    link = session.conversation.calls.get(call_id)
    item = session.item(link.call) if link is not None else None
    return item.call if item is not None else None


@memoised("items", "conversation")
def select_pending_calls(session: Session) -> tuple[Call, ...]:
    """The complete function calls that have not been started.

    A call is no longer pending when its tool starts or its output is sent.
    """
    return _calls(
        session, lambda call: call.complete and not call.running and not call.answered
    )


@memoised("items", "conversation")
def select_running_calls(session: Session) -> tuple[Call, ...]:
    """The function calls that the application is running."""
    return _calls(session, lambda call: call.running)


def _calls(session: Session, is_wanted: Callable[[Call], bool]) -> tuple[Call, ...]:
    """Function calls without output, in conversation order, out-of-band ones last."""
    conversation = session.conversation
    found: dict[str, Call] = {}
    for link in conversation.calls.values():
        item = session.item(link.call)
        if item is None or item.call is None or item.type != "function_call":
            continue
        if item.status == "deleted" or has_output(session, item.call):
            continue
        if is_wanted(item.call):
            found[item.id] = item.call
    if len(found) < 2:
        return tuple(found.values())
    ordered = [item_id for item_id in conversation.order if item_id in found]
    ordered += sorted(found.keys() - set(ordered))
    return tuple(found[item_id] for item_id in ordered)


def has_output(session: Session, call: Call) -> bool:
    """Whether the conversation holds the output of a call."""
    link = session.conversation.calls.get(call.key or "")
    output = session.item(link.output) if link else None
    return output is not None and output.status != "deleted"


def is_call_of(session: Session, item: Item) -> bool:
    """Whether a function call is not listed again under the id of another item."""
    call = item.call
    if item.type != "function_call" or call is None:
        return False
    link = session.conversation.calls.get(call.key or "")
    return link is None or link.call == item.id


def awaits_output(session: Session, call: Call) -> bool:
    """Whether the output of a function call can still arrive.

    Not if it has arrived or was refused. A call without a ``call_id`` has none, unless
    the application has sent it all the same.
    """
    link = session.conversation.calls.get(call.key or "")
    if has_output(session, call) or (link is not None and link.output_refused):
        return False
    return call.call_id is not None or call.answered


@memoised("items", "conversation")
def select_pending_approvals(session: Session) -> tuple[Item, ...]:
    """The ``mcp_approval_request`` items without an answer."""
    return tuple(
        item
        for item in select_items(session)
        if item.type == "mcp_approval_request"
        and item.call is not None
        and item.call.mcp is not None
        and item.call.mcp.approve is None
    )
