"""Function calls: their arguments as they come, and our tools at work on them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from duologue.core import events
from duologue.core.log.record import Record
from duologue.core.state.model import Call, Problem, Session
from duologue.core.state.rope import Rope

from .call_items import connect, find_call
from .handler import Handler
from .parts import put_item
from .response_items import open_item
from .usage import add_problem

__all__ = ["TABLE", "close_arguments", "grow_arguments"]


def _on_arguments_delta(
    session: Session,
    event: events.ResponseFunctionCallArgumentsDelta,
    record: Record,
) -> Session | None:
    return grow_arguments(session, event, "function_call", record)


def _on_arguments_done(
    session: Session, event: events.ResponseFunctionCallArgumentsDone, record: Record
) -> Session:
    return close_arguments(session, event, "function_call", record)


def grow_arguments(
    session: Session, event: Any, type: str, record: Record
) -> Session | None:
    """The session with more of a call's arguments; None if they come too late."""
    session = open_item(session, event, record, role=None, type=type)
    item = session.items[event.item_id]
    call = item.call or Call()
    if item.status == "deleted" or call.final:
        return None
    if not event.delta:
        return session
    grown = replace(
        call,
        call_id=call.call_id or getattr(event, "call_id", None) or None,
        arguments=call.arguments.append(event.delta),
    )
    session = put_item(session, replace(item, call=grown))
    return session if call.call_id else connect(session, item.id)


def close_arguments(session: Session, event: Any, type: str, record: Record) -> Session:
    """The session with a call's final arguments, which replace what came.

    Whether they are whole is known only when their item is.
    """
    session = open_item(session, event, record, role=None, type=type)
    item = session.items[event.item_id]
    call = item.call or Call()
    if item.status == "deleted" or (call.complete and call.arguments):
        return session
    keep = not event.arguments or call.arguments == event.arguments
    closed = replace(
        call,
        call_id=call.call_id or getattr(event, "call_id", None) or None,
        name=getattr(event, "name", "") or call.name,
        arguments=call.arguments if keep else Rope(event.arguments),
        final=True,
    )
    if closed == call:
        return session
    return connect(put_item(session, replace(item, call=closed)), item.id)


def _on_tool_started(
    session: Session, event: events.ToolStarted, record: Record
) -> Session:
    item = find_call(session, event.call_id)
    if item is None or item.call is None or item.call.running:
        return session
    call = replace(item.call, running=True, answered=False, error=None)
    return put_item(session, replace(item, call=call))


def _on_tool_finished(
    session: Session, event: events.ToolFinished, record: Record
) -> Session:
    """A tool of ours ended; its output comes with the item that we put in."""
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
    session = put_item(session, replace(item, call=call))
    if not event.error:
        return session
    return add_problem(
        session, Problem("tool_failed", event.error, None, item.id, record.at)
    )


def _on_item_sent(
    session: Session, event: events.ConversationItemCreate, record: Record
) -> Session:
    """We gave an output: its call is answered, though the service has yet to say so."""
    if not isinstance(event.item, events.FunctionCallOutputItem):
        return session
    item = find_call(session, event.item.call_id or "")
    if item is None or item.call is None or item.call.answered:
        return session
    return put_item(session, replace(item, call=replace(item.call, answered=True)))


TABLE: dict[type, Handler] = {
    events.ConversationItemCreate: _on_item_sent,
    events.ResponseFunctionCallArgumentsDelta: _on_arguments_delta,
    events.ResponseFunctionCallArgumentsDone: _on_arguments_done,
    events.ToolStarted: _on_tool_started,
    events.ToolFinished: _on_tool_finished,
}
