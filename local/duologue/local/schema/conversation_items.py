"""The shapes of conversation items that a client may create."""

from __future__ import annotations

from typing import Any

from .checks import Shape, boolean, items, name, one_of, record, tagged, text
from .checks import anything as _any

__all__ = ["INPUT", "ITEM"]

_MOST_PARTS = 1_000
#: The id of an item or a call: the real service accepts up to 32 characters (public
#: reports of its errors).
_id = name(32)

_PARTS: dict[str, Shape] = {
    "input_text": record({"type": text, "text": text}, required=("text",)),
    "input_audio": record({"type": text, "audio": text, "transcript": text}),
    "input_image": record(
        {"type": text, "image_url": text, "detail": one_of("auto", "low", "high")},
        required=("image_url",),
    ),
    "output_text": record({"type": text, "text": text}, required=("text",)),
}
_ROLES = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    # The audio of the assistant cannot be restored, only its text (API page "Client
    # events").
    "assistant": ("output_text",),
}
_COMMON: dict[str, Shape] = {
    "type": text,
    "id": _id,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}


def _kind(required: tuple[str, ...], **fields: Shape) -> Shape:
    return record(_COMMON | fields, required=required)


_MESSAGES = {
    role: _kind(
        ("role", "content"),
        role=text,
        phase=text,
        content=items(tagged({part: _PARTS[part] for part in parts}), most=_MOST_PARTS),
    )
    for role, parts in _ROLES.items()
}


def _message(value: Any, path: str) -> Any:
    role = value.get("role")
    if role is None:
        record({}, required=("role",))({}, path)
    one_of(*_ROLES)(role, f"{path}.role")
    return _MESSAGES[str(role)](value, path)


_KINDS: dict[str, Shape] = {
    "message": _message,
    "function_call": _kind(
        ("name", "arguments"), name=text, arguments=text, call_id=_id
    ),
    "function_call_output": _kind(("call_id", "output"), call_id=_id, output=text),
    "mcp_approval_response": _kind(
        ("id", "approval_request_id", "approve"),
        approval_request_id=text,
        approve=boolean,
        reason=text,
    ),
    "mcp_approval_request": _kind(
        ("id", "server_label", "name", "arguments"),
        server_label=text,
        name=text,
        arguments=text,
    ),
    "mcp_list_tools": _kind(
        ("server_label", "tools"),
        server_label=text,
        tools=items(
            record(
                {
                    "name": text,
                    "description": text,
                    "input_schema": _any,
                    "annotations": _any,
                },
                required=("name", "input_schema"),
            )
        ),
    ),
    "mcp_call": _kind(
        ("id", "server_label", "name", "arguments"),
        server_label=text,
        name=text,
        arguments=text,
        output=text,
        approval_request_id=text,
    ),
}

#: The item of ``conversation.item.create``.
ITEM: Shape = tagged(_KINDS)
#: The ``input`` of a response: items that replace the conversation.
INPUT: Shape = items(
    tagged(_KINDS | {"item_reference": _kind(("id",))}), most=_MOST_PARTS
)
