"""MCP tools, which the service calls itself.

The three ``response.mcp_call.*`` events have no ``response_id``.
"""

from __future__ import annotations

from typing import ClassVar

from .base import ServerEvent
from .types import RealtimeEventType

__all__ = [
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "ResponseMcpCallArgumentsDelta",
    "ResponseMcpCallArgumentsDone",
    "ResponseMcpCallCompleted",
    "ResponseMcpCallFailed",
    "ResponseMcpCallInProgress",
]


class McpListToolsCompleted(
    ServerEvent, frozen=True, tag=RealtimeEventType.MCP_LIST_TOOLS_COMPLETED.value
):
    """The service has the list of an MCP server's tools."""

    item_id: str


class McpListToolsFailed(
    ServerEvent, frozen=True, tag=RealtimeEventType.MCP_LIST_TOOLS_FAILED.value
):
    """The service could not list an MCP server's tools."""

    item_id: str


class McpListToolsInProgress(
    ServerEvent, frozen=True, tag=RealtimeEventType.MCP_LIST_TOOLS_IN_PROGRESS.value
):
    """The service requests the list of an MCP server's tools."""

    item_id: str


class ResponseMcpCallCompleted(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_MCP_CALL_COMPLETED.value
):
    """An MCP call succeeded."""

    item_id: str
    output_index: int


class ResponseMcpCallFailed(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_MCP_CALL_FAILED.value
):
    """An MCP call failed."""

    item_id: str
    output_index: int


class ResponseMcpCallInProgress(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_MCP_CALL_IN_PROGRESS.value
):
    """An MCP call is running."""

    item_id: str
    output_index: int


class ResponseMcpCallArgumentsDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_MCP_CALL_ARGUMENTS_DELTA.value,
):
    """A delta of the JSON arguments of an MCP call."""

    STRICT: ClassVar = ServerEvent.STRICT | {"delta"}
    response_id: str
    item_id: str
    output_index: int
    delta: str
    obfuscation: str | None = None


class ResponseMcpCallArgumentsDone(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_MCP_CALL_ARGUMENTS_DONE.value,
):
    """The complete JSON arguments of an MCP call."""

    STRICT: ClassVar = ServerEvent.STRICT | {"arguments"}
    JSON_TEXT: ClassVar = frozenset({"arguments"})
    response_id: str
    item_id: str
    output_index: int
    arguments: str
