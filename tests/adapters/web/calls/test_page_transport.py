"""Calls that the page places itself: keys, reports and events to send."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from duologue.adapters.web import create_app
from duologue.adapters.web.calls import page_transport as module
from duologue.adapters.web.pages.subscriber import Subscriber
from duologue.adapters.web.server.web_server import serving
from duologue.adapters.web.sessions.limits import Limits
from duologue.transports import Credentials, NotConnected

from ..conftest import Feed, Page, Serve, Served, calling, lines


@pytest.fixture
async def direct(serve: Serve) -> AsyncIterator[Served]:
    async with serve(direct=True) as served:
        yield served


async def token(page: Page, session: str) -> dict[str, Any]:
    answer = await page.http.post("api/token", json={"session": session})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


@contextlib.asynccontextmanager
async def connected(page: Page, session: str, feed: Feed) -> AsyncIterator[Any]:
    """A call of the page itself, whose events it reports."""
    given = await token(page, session)
    async with calling() as call:
        async with httpx.AsyncClient() as http:
            answer = await http.post(
                given["url"],
                content=await call.peer.offer(),
                headers={
                    "Authorization": f"Bearer {given['value']}",
                    "Content-Type": "application/sdp",
                },
            )
        assert answer.status_code == 201, answer.text
        await call.peer.accept(answer.text)
        await call.peer.wait_open()
        carrying = asyncio.create_task(carry(call, feed, session, given["nonce"]))
        try:
            yield call
        finally:
            carrying.cancel()


async def carry(call: Any, feed: Feed, session: str, nonce: str) -> None:
    """The part of the page: send reports, and send events on request."""
    sent, reported = 0, 0
    while True:
        events = call.events[reported:]
        reported += len(events)
        if events:
            records = [{"dir": "in", "event": event} for event in events]
            await feed.say(type="report", session=session, nonce=nonce, records=records)
        asked = [m["event"] for m in feed.messages if m.get("type") == "send"]
        for event in asked[sent:]:
            call.peer.send(json.dumps(event))
        sent = len(asked)
        await asyncio.sleep(0.01)


async def test_a_typed_turn_over_the_page(direct: Served) -> None:
    """The server folds the reported events, and sends its own through the page."""
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    async with connected(page, session, feed):
        await feed.until_view(session, lambda view: view["status"] == "open")
        await feed.say(
            type="command", session=session, command={"type": "text", "text": "hello"}
        )
        said = [
            ("user", "hello"),
            ("assistant", "Hello there. It is good to hear you."),
        ]
        await feed.until_view(session, lambda view: lines(view) == said)
    found = (await page.http.get(f"api/sessions/{session}/records")).json()["records"]
    assert {one["src"] for one in found if one["dir"] == "in"} == {"browser"}


async def test_events_that_the_page_sends_itself_are_recorded(direct: Served) -> None:
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    nonce = (await token(page, session))["nonce"]
    event = {"type": "input_audio_buffer.commit", "event_id": "mine"}
    await feed.say(
        type="report",
        session=session,
        nonce=nonce,
        records=[{"dir": "out", "event": event}],
    )
    await feed.watch(session)
    await feed.until_view(session, lambda view: view["status"] == "open")
    path = f"api/sessions/{session}/records?dir=out"
    async with asyncio.timeout(5):
        while not (found := (await page.http.get(path)).json()["records"]):
            await asyncio.sleep(0.01)
    assert [(one["type"], one["src"]) for one in found] == [(event["type"], "browser")]


async def test_a_wrong_nonce_reports_nothing(direct: Served) -> None:
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    await token(page, session)
    event = {"type": "session.created", "session": {"type": "realtime"}}
    await feed.say(
        type="report",
        session=session,
        nonce="guessed",
        records=[{"dir": "in", "event": event}],
    )
    told = await feed.until_told("error")
    assert told["error"]["code"] == "wrong_nonce"
    assert (await page.summary(session))["status"] == "connecting"


async def test_malformed_reports_are_counted(direct: Served) -> None:
    """They affect only the page's own session, where malformed frames are counted."""
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    nonce = (await token(page, session))["nonce"]
    nonsense: list[Any] = [1, None, [], {}, {"type": 7}]
    for event in nonsense:
        await feed.say(
            type="report",
            session=session,
            nonce=nonce,
            records=[{"dir": "in", "event": event}],
        )
    await feed.watch(session)
    await feed.until_view(session, lambda view: view["status"] == "open")
    store = direct.app.state.registry.client.store
    async with asyncio.timeout(5):
        while store.session(session).dedup.malformed < 5:
            await asyncio.sleep(0.01)


async def test_too_many_events_in_one_report_are_refused(direct: Served) -> None:
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    nonce = (await token(page, session))["nonce"]
    records = [{"dir": "in", "event": {}}] * 257
    await feed.say(type="report", session=session, nonce=nonce, records=records)
    told = await feed.until_told("error")
    assert told["error"]["code"] == "too_many_reports"


async def test_all_reports_of_a_call_are_bounded(
    direct: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if none is queued, because the folded records are kept."""
    monkeypatch.setattr(module, "_CALL_LIMIT", 1_000)
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    nonce = (await token(page, session))["nonce"]
    for n in range(4):
        records = [{"dir": "in", "event": {"type": f"x{n}", "filler": "y" * 300}}]
        await feed.say(type="report", session=session, nonce=nonce, records=records)
    told = await feed.until_told("error")
    assert told["error"]["code"] == "too_many_reports"
    over = ("closed", "failed")
    await feed.until_view(session, lambda view: view["status"] in over)


async def sending(
    frames: int,
) -> tuple[module.PageTransport, Subscriber, asyncio.Task[None]]:
    """A page that does not read, and a task that sends it frames of 10 kB."""
    page = Subscriber(lambda: "{}", limit=50_000)
    browser = module.PageTransport("session", lambda frame: None)
    browser.receive(page, browser.nonce, [])

    async def send() -> None:
        for _ in range(frames):
            await browser.send(json.dumps({"type": "x", "filler": "y" * 10_000}))

    task = asyncio.create_task(send())
    await asyncio.sleep(0.05)
    return browser, page, task


async def test_sending_waits_for_a_page_that_does_not_read() -> None:
    """Sending waits. Control: it continues when the page reads."""
    _, page, task = await sending(30)
    assert not task.done()
    assert page._size <= 50_000 + 11_000
    async with asyncio.timeout(5):
        while not task.done():
            await page.next_batch()
            await asyncio.sleep(0)
    await task


async def test_closing_does_not_wait_for_a_page_that_does_not_read() -> None:
    browser, _, task = await sending(30)
    await browser.close()
    async with asyncio.timeout(5):
        with pytest.raises(NotConnected):
            await task


async def test_a_page_that_does_not_read_can_reconnect() -> None:
    """With another feed, which gets the rest."""
    browser, page, task = await sending(8)
    assert not task.done()
    again = Subscriber(lambda: "{}", limit=50_000)
    browser.page_left(page)
    browser.receive(again, browser.nonce, [])
    async with asyncio.timeout(5):
        await task
    assert again._size > 10_000


async def test_a_key_counts_after_its_session_is_removed(serve: Serve) -> None:
    """It is still usable: it counts as a minute, and as a session until it expires."""
    limits = Limits(sessions=2, minutes=2)
    async with serve(direct=True, limits=limits) as served:
        page, registry = served.page(), served.app.state.registry
        for _ in range(2):
            session = (await page.create())["id"]
            await token(page, session)
            await page.http.delete(f"api/sessions/{session}")
        refused = await page.http.post("api/sessions", json={})
        assert refused.json()["error"]["code"] == "too_many_sessions"
        # The keys have expired.
        registry._valid_keys = dict.fromkeys(registry._valid_keys, 0.0)
        session = (await page.create())["id"]
        refused = await page.http.post("api/token", json={"session": session})
        assert refused.json()["error"]["code"] == "no_minutes_left"


async def test_a_key_counts_after_its_session_is_closed(serve: Serve) -> None:
    async with serve(direct=True, limits=Limits(minutes=1)) as served:
        page = served.page()
        session = (await page.create())["id"]
        await token(page, session)
        await page.command(session, type="close")
        another = (await page.create())["id"]
        refused = await page.http.post("api/token", json={"session": another})
        assert refused.json()["error"]["code"] == "no_minutes_left"


async def test_without_direct_there_is_no_key(page: Page) -> None:
    session = (await page.create())["id"]
    answer = await page.http.post("api/token", json={"session": session})
    assert answer.status_code == 404


async def test_a_session_gets_one_key(direct: Served) -> None:
    page = direct.page()
    session = (await page.create())["id"]
    await token(page, session)
    again = await page.http.post("api/token", json={"session": session})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "has_call")


async def test_the_page_may_connect_to_the_service_only_in_direct_mode(
    direct: Served, page: Page
) -> None:
    """Control: in relay mode the page may only connect to this server."""

    def allowed(answer: httpx.Response) -> str:
        policy = answer.headers["content-security-policy"].split("; ")
        return next(part for part in policy if part.startswith("connect-src"))

    base_url = direct.app.state.registry.client.base_url
    there = await direct.page().http.get("api/config")
    assert allowed(there) == f"connect-src 'self' {base_url.removesuffix('/v1')}"
    assert allowed(await page.http.get("api/config")) == "connect-src 'self'"


async def test_a_page_that_reports_too_much_at_once_loses_its_call(
    direct: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUEUE_LIMIT", 1_000)
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    nonce = (await token(page, session))["nonce"]
    records = [{"dir": "in", "event": {"type": "x", "filler": "y" * 1_000}}]
    await feed.say(type="report", session=session, nonce=nonce, records=records)
    told = await feed.until_told("error")
    assert told["error"]["code"] == "too_many_reports"
    await feed.watch(session)
    await feed.until_view(session, lambda view: view["status"] == "failed")


async def test_a_page_that_never_connects_times_out(
    direct: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CONNECT_TIMEOUT", 0.3)
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await token(page, session)
    view = await feed.until_view(session, lambda view: view["status"] == "failed")
    assert view["reason"] == "the page did not connect within 0.3 s"


async def test_a_session_can_be_closed_before_its_page_connects(direct: Served) -> None:
    page = direct.page()
    session = (await page.create())["id"]
    await token(page, session)
    async with asyncio.timeout(5):
        assert (await page.command(session, type="close")).status_code == 202
    assert (await page.summary(session))["status"] in ("closed", "failed")


async def test_a_failure_to_create_a_key_is_reported(answering: Any) -> None:
    base_url = await answering(
        b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    app = create_app(base_url=base_url, credentials=Credentials("any"), direct=True)
    async with serving(app) as url:
        page = Page(url)
        session = (await page.create())["id"]
        answer = await page.http.post("api/token", json={"session": session})
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "service_refused"
        await page.close()


async def test_a_page_that_reconnects_continues_its_call(direct: Served) -> None:
    """An empty report tells which feed has the call now; until then, sending
    waits.
    """
    page = direct.page()
    session = (await page.create())["id"]
    feed = await page.feed()
    nonce = (await token(page, session))["nonce"]
    created = {"type": "session.created", "session": {"type": "realtime", "id": "s"}}
    records = [{"dir": "in", "event": created}]
    await feed.say(type="report", session=session, nonce=nonce, records=records)
    await feed.watch(session)
    await feed.until_view(session, lambda view: view["status"] == "open")
    await feed.socket.close()

    saying = asyncio.create_task(page.command(session, type="text", text="hello"))
    again = await page.feed()
    await asyncio.sleep(0.1)
    assert not saying.done()
    await again.say(type="report", session=session, nonce=nonce, records=[])
    told = await again.until_told("send")
    assert told["event"]["type"] == "conversation.item.create"
    assert (await saying).status_code == 202


async def test_a_report_about_a_relayed_call_is_refused(page: Page) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.say(type="report", session=session, nonce="x", records=[])
    assert (await feed.until_told("error"))["error"]["code"] == "no_call"
