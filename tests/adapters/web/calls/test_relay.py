"""Relayed calls: the server forwards the offer and joins over a sideband."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from duologue.adapters.web import create_app
from duologue.adapters.web.pages.refusals import Refused
from duologue.adapters.web.server.web_server import serving
from duologue.adapters.web.sessions import web_session
from duologue.adapters.web.sessions.registry import Caller
from duologue.core import fold, read_log, view
from duologue.transports import Credentials
from duologue.transports.drivers.websocket import websocket_transport as _websocket

from ..conftest import Page, Serve, Served, calling, lines

GREETED = [("user", "hello"), ("assistant", "Hello there. It is good to hear you.")]


async def talk(page: Page, session: str) -> Any:
    """Place a call with one typed turn; return the feed."""
    feed = await page.feed()
    await feed.watch(session)
    await page.call(session)
    await feed.until_view(session, lambda view: view["status"] == "open")
    answer = await page.command(session, type="text", text="hello")
    assert answer.status_code == 202, answer.text
    await feed.until_view(session, lambda view: lines(view) == GREETED)
    return feed


def settled(view: dict[str, Any]) -> bool:
    return lines(view) == GREETED and view["active"] is None


async def test_a_typed_turn_is_seen_on_the_feed(page: Page) -> None:
    session = (await page.create())["id"]
    await talk(page, session)
    summary = await page.summary(session)
    assert summary["status"] == "open"


async def test_the_patches_give_the_view_of_the_state(
    page: Page, served: Served
) -> None:
    """All patches together give the view of the server's state."""
    session = (await page.create())["id"]
    feed = await talk(page, session)
    await feed.until_view(session, settled)
    store = served.app.state.registry.client.store
    assert feed.views[session] == view(store.session(session))


async def test_the_log_is_the_session(page: Page) -> None:
    """The downloaded log folds to the same view, and can be imported again."""
    session = (await page.create())["id"]
    feed = await talk(page, session)
    await feed.until_view(session, settled)
    log = await page.http.get(f"api/sessions/{session}/log")
    state = fold(read_log(log.content.splitlines(keepends=True)))
    assert view(state.sessions[session]) == feed.views[session]

    again = await page.http.post(
        "api/import",
        content=log.content,
        headers={"Content-Type": "application/jsonl"},
    )
    assert again.status_code == 201, again.text
    copy = again.json()["id"]
    assert again.json()["kind"] == "import"
    await feed.watch(copy)
    shown = await feed.until_view(copy, lambda view: True)
    assert shown == feed.views[session]
    there = await page.http.get(f"api/sessions/{copy}/log")
    assert there.content == log.content


async def test_the_confirmed_configuration_is_in_the_view(page: Page) -> None:
    """A sideband gets no session.created, so the server requests a confirmation."""
    session = (await page.create(config={"instructions": "Be brief."}))["id"]
    feed = await page.feed()
    await feed.watch(session)
    await page.call(session)
    view = await feed.until_view(session, lambda view: view["confirmed"])
    assert view["requested"]["instructions"] == "Be brief."
    assert view["confirmed"]["instructions"] == "Be brief."


async def test_settings_are_changed_in_flight(page: Page) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await page.call(session)
    await feed.until_view(session, lambda view: view["confirmed"])
    change = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    await feed.say(
        type="command",
        session=session,
        command={"type": "update", "session": change},
    )

    def is_changed(view: dict[str, Any]) -> bool:
        found: str = view["confirmed"]["audio"]["input"]["turn_detection"]["type"]
        return found == "semantic_vad"

    await feed.until_view(session, is_changed)


async def test_settings_before_the_call_apply_to_it(page: Page) -> None:
    session = (await page.create())["id"]
    change = {"type": "update", "session": {"instructions": "Be kind."}}
    assert (await page.command(session, **change)).status_code == 202
    feed = await page.feed()
    await feed.watch(session)
    await page.call(session)
    view = await feed.until_view(session, lambda view: view["confirmed"])
    assert view["confirmed"]["instructions"] == "Be kind."


async def test_mute_and_volume_are_recorded(page: Page) -> None:
    """The page applies them, the server records them."""
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await page.call(session)
    await feed.until_view(session, lambda view: view["status"] == "open")
    await page.command(session, type="mute", muted=True)
    await page.command(session, type="volume", level=0.25)
    activity = (
        await feed.until_view(session, lambda view: view["activity"]["volume"] < 1)
    )["activity"]
    assert (activity["muted"], activity["volume"]) == (True, 0.25)
    assert (await page.summary(session))["muted"] is True


async def test_cleared_lines_are_hidden(page: Page) -> None:
    session = (await page.create())["id"]
    feed = await talk(page, session)
    await page.command(session, type="clear")
    await feed.until_view(session, lambda view: view["order"] == [])


async def test_an_interruption_stops_the_reply(page: Page) -> None:
    """The audio stops, and the service reports the response as cancelled."""
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await page.call(session)
    await feed.until_view(session, lambda view: view["status"] == "open")
    await page.command(session, type="text", text="tell me the numbers to twenty")
    await feed.until_view(session, lambda view: view["active"])
    await page.command(session, type="interrupt")
    view = await feed.until_view(
        session, lambda view: view["responses"] and not view["active"]
    )
    (response,) = view["responses"].values()
    assert response["status"] == "cancelled"


async def test_a_closed_session_is_hung_up_and_readable(page: Page) -> None:
    session = (await page.create())["id"]
    call = await page.call(session)
    assert (await page.command(session, type="close")).status_code == 202
    async with asyncio.timeout(10):
        await call.closed.wait()
    summary = await page.summary(session)
    assert summary["status"] == "closed"
    late = await page.command(session, type="text", text="hello")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "no_call")


async def test_a_removed_session_is_hung_up_and_gone(page: Page) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    call = await page.call(session)
    assert (await page.http.delete(f"api/sessions/{session}")).status_code == 204
    gone = await feed.until_told("gone")
    assert gone["session"] == session
    async with asyncio.timeout(10):
        await call.closed.wait()
    assert (await page.http.get("api/sessions")).json() == {"sessions": []}


async def test_a_session_has_one_call(page: Page) -> None:
    session = (await page.create())["id"]
    await page.call(session)
    again = await page.offer(session, "v=0\r\n")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "has_call")


async def test_two_sessions_at_once_do_not_mix(page: Page) -> None:
    feed = await page.feed()
    one, other = [(await page.create())["id"] for _ in range(2)]
    for session in (one, other):
        await feed.watch(session)
        await page.call(session)
        await feed.until_view(session, lambda view: view["status"] == "open")
    await page.command(one, type="text", text="hello")
    await page.command(other, type="text", text="count to three")
    await feed.until_view(one, lambda view: lines(view) == GREETED)
    counted = [("user", "count to three"), ("assistant", "One, two, three.")]
    await feed.until_view(other, lambda view: lines(view) == counted)


async def test_a_refused_offer_is_reported(page: Page) -> None:
    session = (await page.create())["id"]
    answer = await page.offer(session, "v=0\r\nthis is none\r\n")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "service_refused"
    summary = await page.summary(session)
    assert summary["status"] == "failed"


async def test_when_the_server_ends_the_calls_are_hung_up(serve: Any) -> None:
    async with serve() as served:
        page = served.page()
        session = (await page.create())["id"]
        call = await page.call(session)
        await served.app.state.registry.aclose()
        async with asyncio.timeout(10):
            await call.closed.wait()
        refused = await page.http.post("api/sessions", json={})
        assert refused.status_code == 503


async def test_a_call_without_a_page_is_hung_up(page: Page, served: Served) -> None:
    """Only after a timeout, because a page can reconnect."""
    session = (await page.create())["id"]
    call = await page.call(session)
    registry, loop = served.app.state.registry, asyncio.get_running_loop()
    feed = await page.feed()
    await feed.watch(session)
    await feed.until_view(session, lambda view: True)
    await registry.sweep(loop.time() + 59)
    assert (await page.summary(session))["status"] == "open"
    await feed.socket.close()
    await registry.sweep(loop.time() + 15)
    assert (await page.summary(session))["status"] == "open"
    await registry.sweep(loop.time() + 21)
    summary = await page.summary(session)
    assert (summary["status"], summary["reason"]) == ("closed", "the page is gone")
    async with asyncio.timeout(10):
        await call.closed.wait()


def relay_of(served: Served, session: str) -> Any:
    """The transport of a session's call."""
    return served.app.state.registry._sessions[session].live.transport


async def test_a_lost_sideband_reconnects(page: Page, served: Served) -> None:
    """The call continues in the same session; a gap is recorded."""
    session = (await page.create())["id"]
    feed = await talk(page, session)
    relay_of(served, session)._sideband._socket.transport.abort()
    answer = await page.command(session, type="text", text="count to three")
    assert answer.status_code == 202, answer.text
    said = [*GREETED, ("user", "count to three"), ("assistant", "One, two, three.")]
    view = await feed.until_view(session, lambda view: lines(view) == said)
    assert (view["status"], view["epoch"]) == ("open", 0)
    path = f"api/sessions/{session}/records?type=duologue.gap"
    (gap,) = (await page.http.get(path)).json()["records"]
    assert gap["src"] == "transport"


async def test_a_sideband_that_cannot_reconnect_ends_the_session(
    page: Page, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the call has ended in the meantime, without long retries."""
    monkeypatch.setattr(_websocket, "CALL_PATIENCE", 0.2)
    session = (await page.create())["id"]
    feed = await talk(page, session)
    relay = relay_of(served, session)
    relay.call_id = "rtc_none"
    relay._sideband._socket.transport.abort()
    view = await feed.until_view(session, lambda view: view["status"] == "failed")
    assert "broke off" in view["reason"]


async def test_a_call_with_tools_of_the_page_is_hung_up(
    page: Page, served: Served
) -> None:
    """A page can send any event on its data channel."""
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    call = await page.call(session)
    await feed.until_view(session, lambda view: view["confirmed"])
    server = {"type": "mcp", "server_label": "x", "server_url": "https://evil.example"}
    update = {"type": "realtime", "tools": [server]}
    call.peer.send(json.dumps({"type": "session.update", "session": update}))
    async with asyncio.timeout(10):
        await call.closed.wait()
    summary = await page.summary(session)
    assert summary["status"] == "closed"
    assert summary["reason"] == "a page gave the call tools, which is not allowed"


@pytest.mark.parametrize("kind", ["mcp_list_tools", "mcp_call", "mcp_approval_request"])
async def test_a_response_with_tools_of_the_page_is_hung_up(
    page: Page, served: Served, kind: str
) -> None:
    """The tools of one response are not confirmed; only their items are seen."""
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    call = await page.call(session)
    await feed.until_view(session, lambda view: view["confirmed"])
    item = {"id": "mcp_1", "type": kind, "server_label": "x"}
    registry = served.app.state.registry
    added = {"type": "conversation.item.added", "event_id": "e", "item": item}
    registry.client.store.feed(session, added, at=registry.clock.now())
    async with asyncio.timeout(10):
        await call.closed.wait()
    summary = await page.summary(session)
    assert summary["reason"] == "a page gave the call tools, which is not allowed"


async def test_our_own_tools_run_here(serve: Any) -> None:
    """Control: tools that the server configured are allowed."""

    async def get_time(city: str) -> str:
        """The time in a city."""
        return f"noon in {city}"

    async with serve(tools=[get_time]) as served:
        page = served.page()
        session = (await page.create())["id"]
        feed = await talk(page, session)
        tools = feed.views[session]["confirmed"]["tools"]
        assert [tool["name"] for tool in tools] == ["get_time"]
        assert (await page.summary(session))["status"] == "open"


@pytest.mark.parametrize(
    "location", ["", "/v1/realtime/calls/../x", "/v1/realtime/calls/sip_1%2f", "rtc_"]
)
async def test_a_call_without_a_valid_id_fails(
    answering: Callable[[bytes], Awaitable[str]], location: str
) -> None:
    """The server could neither observe it nor hang up."""
    base_url = await answering(
        b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\n"
        b"Content-Length: 5\r\nLocation: " + location.encode() + b"\r\n\r\nv=0\r\n"
    )
    app = create_app(base_url=base_url, credentials=Credentials("any"))
    async with serving(app) as url:
        page = Page(url)
        session = (await page.create())["id"]
        answer = await page.offer(session, "v=0\r\n")
        assert answer.status_code == 502
        assert "no id" in answer.json()["error"]["message"]
        assert (await page.summary(session))["status"] == "failed"
        await page.close()


@pytest.mark.parametrize(
    ("status", "told"), [(401, 502), (403, 502), (429, 429), (400, 400), (500, 502)]
)
async def test_a_refusal_of_the_service_is_passed_on(
    answering: Callable[[bytes], Awaitable[str]], status: int, told: int
) -> None:
    """A 401 concerns the server's key: the page gets another status, and no text of
    the service about the key.
    """
    body = '{"error":{"message":"No, indeed, sk-secret"}}'
    base_url = await answering(
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    app = create_app(base_url=base_url, credentials=Credentials("sk-secret"))
    async with serving(app) as url:
        page = Page(url)
        session = (await page.create())["id"]
        answer = await page.offer(session, "v=0\r\n")
        assert answer.status_code == told
        assert answer.json()["error"]["code"] == "service_refused"
        assert "sk-secret" not in answer.text
        log = await page.http.get(f"api/sessions/{session}/log")
        assert "No, indeed" in answer.text + log.text
        assert "sk-secret" not in log.text
        await page.close()


async def test_an_unreachable_service_is_reported() -> None:
    app = create_app(base_url="http://127.0.0.1:9/v1", credentials=Credentials("any"))
    async with serving(app) as url:
        page = Page(url)
        session = (await page.create())["id"]
        answer = await page.offer(session, "v=0\r\n")
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            502,
            "service_unreachable",
        )
        await page.close()


async def test_a_service_that_does_not_answer_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The offer gets a timeout, and a late answer does not open a call."""
    monkeypatch.setattr(web_session, "_CONNECT_TIMEOUT", 0.3)
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(
        lambda reader, writer: writers.append(writer), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    app = create_app(
        base_url=f"http://127.0.0.1:{port}/v1", credentials=Credentials("any")
    )
    async with serving(app) as url:
        page = Page(url)
        session = (await page.create())["id"]
        answer = await page.offer(session, "v=0\r\n")
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            504,
            "service_timeout",
        )
        await page.close()
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_a_command_that_is_not_sent_times_out(
    page: Page, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_session, "_COMMAND_TIMEOUT", 0.2)
    session = (await page.create())["id"]
    await talk(page, session)
    # The sideband is lost, and does not reconnect within the timeout.
    relay_of(served, session)._ready.clear()
    answer = await page.command(session, type="text", text="count to three")
    assert (answer.status_code, answer.json()["error"]["code"]) == (
        504,
        "service_timeout",
    )


async def test_a_failed_hang_up_is_logged(
    page: Page, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreachable service does not delay the command."""
    session = (await page.create())["id"]
    await page.call(session)
    relay = relay_of(served, session)
    relay._target = attrs.evolve(relay._target, base_url="http://127.0.0.1:9/v1")
    assert (await page.command(session, type="close")).status_code == 202
    assert "a call was not hung up: nothing answers" in caplog.text


async def test_an_offer_is_answered_if_its_call_never_begins(
    page: Page, served: Served
) -> None:
    """The session is removed between the offer and the first step of the call."""
    session = (await page.create())["id"]
    registry, caller = served.app.state.registry, Caller("local", "127.0.0.1")
    web_session = registry.session(caller, session)
    placing = asyncio.create_task(registry.call(caller, web_session, "v=0\r\n"))
    # One step: the task of the call exists, and has not run yet.
    await asyncio.sleep(0)
    assert web_session.has_call
    await registry.remove(web_session)
    async with asyncio.timeout(5):
        with pytest.raises(Refused, match="given up"):
            await placing


async def test_an_offer_is_answered_if_the_session_cannot_begin(
    serve: Serve,
) -> None:
    """An error of the application: two tools of one name."""

    def get_time() -> str:
        """The time."""
        return "noon"

    async with serve(tools=[get_time, get_time]) as served:
        page = served.page()
        session = (await page.create())["id"]
        async with asyncio.timeout(5):
            answer = await page.offer(session, "v=0\r\n")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "failed")
        summary = await page.summary(session)
        assert (summary["status"], summary["reason"]) == (
            "failed",
            "unexpected: ValueError",
        )


async def test_settings_sent_while_connecting_are_applied(
    page: Page, served: Served
) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    registry, caller = served.app.state.registry, Caller("local", "127.0.0.1")
    web_session = registry.session(caller, session)
    async with calling() as call:
        placing = asyncio.create_task(
            registry.call(caller, web_session, await call.peer.offer())
        )
        for _ in range(3):
            await asyncio.sleep(0)
        # It has started with the old configuration.
        assert web_session.has_call
        change = {"type": "update", "session": {"instructions": "Be kind."}}
        assert (await page.command(session, **change)).status_code == 202
        model = {"type": "update", "session": {"model": "another"}}
        assert (await page.command(session, **model)).status_code == 422
        await call.peer.accept(await placing)

        def is_changed(view: dict[str, Any]) -> bool:
            return (view["confirmed"] or {}).get("instructions") == "Be kind."

        await feed.until_view(session, is_changed)


async def test_settings_of_a_closed_session_are_refused(page: Page) -> None:
    session = (await page.create())["id"]
    await page.command(session, type="close")
    late = await page.command(session, type="update", session={"instructions": "x"})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "no_call")


async def test_a_session_that_is_removed_while_it_connects(page: Page) -> None:
    session = (await page.create())["id"]
    async with calling() as call:
        placing = asyncio.create_task(page.offer(session, await call.peer.offer()))
        await asyncio.sleep(0.01)
        removed = await page.http.delete(f"api/sessions/{session}")
        assert removed.status_code == 204
        async with asyncio.timeout(10):
            assert (await placing).status_code in (201, 404, 409, 502)
    assert (await page.http.get("api/sessions")).json() == {"sessions": []}
