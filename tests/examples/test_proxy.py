"""The proxy of the embedding guide, over real WebSockets, in both directions."""

from __future__ import annotations

import asyncio
import json
import runpy
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from duologue.core import Session, SessionStatus, Store, select_transcripts
from duologue.local import LocalService, Parts

from ..e2e.relays import TcpRelay

EXAMPLE = Path(__file__).parents[2] / "examples" / "proxy.py"


@attrs.frozen
class Rig:
    """The proxy, its store, and the relay to the service that a test can cut."""

    address: str
    store: Store
    relay: TcpRelay

    @property
    def session(self) -> Session:
        """The session of the call."""
        session = self.store.session("call")
        assert session is not None
        return session

    def browser(self) -> connect:
        """A connection like that of a browser."""
        return connect(f"ws://{self.address}/calls/call")

    def lines(self) -> list[tuple[str | None, str]]:
        """The transcript of the call."""
        return [(line.role, line.text) for line in select_transcripts(self.session)]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The local service behind a relay, and the proxy in front of both."""
    store = Store()
    async with LocalService(parts=Parts()) as service:
        port = httpx.URL(service.base_url).port
        assert port is not None
        async with TcpRelay(port) as relay:
            url = f"ws://127.0.0.1:{relay.port}/v1/realtime?model=local"
            make_app = runpy.run_path(str(EXAMPLE))["make_app"]
            app = make_app(url, "sk-test", store)
            listener = socket.create_server(("127.0.0.1", 0))
            server = uvicorn.Server(
                uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2)
            )
            running = asyncio.create_task(server.serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            host, port = listener.getsockname()[:2]
            yield Rig(f"{host}:{port}", store, relay)
            server.should_exit = True
            await running
            listener.close()


async def ask(browser: ClientConnection, text: str) -> str:
    """The text of the reply to a typed message."""
    item = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }
    await browser.send(json.dumps({"type": "conversation.item.create", "item": item}))
    response = {"output_modalities": ["text"]}
    await browser.send(json.dumps({"type": "response.create", "response": response}))
    done = await received(browser, "response.done")
    (output,) = done["response"]["output"]
    return str(output["content"][0]["text"])


async def received(browser: ClientConnection, type: str) -> Any:
    """The next event of this type."""
    async with asyncio.timeout(10):
        while True:
            event = json.loads(await browser.recv())
            if event["type"] == type:
                return event


async def until(rig: Rig, status: SessionStatus) -> None:
    """Wait for this status of the session."""
    async with asyncio.timeout(10):
        while rig.session.connection.status is not status:
            await asyncio.sleep(0.01)


async def test_two_turns_over_two_connections(rig: Rig) -> None:
    """The connection to the service is cut between them: the transcript is whole."""
    async with rig.browser() as browser:
        created = await received(browser, "session.created")
        first = await ask(browser, "Good morning.")
        rig.relay.reset()
        again = await received(browser, "session.created")
        second = await ask(browser, "And good night.")
        async with httpx.AsyncClient() as client:
            response = await client.get(f"http://{rig.address}/calls/call/transcript")

    assert again["session"]["id"] != created["session"]["id"]
    assert first
    assert second
    assert rig.lines() == [
        ("user", "Good morning."),
        ("assistant", first),
        ("user", "And good night."),
        ("assistant", second),
    ]
    assert response.json() == [{"role": r, "text": text} for r, text in rig.lines()]
    session = rig.session
    assert session.connection.epoch == 1
    assert [
        session.items[key].placement.epoch for key in session.conversation.order
    ] == [*(0, 0, 1, 1)]
    assert [it.kind for it in session.problems] == ["disconnected"]
    assert session.dedup.duplicate == 0
    assert {it.status for it in session.responses.by_id.values()} == {"completed"}


async def test_a_turn_sent_while_the_service_is_gone(rig: Rig) -> None:
    """It is sent on the next connection, after the conversation."""
    async with rig.browser() as browser:
        await received(browser, "session.created")
        first = await ask(browser, "One.")
        rig.relay.passes.clear()
        rig.relay.reset()
        await until(rig, SessionStatus.FAILED)
        asking = asyncio.create_task(ask(browser, "Two."))
        await asyncio.sleep(0.1)
        rig.relay.passes.set()
        second = await asking
    assert rig.lines() == [
        ("user", "One."),
        ("assistant", first),
        ("user", "Two."),
        ("assistant", second),
    ]


async def test_a_browser_that_comes_back(rig: Rig) -> None:
    """Its call goes on with the next epoch, and ends closed."""
    for text in ("One.", "Two.", "Three."):
        async with rig.browser() as browser:
            await ask(browser, text)
    await until(rig, SessionStatus.CLOSED)
    assert rig.session.connection.epoch == 2
    assert [text for role, text in rig.lines() if role == "user"] == [
        *("One.", "Two.", "Three.")
    ]
    assert rig.session.problems == ()
