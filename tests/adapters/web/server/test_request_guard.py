"""The request guard: each threat as a request, with its control."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from duologue.adapters.web import create_app
from duologue.adapters.web.server.web_server import serving
from duologue.transports import Credentials
from duologue.transports.errors import DuologueError, SignallingError

from ..conftest import KEY, Page, Serve, Served

NEAR = ("127.0.0.1", 5000)


def app(**options: Any) -> Starlette:
    options.setdefault("base_url", "http://127.0.0.1:9/v1")
    return create_app(credentials=Credentials(KEY), **options)


@contextlib.asynccontextmanager
async def client(
    application: Starlette, address: Any = NEAR
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application, client=address)
    headers = {"Origin": "http://127.0.0.1", "X-Duologue": "1"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1", headers=headers
    ) as found:
        yield found


async def created(page: httpx.AsyncClient, **headers: str | None) -> httpx.Response:
    """Try to create a session, with headers changed or omitted."""
    sent = {
        **page.headers,
        **{name.replace("_", "-"): v for name, v in headers.items()},
    }
    request = page.build_request("POST", "/api/sessions", json={})
    for name, value in sent.items():
        request.headers.pop(name, None)
        if value is not None:
            request.headers[name] = value
    return await page.send(request)


async def test_the_page_of_this_server_is_allowed() -> None:
    """The control of all other tests."""
    async with client(app()) as page:
        assert (await created(page)).status_code == 201


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1:3000",
        "http://localhost",
        "http://127.0.0.1.evil.example",
        "null",
        "",
        None,
    ],
)
async def test_a_foreign_origin_is_refused_on_post(origin: str | None) -> None:
    """Another port is another origin; a missing origin is refused too."""
    async with client(app()) as page:
        answer = await created(page, Origin=origin)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "wrong_origin"
        assert "access-control-allow-origin" not in answer.headers
        assert (await page.get("/api/sessions")).json() == {"sessions": []}


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:3000", "null", None]
)
async def test_a_foreign_origin_is_refused_on_the_feed(
    served: Served, origin: Any
) -> None:
    url = served.url.replace("http", "ws", 1) + "api/feed"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, origin=origin):
            pass
    assert refused.value.response.status_code == 403
    own: Any = served.url.rstrip("/")
    async with connect(url, origin=own) as socket:
        assert "sessions" in str(await socket.recv())


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "[", "localhost.evil"],
)
async def test_a_wrong_host_is_refused(host: str) -> None:
    """Protects against a foreign name that resolves to this machine."""
    async with client(app()) as page:
        for path in ("/", "/api/config", "/static/duologue.js"):
            answer = await page.get(path, headers={"Host": host})
            assert answer.status_code == 421
        answer = await created(page, Host=host, Origin=f"http://{host}")
        assert answer.status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:80", "[::1]:8765"])
async def test_loopback_names_are_allowed(host: str) -> None:
    async with client(app()) as page:
        answer = await created(page, Host=host, Origin=f"http://{host}")
        assert answer.status_code == 201


async def test_a_post_needs_the_header_that_no_form_can_send() -> None:
    async with client(app()) as page:
        answer = await created(page, X_Duologue=None)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "no_header",
        )


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_post_needs_its_type(kind: str) -> None:
    async with client(app()) as page:
        answer = await created(page, Content_Type=kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            415,
            "wrong_type",
        )


async def test_another_site_reads_nothing_of_the_api() -> None:
    """The browser would hide the response; the server does not send one."""
    async with client(app()) as page:
        for site, status in (
            ("cross-site", 403),
            ("same-site", 403),
            ("same-origin", 200),
            ("none", 200),
        ):
            headers = {"Sec-Fetch-Site": site}
            del page.headers["origin"]
            answer = await page.get("/api/sessions", headers=headers)
            assert answer.status_code == status
            page.headers["origin"] = "http://127.0.0.1"
        foreign = {"Origin": "https://evil.example"}
        assert (await page.get("/api/sessions", headers=foreign)).status_code == 403


@pytest.mark.parametrize("address", [("10.0.0.7", 5000), None, ("testclient", 1)])
async def test_others_are_served_only_with_authentication(address: Any) -> None:
    async with client(app(), address) as page:
        answer = await created(page)
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "not_local",
        )
    known = app(authenticate=lambda request: "ada")
    async with client(known, address) as page:
        assert (await created(page)).status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
        *("X-Forwarded-Server", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP"),
        *("CF-Ray", "True-Client-IP", "X-Client-IP", "X-Cluster-Client-IP"),
        *("Fastly-Client-IP", "X-Original-Host", "X-Envoy-External-Address"),
        *("CDN-Loop", "Fly-Client-IP", "Tailscale-User-Login", "X-Amzn-Trace-Id"),
    ],
)
async def test_a_proxy_is_served_only_with_authentication(header: str) -> None:
    """Requests that a local proxy forwards come from other machines."""
    async with client(app()) as page:
        answer = await page.get("/api/sessions", headers={header: "10.0.0.7"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            403,
            "not_local",
        )


async def test_a_page_of_an_allowed_origin_gets_cors_headers() -> None:
    """The server can also be reached by that name."""
    far = "https://voice.example"
    application = app(allow_origins=[far], authenticate=lambda request: "ada")
    async with client(application, ("10.0.0.7", 5000)) as page:
        own = await created(page, Host="voice.example", Origin=far)
        assert own.status_code == 201
        asks = {
            "Origin": far,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-duologue,content-type",
        }
        may = await page.options("/api/sessions", headers=asks)
        assert may.status_code == 204
        assert may.headers["access-control-allow-origin"] == far
        other = {**asks, "Origin": "https://evil.example"}
        may_not = await page.options("/api/sessions", headers=other)
        assert may_not.status_code == 403
        assert "access-control-allow-origin" not in may_not.headers


async def test_every_response_has_security_headers(page: Page) -> None:
    """No inline scripts, no other origins, no frames; also on refusals."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; media-src 'self' blob: mediastream:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    for path, status in (
        ("", 200),
        ("static/duologue.js", 200),
        ("api/config", 200),
        ("api/nothing", 404),
        ("nothing", 404),
    ):
        answer = await page.http.get(path)
        assert answer.status_code == status
        assert answer.headers["content-security-policy"] == policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["permissions-policy"].startswith("microphone=(self)")


async def test_api_responses_are_not_cached(page: Page) -> None:
    session = (await page.create())["id"]
    for path in (
        "config",
        "sessions",
        f"sessions/{session}/records",
        f"sessions/{session}/view",
        f"sessions/{session}/log",
        "nothing",
    ):
        answer = await page.http.get(f"api/{path}")
        assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize("path", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "/etc"])
async def test_no_file_outside_static_is_served(page: Page, path: str) -> None:
    url = httpx.URL(page.url)
    raw = url.copy_with(raw_path=f"/static/{path}".encode())
    assert (await page.http.get(raw)).status_code == 404


@pytest.mark.parametrize(
    "base_url",
    [
        "http://example.com/v1",
        "https://user:secret@example.com/v1",
        "ftp://example.com/v1",
        "example.com",
    ],
)
def test_an_unsafe_base_url_is_refused(base_url: str) -> None:
    with pytest.raises(SignallingError):
        app(base_url=base_url)


@pytest.mark.parametrize("origin", ["voice.example", "https://x/path", "ws://x", "*"])
def test_an_invalid_origin_is_refused(origin: str) -> None:
    """A typo there would admit no page, or too many."""
    with pytest.raises(DuologueError, match="not an origin"):
        app(allow_origins=[origin])


async def test_no_response_contains_the_key(serve: Serve, caplog: Any) -> None:
    """In successful requests."""
    caplog.set_level("DEBUG")
    async with serve() as served:
        page = served.page()
        session = (await page.create())["id"]
        feed = await page.feed()
        await feed.watch(session)
        await page.call(session)
        await feed.until_view(session, lambda view: view["confirmed"])
        seen = [str(feed.messages), *await answers(page, session)]
    seen.append(caplog.text)
    assert session in "".join(seen)
    assert KEY.removeprefix("sk-") not in "".join(seen)


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_key_quoted_by_the_service_is_redacted(
    answering: Callable[[bytes], Awaitable[str]], status: int, caplog: Any
) -> None:
    """A service may quote the key that it refuses."""
    caplog.set_level("DEBUG")
    body = f'{{"error":{{"message":"Incorrect API key provided: {KEY}."}}}}'
    base_url = await answering(
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    async with serving(app(base_url=base_url)) as url:
        page = Page(url)
        session = (await page.create())["id"]
        feed = await page.feed()
        await feed.watch(session)
        seen = [(await page.offer(session, "v=0\r\n")).text]
        await feed.until_view(session, lambda view: view["status"] == "failed")
        seen += [str(feed.messages), *await answers(page, session)]
        await page.close()
    seen.append(caplog.text)
    assert "Incorrect API key" in "".join(seen)
    assert KEY.removeprefix("sk-") not in "".join(seen)


async def answers(page: Page, session: str) -> list[str]:
    """The responses to all requests."""
    seen = []
    records = f"api/sessions/{session}/records"
    paths = ("", "api/config", "api/sessions", f"api/sessions/{session}/log", records)
    for path in paths:
        answer = await page.http.get(path)
        seen += [answer.text, str(answer.headers)]
    return seen
