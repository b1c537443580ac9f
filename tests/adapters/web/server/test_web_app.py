"""Authentication, ownership of sessions, mounting and shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from websockets.exceptions import InvalidStatus

from duologue.adapters.web import create_app, mount
from duologue.adapters.web.server.web_server import serving
from duologue.adapters.web.sessions.registry import Caller
from duologue.local import LocalService
from duologue.transports import Credentials, SignallingError

from ..conftest import KEY, Page, Serve, Served, by_header

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
async def test_unauthenticated_requests_are_refused(
    serve: Serve, authenticate: Any
) -> None:
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


async def test_a_user_cannot_reach_sessions_of_another(serve: Serve) -> None:
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


async def test_mount_hangs_up_when_the_parent_ends(service: LocalService) -> None:
    voice = create_app(base_url=service.base_url, credentials=Credentials(KEY))
    parent = Starlette()
    mount(parent, "/voice", voice)
    async with parent.router.lifespan_context(parent):
        assert not voice.state.registry._closing
    assert voice.state.registry._closing


async def test_a_connection_without_requests_is_closed(
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


async def test_an_unexpected_error_reveals_nothing(
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
def test_a_missing_library_is_named_with_its_extra(missing: str) -> None:
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
from duologue.transports import Credentials, SignallingError

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


def test_a_provider_without_webrtc_is_refused() -> None:
    """Browsers could not connect to it; an unknown provider is refused, too."""
    with pytest.raises(SignallingError, match="the provider xai has no calls"):
        create_app(provider="xai")
    with pytest.raises(ValueError, match="unknown provider"):
        create_app(provider="xay")
