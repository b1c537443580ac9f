"""The server of the page, the local service behind it, and pages without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from websockets.asyncio.client import ClientConnection, connect

from duologue.adapters.web import create_app
from duologue.adapters.web.server.web_server import serving
from duologue.core import apply
from duologue.local import LocalService, Parts
from duologue.transports import Credentials
from duologue.transports.drivers.webrtc.peer import Peer

#: A key that must not appear in any response, log or message.
KEY = "sk-never-to-be-seen-0123456789"
TEXT = {"output_modalities": ["text"]}


def by_header(request: HTTPConnection) -> str | None:
    """Authenticate by a header."""
    return request.headers.get("x-user")


class Page:
    """A page without a browser: its requests and its feed."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        origin = url.rstrip("/")
        self.url = url
        self.headers = {"Origin": origin, "X-Duologue": "1", **(headers or {})}
        self.http = httpx.AsyncClient(base_url=url, headers=self.headers, timeout=20)
        self.exit = contextlib.AsyncExitStack()

    async def create(self, **body: Any) -> dict[str, Any]:
        body.setdefault("config", TEXT)
        answer = await self.http.post("api/sessions", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def call(self, session: str) -> Call:
        """Place the call of a session."""
        call = await self.exit.enter_async_context(calling())
        offer = await call.peer.offer()
        answer = await self.offer(session, offer)
        assert answer.status_code == 201, answer.text
        await call.peer.accept(answer.text)
        await call.peer.wait_open()
        return call

    async def offer(self, session: str, offer: str | bytes) -> httpx.Response:
        return await self.http.post(
            f"api/sessions/{session}/offer",
            content=offer,
            headers={"Content-Type": "application/sdp"},
        )

    async def command(self, session_id: str, **command: Any) -> httpx.Response:
        path = f"api/sessions/{session_id}/commands"
        return await self.http.post(path, json=command)

    async def summary(self, session: str) -> dict[str, Any]:
        found = (await self.http.get("api/sessions")).json()["sessions"]
        return next(one for one in found if one["id"] == session)

    async def feed(self, **options: Any) -> Feed:
        """Open a feed."""
        url = self.url.replace("http", "ws", 1) + "api/feed"
        headers = {k: v for k, v in self.headers.items() if k != "Origin"}
        origin: Any = self.headers.get("Origin")
        socket = await self.exit.enter_async_context(
            connect(
                url,
                origin=origin,
                additional_headers=headers,
                compression=None,
                max_size=None,
                **options,
            )
        )
        return Feed(socket)

    async def close(self) -> None:
        await self.exit.aclose()
        await self.http.aclose()


@attrs.define
class Call:
    """The browser's end of a call."""

    peer: Peer
    events: list[dict[str, Any]]
    closed: asyncio.Event


@contextlib.asynccontextmanager
async def calling() -> AsyncIterator[Call]:
    events: list[dict[str, Any]] = []
    closed = asyncio.Event()
    peer = Peer(
        on_message=lambda text: events.append(json.loads(text)),
        on_packet=None,
        next_audio=None,
        on_closed=lambda reason: closed.set(),
        loopback=True,
    )
    try:
        yield Call(peer, events, closed)
    finally:
        await peer.close()


class Feed:
    """The feed of a page. It applies patches and folds nothing."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.views: dict[str, Any] = {}
        self.seqs: dict[str, int] = {}
        self.messages: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def watch(self, session: str, **more: Any) -> None:
        await self.say(type="watch", session=session, **more)

    async def read(self) -> None:
        """Read one message, or an array of several."""
        found = json.loads(await self.socket.recv())
        for message in found if isinstance(found, list) else [found]:
            self.take(message)

    def take(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if message.get("type") == "view":
            self.views[message["session"]] = message["view"]
            self.seqs[message["session"]] = message["seq"]
        elif "p" in message:
            name = message["s"]
            self.views[name] = apply(self.views[name], message["p"])
            self.seqs[name] = message["n"]

    async def until(self, found: Callable[[], Any], timeout: float = 15) -> Any:
        """Read until this is true."""
        async with asyncio.timeout(timeout):
            while not (value := found()):
                await self.read()
        return value

    async def until_view(
        self, session: str, found: Callable[[dict[str, Any]], Any], timeout: float = 15
    ) -> dict[str, Any]:
        """Read until the view of a session satisfies a condition."""

        def look() -> Any:
            return session in self.views and found(self.views[session])

        await self.until(look, timeout)
        view: dict[str, Any] = self.views[session]
        return view

    async def until_told(self, kind: str) -> dict[str, Any]:
        """Read until the next message of a type."""
        seen = len(self.messages)

        def look() -> dict[str, Any] | None:
            new = self.messages[seen:]
            return next((m for m in new if m.get("type") == kind), None)

        found: dict[str, Any] = await self.until(look)
        return found


def lines(view: dict[str, Any]) -> list[tuple[str, str]]:
    """The role and text of each item."""
    items = [view["items"][name] for name in view["order"]]
    return [
        (
            item["role"],
            "".join(text for part in item["parts"] for text in part["chunks"]),
        )
        for item in items
    ]


@pytest.fixture
async def service() -> AsyncIterator[LocalService]:
    """The local service without speech: it answers typed turns."""
    async with LocalService(parts=Parts()) as running:
        yield running


@attrs.define
class Served:
    """The server of the page, and the pages that use it."""

    url: str
    app: Starlette
    pages: list[Page]

    def page(self, **headers: str) -> Page:
        page = Page(self.url, headers)
        self.pages.append(page)
        return page


Serve = Callable[..., contextlib.AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(service: LocalService) -> Serve:
    """``async with serve(direct=True) as served``: the application on a port."""

    @contextlib.asynccontextmanager
    async def started(**options: Any) -> AsyncIterator[Served]:
        app = create_app(
            base_url=service.base_url, credentials=Credentials(KEY), **options
        )
        async with serving(app) as url:
            served = Served(url, app, [])
            try:
                yield served
            finally:
                for page in served.pages:
                    await page.close()

    return started


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as running:
        yield running


@pytest.fixture
async def page(served: Served) -> Page:
    return served.page()
