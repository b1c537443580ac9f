"""Tools that a page adds to its call are detected."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.adapters.web.pages.page_policy import has_foreign_tools
from duologue.core import Record, Store

OURS: list[Any] = [
    {"type": "function", "name": "get_time"},
    {"type": "mcp", "server_label": "own", "server_url": "https://own.example"},
]


def found(*frames: tuple[str, dict[str, Any]]) -> list[bool]:
    """The result for each record, in a session that requested the tools `OURS`."""
    said: list[bool] = []
    store = Store()

    def look(before: Any, record: Record, after: Any) -> None:
        said.append(has_foreign_tools(record, after.sessions["s"]))

    store.subscribe(look, session="s")
    wish = {"type": "session.update", "session": {"type": "realtime", "tools": OURS}}
    for way, event in (("out", wish), *frames):
        store.feed("s", event, at=1.0, dir=way)  # type: ignore[arg-type]
    assert not store.failures, store.failures
    assert not said.pop(0)
    return said


def updated(tools: Any) -> tuple[str, dict[str, Any]]:
    session = {"type": "realtime", "object": "realtime.session", "tools": tools}
    return "in", {"type": "session.updated", "event_id": "e", "session": session}


def item(way: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    added = "conversation.item.added" if way == "in" else "conversation.item.create"
    return way, {"type": added, "event_id": "e", "item": {"id": "i", **fields}}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (updated(OURS), False),
        (updated([]), False),
        (updated(OURS[:1]), False),
        (updated([*OURS, {"type": "function", "name": "other"}]), True),
        (updated([{**OURS[1], "server_url": "https://evil.example"}]), True),
        (updated([{"type": "mcp", "server_label": "own", "connector_id": "c"}]), True),
        (updated([{"type": "unheard of", "name": {"not": ["to be hashed"]}}]), True),
        (updated([*OURS, {"type": "unheard of"}, {"type": "mcp"}]), True),
        (updated({"type": "mcp"}), True),
        (updated(None), False),
        (item("in", type="mcp_list_tools", server_label="own", tools=[]), False),
        (item("in", type="mcp_list_tools", server_label="x", tools=[]), True),
        (item("in", type="mcp_call", server_label="x", name="n", arguments=""), True),
        (item("in", type="message", role="user", content=[]), False),
    ],
)
def test_tools_are_ours_by_what_they_are_and_where(
    event: tuple[str, dict[str, Any]], expected: bool
) -> None:
    assert found(event) == [expected]
