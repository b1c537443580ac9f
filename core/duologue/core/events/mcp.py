"""Tools that the service itself calls on MCP servers.

The three ``response.mcp_call.*`` events name no response.
"""

from __future__ import annotations

from duologue.core.events.types import RealtimeEventType

from .base import ServerEvent

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
    """The tools of an MCP server are known."""

    item_id: str


class McpListToolsFailed(
    ServerEvent, frozen=True, tag=RealtimeEventType.MCP_LIST_TOOLS_FAILED.value
):
    """The tools of an MCP server could not be listed."""

    item_id: str


class McpListToolsInProgress(
    ServerEvent, frozen=True, tag=RealtimeEventType.MCP_LIST_TOOLS_IN_PROGRESS.value
):
    """The tools of an MCP server are being listed."""

    item_id: str


class ResponseMcpCallCompleted(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_MCP_CALL_COMPLETED.value
):
    """The MCP server answered a call."""

    item_id: str
    output_index: int


class ResponseMcpCallFailed(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_MCP_CALL_FAILED.value
):
    """The MCP server failed a call."""

    item_id: str
    output_index: int


class ResponseMcpCallInProgress(
    ServerEvent, frozen=True, tag=RealtimeEventType.RESPONSE_MCP_CALL_IN_PROGRESS.value
):
    """The MCP server is at work on a call."""

    item_id: str
    output_index: int


class ResponseMcpCallArgumentsDelta(
    ServerEvent,
    frozen=True,
    tag=RealtimeEventType.RESPONSE_MCP_CALL_ARGUMENTS_DELTA.value,
):
    """More of an MCP call's JSON arguments."""

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
    """All of an MCP call's arguments."""

    response_id: str
    item_id: str
    output_index: int
    arguments: str
