"""Secrets are in no record, so in no response to a page."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from duologue.adapters.web.pages.redaction import redacting, secrets_of
from duologue.core import SessionConfig, Store, events, to_line, view
from duologue.core.testing import check_middleware

from ..conftest import Serve

TOKEN = 'Bearer "quoted" secret-0123456789'
SERVER = events.McpToolServer(
    server_label="calendar",
    server_url="https://calendar.example",
    authorization=TOKEN,
    headers=msgspec.Raw(b'{"X-Key":"another-secret","X-Number":"1"}'),
)


def test_it_obeys_the_rules_of_a_middleware() -> None:
    check_middleware(redacting(["hello there", "secret-0123456789"]))


def test_the_secrets_of_a_configuration_are_found() -> None:
    config = SessionConfig(tools=(events.FunctionTool(name="get_time"), SERVER))
    assert secrets_of(config) == [TOKEN, "another-secret", "1"]
    assert secrets_of(SessionConfig()) == []


def test_secrets_are_redacted_in_all_forms() -> None:
    """Short values are not redacted, because they would match other text."""
    store = Store(middleware=(redacting([TOKEN, "1"]),))
    error = {"type": "error", "error": {"message": f"{TOKEN} is 1 of many"}}
    record = store.feed("call", error, at=1.0)
    assert b"secret-0123456789" not in to_line(record)
    assert json.loads(record.frame)["error"]["message"] == "*** is 1 of many"
    session = store.session("call")
    assert session is not None
    assert "*** is 1 of many" in str(view(session)["problems"])


def test_a_frame_of_a_translation_keeps_its_type() -> None:
    """The redacted frame is decoded for the kind of its session."""
    store = Store(middleware=(redacting([TOKEN]),))
    created = {"type": "session.created", "session": {"type": "translation"}}
    audio = {"output": {"language": "de"}}
    updated = {"type": "session.updated", "session": {"id": TOKEN, "audio": audio}}
    store.feed("call", created, at=1.0)
    event = store.feed("call", updated, at=2.0).event
    assert isinstance(event, events.TranslationSessionUpdated)
    session: Any = event.session
    assert (session.id, session.audio.output.language) == ("***", "de")


async def test_a_page_reads_no_secret_of_the_server(serve: Serve) -> None:
    """The service gets them; the log, the records and the views do not."""
    config = SessionConfig(tools=(SERVER,), output_modalities=("text",))
    async with serve(config=config) as served:
        page = served.page()
        session = (await page.create())["id"]
        feed = await page.feed()
        await feed.watch(session)
        await page.call(session)
        await feed.until_view(session, lambda view: view["confirmed"])
        seen: list[Any] = [feed.messages]
        for path in ("log", "records/1", "records/2", "view"):
            answer = await page.http.get(f"api/sessions/{session}/{path}")
            seen.append(answer.text)
        seen.append((await page.http.get("api/config")).text)
        assert "calendar" in str(seen)
        assert "secret" not in str(seen)
