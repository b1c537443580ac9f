"""The last lines and calls of a conversation, for example for a terminal display.

The run time depends on the number of lines requested, not on the length of the
conversation.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import islice

import attrs

from ..argument_checks import of_session, require
from ..state.model import Call, Item, Session
from .calls import has_output
from .items import shown_items
from .transcript import Transcript, transcript_of

__all__ = ["CallLine", "CallState", "select_latest"]


class CallState(StrEnum):
    """The progress of a tool call."""

    #: Its arguments are streaming.
    COMING = "coming"
    #: Its tool has not started, or an approval request has no answer.
    WAITING = "waiting"
    #: Its tool is running.
    RUNNING = "running"
    #: It has its output, or an approval request has its answer.
    DONE = "done"
    #: It failed.
    FAILED = "failed"
    #: It was interrupted before its arguments were complete, and will not be run.
    CUT_OFF = "cut off"


@attrs.frozen
class CallLine:
    """A tool call as a line of the conversation.

    ``server`` is the label of the MCP server, None for a function of the application.
    ``arguments`` is the JSON text received so far; ``error`` says why the call failed.
    """

    item_id: str
    name: str
    arguments: str
    state: CallState
    server: str | None = None
    output: str | None = None
    error: str | None = None


@of_session
def select_latest(session: Session, count: int) -> tuple[Transcript | CallLine, ...]:
    """The last ``count`` lines and tool calls, in conversation order.

    These are the lines of `select_transcripts`, with function calls, MCP calls and
    approval requests between them. Raises TypeError if ``count`` is not an int.
    """
    require(count, int, "select_latest: the count")
    lines = (line for item in shown_items(session) if (line := _line(session, item)))
    return tuple(islice(lines, max(count, 0)))[::-1]


_CALLS = ("function_call", "mcp_call", "mcp_approval_request")


def _line(session: Session, item: Item) -> Transcript | CallLine | None:
    if item.role in ("user", "assistant"):
        return transcript_of(item)
    if (call := item.call) is None or item.type not in _CALLS:
        return None
    return CallLine(
        item.id,
        call.name,
        str(call.arguments),
        _call_state(session, item, call),
        call.server_label,
        call.output,
        call.error,
    )


def _call_state(session: Session, item: Item, call: Call) -> CallState:
    if call.error is not None or item.status == "failed":
        return CallState.FAILED
    if call.running:
        return CallState.RUNNING
    if item.status == "incomplete":
        return CallState.CUT_OFF
    if item.type == "mcp_approval_request":
        is_answered = call.mcp is not None and call.mcp.approve is not None
    elif item.status != "completed":
        return CallState.COMING
    else:
        # A completed MCP call contains its output.
        is_mcp = item.type == "mcp_call"
        is_answered = is_mcp or call.answered or has_output(session, call)
    return CallState.DONE if is_answered else CallState.WAITING
