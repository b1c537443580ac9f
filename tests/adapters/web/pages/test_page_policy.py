"""The fields that a page may set, and tools that it may not add."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.adapters.web.pages.page_policy import has_foreign_tools
from duologue.core import Record, Store
from duologue.core.models import TRANSCRIPTION

from ..conftest import TEXT, Page, Serve

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
def test_tools_are_compared_by_identity(
    event: tuple[str, dict[str, Any]], expected: bool
) -> None:
    assert found(event) == [expected]


#: Other tests cover the fields that a page may set.
NOT_TO_BE_SET: list[Any] = [
    {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x"}]},
    {"model": "another"},
    {"model": ["another"]},
    {"prompt": {"id": "pmpt_1"}},
    {"tracing": "auto"},
    {"include": ["x"]},
    {"audio": {"input": {"format": {"type": "audio/pcm"}}}},
    {"audio": 7},
    {"type": "transcription"},
    {"instructions": "x" * 40_000},
    {"instructions": 7},
    {"audio": {"input": {"transcription": {"model": "another"}}}},
    {"audio": {"input": {"transcription": {"model": ["another"]}}}},
    {"output_modalities": "text"},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": "x"}}}},
]


async def test_other_fields_are_refused(page: Page) -> None:
    """Before a call and in one."""
    waiting, calling = [(await page.create())["id"] for _ in range(2)]
    await page.call(calling)
    for config in NOT_TO_BE_SET:
        answer = await page.http.post("api/sessions", json={"config": config})
        assert answer.status_code == 422, config
        for session in (waiting, calling):
            change = await page.command(session, type="update", session=config)
            assert change.status_code == 422, config


async def test_a_page_may_select_an_allowed_model(serve: Serve) -> None:
    """Before the call; then the model is fixed."""
    async with serve(models=["small"]) as served:
        page = served.page()
        assert "small" in (await page.http.get("api/config")).json()["models"]
        choice = {"type": "realtime", "model": "small", **TEXT}
        session = (await page.create(config=choice))["id"]
        feed = await page.feed()
        await feed.watch(session)
        await page.call(session)
        view = await feed.until_view(session, lambda view: view["confirmed"])
        assert view["requested"]["model"] == "small"
        late = await page.command(session, type="update", session={"model": "small"})
        assert late.status_code == 422


async def test_a_page_may_select_an_allowed_transcription_model(serve: Serve) -> None:
    """Only from the server's list, because transcription has a price too."""

    def writing(model: str) -> dict[str, Any]:
        chosen = {"model": model, "language": "de"}
        return {**TEXT, "audio": {"input": {"transcription": chosen}}}

    async with serve(transcription_models=["small-transcribe"]) as served:
        page = served.page()
        told = (await page.http.get("api/config")).json()
        assert told["transcription_models"] == [TRANSCRIPTION, "small-transcribe"]
        for model in told["transcription_models"]:
            await page.create(config=writing(model))
        refused = await page.http.post(
            "api/sessions", json={"config": writing("large-transcribe")}
        )
        assert refused.status_code == 422
        param = "session.audio.input.transcription.model"
        assert refused.json()["error"]["param"] == param
