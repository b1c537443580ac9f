"""Ownership of sessions, limits, mounting and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus

from duologue.adapters.web import create_app, mount
from duologue.adapters.web.server import routes as api
from duologue.adapters.web.server.web_server import serving
from duologue.adapters.web.sessions.limits import Limits
from duologue.adapters.web.sessions.registry import Caller, Registry
from duologue.core.models import TRANSCRIPTION
from duologue.local import LocalService
from duologue.transports import Credentials
from duologue.transports.contract import Target
from duologue.transports.http.signalling import identification

from ..conftest import KEY, TEXT, Page, Serve, Served

#: Every route about one session.
ROUTES = [
    ("DELETE", ""),
    ("POST", "/offer"),
    ("POST", "/commands"),
    ("GET", "/records"),
    ("GET", "/records/1"),
    ("GET", "/view"),
    ("GET", "/log"),
]


def by_header(request: HTTPConnection) -> str | None:
    """Authenticate by a header."""
    return request.headers.get("x-user")


async def by_header_later(request: HTTPConnection) -> str | None:
    await asyncio.sleep(0)
    return by_header(request)


async def asked(page: Page, way: str, path: str) -> int:
    kind = "application/sdp" if path.endswith("/offer") else "application/json"
    body = "v=0\r\n" if kind == "application/sdp" else '{"type":"clear"}'
    answer = await page.http.request(
        way,
        path,
        content=None if way == "GET" else body,
        headers={"Content-Type": kind},
    )
    return answer.status_code


@pytest.mark.parametrize("authenticate", [by_header, by_header_later])
async def test_nobody_gets_anything(serve: Serve, authenticate: Any) -> None:
    async with serve(authenticate=authenticate, direct=True) as served:
        page, ada = served.page(), served.page(**{"X-User": "ada"})
        session = (await ada.create())["id"]
        for way, path in (
            ("GET", "api/config"),
            ("GET", "api/sessions"),
            ("POST", "api/sessions"),
            ("POST", "api/token"),
            ("POST", "api/import"),
            *((way, f"api/sessions/{session}{path}") for way, path in ROUTES),
        ):
            assert await asked(page, way, path) == 401, path
        with pytest.raises(InvalidStatus) as refused:
            await page.feed()
        assert refused.value.response.status_code == 401


async def test_a_user_gets_nothing_of_anothers(serve: Serve) -> None:
    """Not even whether it exists. Control: the owner."""
    async with serve(authenticate=by_header, direct=True) as served:
        ada = served.page(**{"X-User": "ada"})
        eve = served.page(**{"X-User": "eve"})
        session = (await ada.create())["id"]
        for way, path in ROUTES:
            assert await asked(eve, way, f"api/sessions/{session}{path}") == 404, path
        assert (await eve.http.get("api/sessions")).json() == {"sessions": []}
        token = await eve.http.post("api/token", json={"session": session})
        assert token.status_code == 404

        feed = await eve.feed()
        await feed.watch(session)
        assert (await feed.until_told("gone"))["session"] == session
        command = {"type": "clear"}
        await feed.say(type="command", session=session, command=command)
        await feed.until_told("gone")
        await feed.say(type="report", session=session, nonce="x", records=[])
        await feed.until_told("gone")
        await ada.create()
        told = [m["sessions"] for m in feed.messages if m.get("type") == "sessions"]
        assert told == [[]]

        own = await ada.feed()
        await own.watch(session)
        await own.until_view(session, lambda view: True)


def test_the_service_learns_that_users_differ_and_not_who_they_are() -> None:
    """The header `OpenAI-Safety-Identifier`; it is omitted without authentication."""
    registry = create_app(
        base_url="http://127.0.0.1:9/v1", credentials=Credentials(KEY)
    ).state.registry
    assert isinstance(registry, Registry)
    found = registry.safety_identifier(
        Caller("ada@example.com", "10.0.0.7", known=True)
    )
    expected = hmac.new(KEY.encode(), b"ada@example.com", hashlib.sha256).hexdigest()
    assert found == expected
    assert len(expected) <= 64
    assert registry.safety_identifier(Caller("local", "127.0.0.1")) is None

    target = Target(
        base_url="http://127.0.0.1:9/v1",
        credentials=Credentials("any"),
        session={},
        safety_identifier=found,
    )
    assert identification(target)["OpenAI-Safety-Identifier"] == found


async def test_it_works_where_it_is_mounted(service: LocalService) -> None:
    """Pages, feed and calls work under the path."""
    voice = create_app(base_url=service.base_url, credentials=Credentials(KEY))
    parent = Starlette()
    parent.mount("/voice", voice)
    parent.state.registry = voice.state.registry
    async with serving(parent) as url:
        page = Page(f"{url}voice/", {"Origin": url.rstrip("/")})
        try:
            session = (await page.create())["id"]
            feed = await page.feed()
            await feed.watch(session)
            await page.call(session)
            await feed.until_view(session, lambda view: view["status"] == "open")
            assert (await page.http.get("static/duologue.js")).status_code == 200
            assert (await page.http.get("")).status_code == 200
        finally:
            await page.close()


async def test_mount_ends_it_with_its_parent(service: LocalService) -> None:
    voice = create_app(base_url=service.base_url, credentials=Credentials(KEY))
    parent = Starlette()
    mount(parent, "/voice", voice)
    async with parent.router.lifespan_context(parent):
        assert not voice.state.registry._closing
    assert voice.state.registry._closing


async def test_the_end_of_the_loop_hangs_up_too(served: Served) -> None:
    """Without a lifespan event, because the tasks are cancelled."""
    page = served.page()
    session = (await page.create())["id"]
    call = await page.call(session)
    guardian = served.app.state.registry._sweeper
    guardian.cancel()
    await asyncio.gather(guardian, return_exceptions=True)
    async with asyncio.timeout(10):
        await call.closed.wait()


async def test_a_user_has_so_many_sessions(serve: Serve) -> None:
    """Control: another user may create one."""
    limits = Limits(sessions=2)
    async with serve(authenticate=by_header, limits=limits) as served:
        ada = served.page(**{"X-User": "ada"})
        first = await ada.create()
        await ada.create()
        third = await ada.http.post("api/sessions", json={})
        assert third.status_code == 429
        assert third.json()["error"]["code"] == "too_many_sessions"
        log = '{"dir":"in","event":{"type":"error"}}'
        imported = await ada.http.post(
            "api/import", content=log, headers={"Content-Type": "application/jsonl"}
        )
        assert imported.status_code == 429
        await served.page(**{"X-User": "eve"}).create()
        await ada.http.delete(f"api/sessions/{first['id']}")
        await ada.create()


async def test_an_address_has_so_many_sessions(serve: Serve) -> None:
    """Invented users share one address."""
    limits = Limits(sessions=2, per_address=2)
    async with serve(authenticate=by_header, limits=limits) as served:
        for user in ("a", "a", "b", "b"):
            await served.page(**{"X-User": user}).create()
        fifth = await served.page(**{"X-User": "c"}).http.post("api/sessions", json={})
        assert fifth.json()["error"]["code"] == "too_many_sessions"


@pytest.mark.parametrize(("users", "allowed"), [("aaaa", 3), ("abcdefgh", 6)])
async def test_so_many_are_made_in_a_minute(
    serve: Serve, users: str, allowed: int
) -> None:
    """By a user, and from an address, even if they are removed at once."""
    limits = Limits(starts=3, per_address=2)
    statuses = []
    async with serve(authenticate=by_header, limits=limits) as served:
        for user in users:
            page = served.page(**{"X-User": user})
            answer = await page.http.post("api/sessions", json={})
            statuses.append(answer.status_code)
            if answer.status_code == 201:
                await page.http.delete(f"api/sessions/{answer.json()['id']}")
    refused = len(users) - allowed
    assert statuses == [201] * allowed + [429] * refused


async def test_minutes_are_counted_and_end_a_call(serve: Serve) -> None:
    """For the user, over all calls of 24 hours."""
    async with serve(limits=Limits(minutes=2)) as served:
        page, registry = served.page(), served.app.state.registry
        feed = await page.feed()
        session = (await page.create())["id"]
        await feed.watch(session)
        call = await page.call(session)
        began = registry.session(Caller("local", ""), session).called_at
        await registry.sweep(began + 1)
        await registry.sweep(began + 119)
        assert (await page.summary(session))["status"] == "open"
        await registry.sweep(began + 121)
        summary = await page.summary(session)
        assert summary["reason"] == "all call minutes of the last 24 hours are used up"
        async with asyncio.timeout(10):
            await call.closed.wait()
        another = (await page.create())["id"]
        refused = await page.offer(another, "v=0\r\n")
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            429,
            "no_minutes_left",
        )


async def test_minutes_are_counted_by_address(serve: Serve) -> None:
    """Invented users share one address. Control: the third minute."""
    limits = Limits(minutes=2, per_address=2)
    async with serve(authenticate=by_header, limits=limits) as served:
        registry = served.app.state.registry
        for user in "ab":
            page = served.page(**{"X-User": user})
            session = (await page.create())["id"]
            await page.call(session)
            web_session = registry.session(Caller(user, ""), session)
            web_session.topic.left_at = None
            await registry.sweep(web_session.called_at + 61)
            assert web_session.minutes == 2
            assert (await page.summary(session))["status"] == "open"
            await page.command(session, type="close")
        third = served.page(**{"X-User": "c"})
        session = (await third.create())["id"]
        refused = await third.offer(session, "v=0\r\n")
        assert refused.json()["error"]["code"] == "no_minutes_left"


async def test_a_call_counts_though_it_is_removed_at_once(serve: Serve) -> None:
    """The first minute is counted before the page gets its answer."""
    async with serve(limits=Limits(minutes=1)) as served:
        page = served.page()
        session = (await page.create())["id"]
        await page.call(session)
        await page.http.delete(f"api/sessions/{session}")
        another = (await page.create())["id"]
        refused = await page.offer(another, "v=0\r\n")
        assert refused.json()["error"]["code"] == "no_minutes_left"


async def test_a_call_has_an_end(serve: Serve) -> None:
    async with serve(limits=Limits(call_minutes=5)) as served:
        page, registry = served.page(), served.app.state.registry
        feed = await page.feed()
        session = (await page.create())["id"]
        await feed.watch(session)
        await page.call(session)
        began = registry.session(Caller("local", ""), session).called_at
        await registry.sweep(began + 299)
        assert (await page.summary(session))["status"] == "open"
        await registry.sweep(began + 301)
        summary = await page.summary(session)
        assert (summary["status"], summary["reason"]) == (
            "closed",
            "the limit of a call is 5 minutes",
        )


async def test_an_offer_is_at_most_64_kib(page: Page) -> None:
    session = (await page.create())["id"]
    large = await page.offer(session, "v=0\r\n" + "a" * (64 * 1024))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
    assert (await page.summary(session))["status"] == "connecting"


async def test_what_is_no_offer_does_not_reach_the_service(page: Page) -> None:
    session = (await page.create())["id"]
    for body in ("", "hello", "<script>", "{}", b"v=0\xff"):
        answer = await page.offer(session, body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid_offer"
    assert (await page.summary(session))["status"] == "connecting"


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


async def test_what_a_page_may_not_set_is_refused(page: Page) -> None:
    """Before a call and in one."""
    waiting, calling = [(await page.create())["id"] for _ in range(2)]
    await page.call(calling)
    for config in NOT_TO_BE_SET:
        answer = await page.http.post("api/sessions", json={"config": config})
        assert answer.status_code == 422, config
        for session in (waiting, calling):
            change = await page.command(session, type="update", session=config)
            assert change.status_code == 422, config


async def test_a_page_may_choose_of_the_models(serve: Serve) -> None:
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


async def test_a_page_may_choose_who_writes(serve: Serve) -> None:
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


async def test_what_is_no_command_is_refused(page: Page) -> None:
    session = (await page.create())["id"]
    commands: list[Any] = [
        {"type": "text", "text": ""},
        {"type": "text", "text": "x" * 20_000},
        {"type": "text", "text": "x", "more": 1},
        {"type": "volume", "level": 2},
        {"type": "volume", "level": "x"},
        {"type": "mute"},
        {"type": "nothing"},
        {},
    ]
    for command in commands:
        path = f"api/sessions/{session}/commands"
        answer = await page.http.post(path, json=command)
        assert answer.status_code == 422, command


async def test_what_is_no_json_is_refused(page: Page) -> None:
    kind = {"Content-Type": "application/json"}
    for body in (b"x", b"[]", b'{"title":1}', b'{"more":1}', b"\xff", b"[" * 100_000):
        answer = await page.http.post("api/sessions", content=body, headers=kind)
        assert answer.status_code == 400, body[:10]
        assert answer.json()["error"]["code"] == "invalid_body"
    large = await page.http.post("api/sessions", content=b" " * 200_000, headers=kind)
    assert large.status_code == 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_BODY_TIMEOUT", 0.2)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    kind = {"Content-Type": "application/json"}
    answer = await page.http.post("api/sessions", content=never(), headers=kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "too_slow")


async def test_a_session_that_nobody_wants_any_more_is_forgotten(
    page: Page, served: Served
) -> None:
    """Not a watched session, and not one with a call."""
    wanted, unwanted = [(await page.create())["id"] for _ in range(2)]
    feed = await page.feed()
    await feed.watch(wanted)
    await feed.until_view(wanted, lambda view: True)
    registry, now = served.app.state.registry, asyncio.get_running_loop().time()
    await registry.sweep(now + 3_590)
    assert len((await page.http.get("api/sessions")).json()["sessions"]) == 2
    await registry.sweep(now + 3_610)
    found = (await page.http.get("api/sessions")).json()["sessions"]
    assert [one["id"] for one in found] == [wanted]
    assert unwanted not in registry.client.sessions


async def test_a_user_has_so_many_feeds(serve: Serve) -> None:
    async with serve(authenticate=by_header, limits=Limits(feeds=2)) as served:
        ada = served.page(**{"X-User": "ada"})
        for _ in range(2):
            await ada.feed()
        with pytest.raises(InvalidStatus) as refused:
            await ada.feed()
        assert refused.value.response.status_code == 429
        await served.page(**{"X-User": "eve"}).feed()


async def test_a_connection_that_asks_for_nothing_is_cut(
    served: Served, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection is closed. Control: one with requests stays."""
    monkeypatch.setattr("duologue.local.server.listener._HEAD_PATIENCE", 0.3)
    url = httpx.URL(page.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(5):
            assert await reader.read() == b""
    writer.close()
    assert (await page.http.get("api/config")).status_code == 200


async def test_a_fault_of_ours_says_nothing_of_itself(
    served: Served, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(caller: Caller) -> None:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(served.app.state.registry, "sessions_of", fail)
    answer = await page.http.get("api/sessions")
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {"code": "failed", "message": "the server failed"}
    }


@pytest.mark.parametrize("missing", ["starlette", "limits", "websockets", "httpx"])
def test_what_is_not_installed_is_named_by_its_extra(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
try:
    import duologue.adapters.web
except ImportError as error:
    print(type(error).__name__, error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("MissingExtra the web page needs")
    assert "pip install 'duologue[web]'" in run.stdout


MOUNTED = """
import sys
import uvicorn
from starlette.applications import Starlette
from duologue.adapters.web import create_app, mount
from duologue.transports import Credentials

app = Starlette()
voice = create_app(base_url=sys.argv[1], credentials=Credentials("any"))
HOW
config = uvicorn.Config(app, port=0, log_level="info", ws="websockets-sansio")
uvicorn.Server(config).run()
"""


@pytest.mark.parametrize(
    ("how", "number"),
    [
        ('mount(app, "/voice", voice)', signal.SIGTERM),
        ('mount(app, "/voice", voice)', signal.SIGINT),
        ('app.mount("/voice", voice)', signal.SIGINT),
    ],
)
async def test_a_process_that_ends_hangs_up(
    service: LocalService, how: str, number: signal.Signals
) -> None:
    """A plain Starlette mount runs no lifespan of the mounted application. Ctrl-C ends
    the event loop, which hangs up.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", MOUNTED.replace("HOW", how), service.base_url),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"running on" not in (line := await process.stderr.readline()):
            assert line, "it ended"
    origin = line.decode().partition("running on ")[2].partition(" ")[0]
    page = Page(f"{origin}/voice/", {"Origin": origin})
    try:
        session = (await page.create())["id"]
        call = await page.call(session)
        process.send_signal(number)
        async with asyncio.timeout(15):
            await call.closed.wait()
            await process.communicate()
    finally:
        await page.close()
        if process.returncode is None:
            process.kill()
            await process.wait()
