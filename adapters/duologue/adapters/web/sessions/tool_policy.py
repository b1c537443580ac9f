"""Tools that a page gave its call by the data channel: none of its own to give.

They would run at the service's end, at the expense of the key. The page can name them
in an update of the session, which is confirmed to us, or in a single response, of which
only what they do is seen.
"""

from __future__ import annotations

from typing import Any

import msgspec

from duologue.core import Record, Session, events

__all__ = ["has_foreign_tools"]

#: What a tool is, and where it is.
_NAMES = ("type", "name", "server_label", "server_url", "connector_id", "tunnel_id")


def has_foreign_tools(record: Record, session: Session) -> bool:
    """Whether a record says that the call has tools that the server did not give it."""
    event = record.event
    if isinstance(event, events.SessionUpdated):
        ours = {_key(tool) for tool in _requested(session)}
        # As it came: the typed one leaves out what is of a kind that nobody knows.
        confirmed = msgspec.json.decode(record.frame).get("session")
        return any(_key(tool) not in ours for tool in _tools(confirmed))
    label = getattr(getattr(event, "item", None), "server_label", None)
    if record.dir != "in" or label is None:
        return False
    return label not in [
        tool.get("server_label")
        for tool in _requested(session)
        if isinstance(tool, dict) and tool.get("type") == "mcp"
    ]


def _requested(session: Session) -> list[Any]:
    asked = session.connection.requested
    return [] if asked is None else _tools(msgspec.json.decode(asked))


def _tools(session: Any) -> list[Any]:
    """The tools of a session object in JSON values; one that is no list is one."""
    tools = session.get("tools") if isinstance(session, dict) else None
    return tools if isinstance(tools, list) else [tools] if tools else []


def _key(tool: Any) -> bytes:
    """What makes a tool the same one; whatever it is made of, it can be compared."""
    if isinstance(tool, dict):
        tool = [tool.get(name) for name in _NAMES]
    return msgspec.json.encode(tool, order="deterministic")
