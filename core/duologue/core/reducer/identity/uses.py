"""What an event says about an item, and whether an item can be the one it means."""

from __future__ import annotations

from typing import Any, NamedTuple

from duologue.core import events
from duologue.core.state.model import Item, Session

from .names import items_named, next_item

__all__ = [
    "Use",
    "can_be",
    "find_item",
    "has_text",
    "is_copy",
    "text_of",
    "use_of",
]

#: The types of items with a call, of which none can be another.
_CALLS = frozenset(
    {
        "function_call",
        "function_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
    }
)


class Use(NamedTuple):
    """What an event says about an item. ``""`` and None: it does not say that."""

    epoch: int
    type: str = ""
    role: str | None = None
    response_id: str | None = None
    call_id: str | None = None
    text: str | None = None


def use_of(wire: Any, epoch: int, response_id: str | None = None) -> Use:
    """What an event with a wire item says about it."""
    match wire:
        case events.MessageItem():
            role = wire.role or (None if response_id is None else "assistant")
            text = "".join(map(_said, wire.content or ()))
            return Use(epoch, "message", role, response_id, None, text)
        case events.FunctionCallItem():
            call_id, text = wire.call_id or None, wire.arguments
            return Use(epoch, wire.type, None, response_id, call_id, text)
        case events.FunctionCallOutputItem():
            return Use(epoch, wire.type, None, response_id, wire.call_id or None)
        case events.McpCallItem() | events.McpApprovalRequestItem():
            return Use(epoch, wire.type, None, response_id, None, wire.arguments)
        case events.UnknownItem() | events.ItemReference():
            return Use(epoch, "", None, response_id)
        case _:
            return Use(epoch, wire.type, None, response_id)


def _said(part: Any) -> str:
    match part:
        case events.InputTextPart() | events.OutputTextPart() | events.TextPart():
            return part.text or ""
        case events.InputAudioPart() | events.OutputAudioPart() | events.AudioPart():
            return part.transcript or ""
        case _:
            return ""


def text_of(item: Item) -> str:
    """The text of an item, or the arguments of a call."""
    if item.call is not None:
        return str(item.call.arguments)
    return "".join(str(part.text) for part in item.parts)


def can_be(session: Session, item: Item | None, use: Use) -> bool:
    """Whether an event can be about an item of its connection."""
    if item is None:
        return True
    if _is_other(session, item.placement.response_id, use.response_id):
        return False
    if item.status == "deleted" or not use.type:
        return True
    call = item.call
    if use.type == "message":
        return call is None and {use.role, item.role} != {"user", "assistant"}
    if item.role is not None or item.parts:
        return False
    if call is None:
        return True
    if use.type != item.type and item.type in _CALLS:
        return False
    return use.call_id in (None, call.call_id or use.call_id)


def _is_other(session: Session, known: str | None, named: str | None) -> bool:
    """Whether an event of one response cannot be about an output of another.

    A response that was never announced may be the one in progress, under another id.
    """
    if named is None or known is None or named == known:
        return False
    response, other = session.response(known), session.response(named)
    is_over = response is None or response.status != "in_progress"
    return is_over or (other is not None and other.announced)


def is_copy(item: Item, use: Use) -> bool:
    """Whether a wire item has the content of an item, or what the user heard of it."""
    if use.type == "message":
        if item.call is not None or use.role not in (None, item.role):
            return False
        text, known = (use.text or "").strip(), text_of(item).strip()
        return text != "" and (text in known or (known != "" and known in text))
    call = item.call
    return (
        call is not None
        and item.type == use.type
        and (use.call_id == call.call_id if use.call_id else text_of(item) == use.text)
    )


def has_text(item: Item, use: Use) -> bool:
    """Whether a wire item has all of an item's text, or the part that was heard."""
    if use.type != "message":
        return is_copy(item, use)
    text, known = (use.text or "").strip(), text_of(item).strip()
    is_cut = item.truncation is not None and known.startswith(text)
    return is_copy(item, use) and (text == known or is_cut)


def find_item(session: Session, wire_id: str, use: Use) -> tuple[Session, str]:
    """The item that an event names: the last one that it can be about, or a new one."""
    for name in items_named(session, wire_id, use.epoch):
        if can_be(session, session.items.get(name), use):
            return session, name
    return next_item(session, wire_id, use.epoch)
