"""Items of a conversation and their content parts, as they stand on the wire.

All fields are optional where a service may leave them out; those without a default
always go out, because a default is left out on the wire. An item or a part of a type
that is not known here becomes `UnknownItem` or `UnknownPart` and keeps its JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

import msgspec

__all__ = [
    "AnyItem",
    "AnyPart",
    "AudioPart",
    "FunctionCallItem",
    "FunctionCallOutputItem",
    "InputAudioPart",
    "InputImagePart",
    "InputTextPart",
    "ItemReference",
    "McpApprovalRequestItem",
    "McpApprovalResponseItem",
    "McpCallError",
    "McpCallItem",
    "McpListToolsItem",
    "McpTool",
    "MessageItem",
    "OutputAudioPart",
    "OutputTextPart",
    "TextPart",
    "UnknownItem",
    "UnknownPart",
]


# Free-form JSON. It is decoded as its bytes, so that nobody can change what it says;
# whoever builds an event gives any JSON value.
if TYPE_CHECKING:
    Json = Any
else:
    Json = msgspec.Raw


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A part of an event."""


class ContentPart(Value, frozen=True, kw_only=True, tag_field="type"):
    """One piece of a message's content."""

    @property
    def type(self) -> str:
        """The type on the wire."""
        return str(self.__struct_config__.tag)


class InputTextPart(ContentPart, frozen=True, kw_only=True, tag="input_text"):
    """Text that the user or the system wrote."""

    text: str


class InputAudioPart(ContentPart, frozen=True, kw_only=True, tag="input_audio"):
    """What the user said; ``transcript`` is null until it is transcribed."""

    audio: str | None = None
    transcript: str | msgspec.UnsetType | None = msgspec.UNSET


class InputImagePart(ContentPart, frozen=True, kw_only=True, tag="input_image"):
    """A picture that the user shows, as a data URL."""

    image_url: str | None = None
    detail: str | None = None


class OutputTextPart(ContentPart, frozen=True, kw_only=True, tag="output_text"):
    """Text that the model wrote."""

    text: str


class OutputAudioPart(ContentPart, frozen=True, kw_only=True, tag="output_audio"):
    """What the model said, and the words of it."""

    audio: str | None = None
    transcript: str | None = None


class TextPart(ContentPart, frozen=True, kw_only=True, tag="text"):
    """`OutputTextPart` under the name of ``content_part`` events and of the beta."""

    text: str


class AudioPart(ContentPart, frozen=True, kw_only=True, tag="audio"):
    """`OutputAudioPart` under the name of ``content_part`` events and of the beta."""

    audio: str | None = None
    transcript: str | None = None


class UnknownPart(Value, frozen=True, kw_only=True):
    """A content part of a type that is not in the catalogue, with its JSON."""

    name: str
    fields: dict[str, Any] = {}


class BaseItem(Value, frozen=True, kw_only=True, tag_field="type"):
    """One entry of a conversation. ``status``: in_progress, completed, incomplete."""

    id: str | None = None
    object: str | None = None
    status: str | None = None

    @property
    def type(self) -> str:
        """The type on the wire."""
        return str(self.__struct_config__.tag)


class MessageItem(BaseItem, frozen=True, kw_only=True, tag="message"):
    """Something said or written by ``role``: user, assistant or system.

    ``phase`` (``commentary`` or ``final_answer``) comes from reasoning models; the
    SDK does not type it.
    """

    role: str = ""
    content: tuple[AnyPart, ...]
    phase: str | None = None


class FunctionCallItem(BaseItem, frozen=True, kw_only=True, tag="function_call"):
    """The model wants a function run by the client; ``arguments`` is JSON text."""

    name: str
    call_id: str | None = None
    arguments: str


class FunctionCallOutputItem(
    BaseItem, frozen=True, kw_only=True, tag="function_call_output"
):
    """What the client's function gave."""

    call_id: str | None = None
    output: str


class McpTool(Value, frozen=True, kw_only=True):
    """A tool that an MCP server offers."""

    name: str = ""
    description: str | None = None
    input_schema: Json | None = None
    annotations: Json | None = None


class McpListToolsItem(BaseItem, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools that an MCP server offers."""

    server_label: str = ""
    tools: tuple[McpTool, ...] = ()


class McpCallError(Value, frozen=True, kw_only=True):
    """Why an MCP call failed: protocol_error, tool_execution_error, http_error."""

    type: str | None = None
    message: str | None = None
    code: int | None = None


class McpCallItem(BaseItem, frozen=True, kw_only=True, tag="mcp_call"):
    """A tool that the service called on an MCP server."""

    server_label: str = ""
    name: str = ""
    arguments: str = ""
    output: str | None = None
    error: McpCallError | None = None
    approval_request_id: str | None = None


class McpApprovalRequestItem(
    BaseItem, frozen=True, kw_only=True, tag="mcp_approval_request"
):
    """The service asks whether it may call a tool."""

    server_label: str = ""
    name: str = ""
    arguments: str = ""


class McpApprovalResponseItem(
    BaseItem, frozen=True, kw_only=True, tag="mcp_approval_response"
):
    """The client's answer to that."""

    approval_request_id: str
    approve: bool
    reason: str | None = None


class ItemReference(BaseItem, frozen=True, kw_only=True, tag="item_reference"):
    """An item that is already there; valid only in a response's ``input``."""


class UnknownItem(Value, frozen=True, kw_only=True):
    """An item of a type that is not in the catalogue, with its JSON."""

    name: str
    id: str | None = None
    status: str | None = None
    fields: dict[str, Any] = {}


_Part = Union[  # noqa: UP007 - read by msgspec at run time
    InputTextPart,
    InputAudioPart,
    InputImagePart,
    OutputTextPart,
    OutputAudioPart,
    TextPart,
    AudioPart,
]
_Item = Union[  # noqa: UP007 - read by msgspec at run time
    MessageItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    McpListToolsItem,
    McpCallItem,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    ItemReference,
]

# msgspec refuses a union of tagged and untagged classes, so the unknown ones come in
# by the slow path of the decoder only, and only a type checker sees them here.
if TYPE_CHECKING:
    AnyPart = _Part | UnknownPart
    AnyItem = _Item | UnknownItem
else:
    AnyPart = _Part
    AnyItem = _Item
