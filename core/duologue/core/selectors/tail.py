"""The end of a conversation, as a screen shows it: what is new, however long it is.

What it costs depends on how much is asked for, not on what came before.
"""

from __future__ import annotations

from enum import StrEnum

import attrs

from ..arguments import of_session, require
from ..state.model import Call, Item, Session
from .session import has_output
from .transcript import Transcript, transcript_of

__all__ = ["CallLine", "CallState", "select_latest"]


class CallState(StrEnum):
    """How far a call of a tool is."""

    #: Its arguments are coming.
    COMING = "coming"
    #: It waits for somebody to run it, or to allow it.
    WAITING = "waiting"
    #: A tool is at work.
    RUNNING = "running"
    #: It has its output, or its answer.
    DONE = "done"
    #: It failed.
    FAILED = "failed"
    #: It was interrupted before its arguments were whole: nobody runs it.
    CUT_OFF = "cut off"


@attrs.frozen
class CallLine:
    """A call of a tool, as users read it.

    ``server`` is the MCP server that is asked, None for a function of the application.
    ``arguments`` is JSON text, as far as it came; ``error`` why it failed.
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
    """The last ``count`` lines and calls of a conversation, in its order.

    What `select_transcripts` shows, and between it the calls of functions and of MCP
    servers, with the requests to approve them. Nothing from before the user cleared
    the transcripts. It walks back from the end and stops when there is enough.
    """
    require(count, int, "select_latest: the count")
    latest: list[Transcript | CallLine] = []
    for item_id in reversed(session.conversation.order):
        if len(latest) >= count or item_id == session.conversation.cleared_after:
            break
        item = session.items[item_id]
        if item.status == "deleted":
            continue
        if item.role in ("user", "assistant"):
            latest.append(transcript_of(item))
        elif item.call is not None and item.type in _CALLS:
            latest.append(_call_line(session, item, item.call))
    latest.reverse()
    return tuple(latest)


_CALLS = ("function_call", "mcp_call", "mcp_approval_request")


def _call_line(session: Session, item: Item, call: Call) -> CallLine:
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
        is_ours = item.type == "function_call"
        is_answered = not is_ours or call.answered or has_output(session, call)
    return CallState.DONE if is_answered else CallState.WAITING
