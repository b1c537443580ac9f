"""The items of a conversation and their content parts, as on the wire.

A field has a default if a service may leave it out. A default value is left out on the
wire, so fields that must always be sent have none. An item or part of an unknown type
becomes `UnknownItem` or `UnknownPart` and keeps its JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Union

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


# Free-form JSON, kept as its bytes, which are immutable. An event is built with any
# JSON value.
if TYPE_CHECKING:
    Json = Any
else:
    Json = msgspec.Raw


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An object inside an event."""

    #: As in `Event`.
    STRICT: ClassVar[frozenset[str]] = frozenset()
    #: As in `Event`.
    ESSENTIAL: ClassVar[frozenset[str]] = frozenset()
    #: As in `Event`.
    JSON_TEXT: ClassVar[frozenset[str]] = frozenset()
    #: The field that gets a value that is not an object, as text.
    TEXT: ClassVar[str | None] = None
    #: As in `Event`.
    AUDIO: ClassVar[tuple[str, ...]] = ()
    #: As in `Event`.
    COUNTS: ClassVar[frozenset[str]] = frozenset()


class ContentPart(Value, frozen=True, kw_only=True, tag_field="type"):
    """One part of a message's content."""

    @property
    def type(self) -> str:
        """The type on the wire."""
        return str(self.__struct_config__.tag)


class InputTextPart(ContentPart, frozen=True, kw_only=True, tag="input_text"):
    """Text that the user or the system wrote."""

    STRICT: ClassVar = ContentPart.STRICT | {"text"}
    text: str


class InputAudioPart(ContentPart, frozen=True, kw_only=True, tag="input_audio"):
    """Audio of the user; ``transcript`` is null until it is transcribed."""

    AUDIO: ClassVar = ("audio",)
    STRICT: ClassVar = ContentPart.STRICT | {"transcript"}
    audio: str | None = None
    transcript: str | msgspec.UnsetType | None = msgspec.UNSET


class InputImagePart(ContentPart, frozen=True, kw_only=True, tag="input_image"):
    """An image that the user sends, as a data URL."""

    image_url: str | None = None
    detail: str | None = None


class OutputTextPart(ContentPart, frozen=True, kw_only=True, tag="output_text"):
    """Text that the model wrote."""

    STRICT: ClassVar = ContentPart.STRICT | {"text"}
    text: str


class OutputAudioPart(ContentPart, frozen=True, kw_only=True, tag="output_audio"):
    """Audio that the model spoke, with its transcript."""

    AUDIO: ClassVar = ("audio",)
    STRICT: ClassVar = ContentPart.STRICT | {"transcript"}
    audio: str | None = None
    transcript: str | None = None


class TextPart(ContentPart, frozen=True, kw_only=True, tag="text"):
    """`OutputTextPart` under the name of ``content_part`` events and of the beta."""

    STRICT: ClassVar = ContentPart.STRICT | {"text"}
    text: str


class AudioPart(ContentPart, frozen=True, kw_only=True, tag="audio"):
    """`OutputAudioPart` under the name of ``content_part`` events and of the beta."""

    AUDIO: ClassVar = ("audio",)
    STRICT: ClassVar = ContentPart.STRICT | {"transcript"}
    audio: str | None = None
    transcript: str | None = None


class UnknownPart(Value, frozen=True, kw_only=True):
    """A content part of a type that is not in the catalogue, with its JSON."""

    name: str
    fields: dict[str, Any] = {}


class BaseItem(Value, frozen=True, kw_only=True, tag_field="type"):
    """One entry of a conversation. ``status``: in_progress, completed, incomplete."""

    STRICT: ClassVar = frozenset({"id", "status"})
    id: str | None = None
    object: str | None = None
    status: str | None = None

    @property
    def type(self) -> str:
        """The type on the wire."""
        return str(self.__struct_config__.tag)


class MessageItem(BaseItem, frozen=True, kw_only=True, tag="message"):
    """A message of ``role``: user, assistant or system.

    Reasoning models set ``phase`` (``commentary`` or ``final_answer``); the SDK does
    not type it.
    """

    AUDIO: ClassVar = ("content",)
    STRICT: ClassVar = BaseItem.STRICT | {"role", "content"}
    role: str = ""
    content: tuple[AnyPart, ...]
    phase: str | None = None


class FunctionCallItem(BaseItem, frozen=True, kw_only=True, tag="function_call"):
    """The model requests a function call; ``arguments`` is JSON text."""

    STRICT: ClassVar = BaseItem.STRICT | {"name", "call_id", "arguments"}
    JSON_TEXT: ClassVar = frozenset({"arguments"})
    name: str
    call_id: str | None = None
    arguments: str


class FunctionCallOutputItem(
    BaseItem, frozen=True, kw_only=True, tag="function_call_output"
):
    """The output of a function call."""

    STRICT: ClassVar = BaseItem.STRICT | {"call_id", "output"}
    JSON_TEXT: ClassVar = frozenset({"output"})
    call_id: str | None = None
    output: str


class McpTool(Value, frozen=True, kw_only=True):
    """A tool of an MCP server."""

    STRICT: ClassVar = Value.STRICT | {"name"}
    name: str = ""
    description: str | None = None
    input_schema: Json | None = None
    annotations: Json | None = None


class McpListToolsItem(BaseItem, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools of an MCP server."""

    server_label: str = ""
    tools: tuple[McpTool, ...] = ()


class McpCallError(Value, frozen=True, kw_only=True):
    """Why an MCP call failed: protocol_error, tool_execution_error, http_error."""

    TEXT: ClassVar = "message"
    type: str | None = None
    message: str | None = None
    code: int | None = None


class McpCallItem(BaseItem, frozen=True, kw_only=True, tag="mcp_call"):
    """A call that the service made to an MCP server."""

    STRICT: ClassVar = BaseItem.STRICT | {"name", "arguments", "output"}
    JSON_TEXT: ClassVar = frozenset({"arguments", "output"})
    server_label: str = ""
    name: str = ""
    arguments: str = ""
    output: str | None = None
    error: McpCallError | None = None
    approval_request_id: str | None = None


class McpApprovalRequestItem(
    BaseItem, frozen=True, kw_only=True, tag="mcp_approval_request"
):
    """The service requests approval of an MCP call."""

    STRICT: ClassVar = BaseItem.STRICT | {"name", "arguments"}
    JSON_TEXT: ClassVar = frozenset({"arguments"})
    server_label: str = ""
    name: str = ""
    arguments: str = ""


class McpApprovalResponseItem(
    BaseItem, frozen=True, kw_only=True, tag="mcp_approval_response"
):
    """The client's answer to an approval request."""

    STRICT: ClassVar = BaseItem.STRICT | {"approve"}
    approval_request_id: str
    approve: bool
    reason: str | None = None


class ItemReference(BaseItem, frozen=True, kw_only=True, tag="item_reference"):
    """A reference to an existing item; valid only in the ``input`` of a response."""


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

# msgspec refuses a union of tagged and untagged classes. Only the slow path of the
# decoder makes the unknown ones, and only a type checker sees them here.
if TYPE_CHECKING:
    AnyPart = _Part | UnknownPart
    AnyItem = _Item | UnknownItem
else:
    AnyPart = _Part
    AnyItem = _Item
