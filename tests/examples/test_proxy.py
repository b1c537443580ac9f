"""The proxy of the embedding guide, over real WebSockets, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import runpy
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from duologue.core import Session, SessionStatus, Store, select_transcripts
from duologue.local import LocalService, Options, Parts

from ..e2e.relays import TcpRelay

EXAMPLE = Path(__file__).parents[2] / "examples" / "proxy.py"


@attrs.frozen
class Rig:
    """The proxy and its store."""

    address: str
    store: Store

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


@contextlib.asynccontextmanager
async def proxy(url: str) -> AsyncIterator[Rig]:
    """The proxy in front of the service with this URL."""
    store = Store()
    app = runpy.run_path(str(EXAMPLE))["make_app"](url, "sk-test", store)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2)
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    host, port = listener.getsockname()[:2]
    try:
        yield Rig(f"{host}:{port}", store)
    finally:
        server.should_exit = True
        await running
        listener.close()


@pytest.fixture
async def relay() -> AsyncIterator[TcpRelay]:
    """A connection to the local service that a test can cut."""
    options = Options(pace=50.0)
    async with LocalService(options=options, parts=Parts()) as service:
        port = httpx.URL(service.base_url).port
        assert port is not None
        async with TcpRelay(port) as relay:
            yield relay


@pytest.fixture
async def rig(relay: TcpRelay) -> AsyncIterator[Rig]:
    """The proxy in front of the local service."""
    url = f"ws://127.0.0.1:{relay.port}/v1/realtime?model=local"
    async with proxy(url) as rig:
        yield rig


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


async def test_two_turns_over_two_connections(rig: Rig, relay: TcpRelay) -> None:
    """The connection to the service is cut between them: the transcript is whole."""
    async with rig.browser() as browser:
        created = await received(browser, "session.created")
        first = await ask(browser, "Good morning.")
        relay.reset()
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


async def test_a_turn_sent_while_the_service_is_gone(rig: Rig, relay: TcpRelay) -> None:
    """It is sent on the next connection, after the conversation, and once."""
    sent: list[str] = []
    rig.store.subscribe(
        lambda before, record, after: (
            sent.append(str(record.frame)) if record.dir == "out" else None
        )
    )
    async with rig.browser() as browser:
        await received(browser, "session.created")
        first = await ask(browser, "One.")
        relay.passes.clear()
        relay.reset()
        await until(rig, SessionStatus.RECONNECTING)
        asking = asyncio.create_task(ask(browser, "Two."))
        await asyncio.sleep(0.1)
        relay.passes.set()
        second = await asking
    assert len(set(sent)) == len(sent)
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


async def test_a_browser_that_leaves_while_the_service_is_gone(
    rig: Rig, relay: TcpRelay
) -> None:
    """Its call ends at once."""
    async with rig.browser() as browser:
        await ask(browser, "One.")
        relay.passes.clear()
        relay.reset()
        await until(rig, SessionStatus.RECONNECTING)
    await until(rig, SessionStatus.CLOSED)
    assert rig.session.connection.dialing is None


async def test_a_connection_that_expires() -> None:
    """It is replaced before, without a gap and without a problem."""
    options = Options(pace=50.0, life=3.0)
    async with LocalService(options=options, parts=Parts()) as service:
        url = service.base_url.replace("http", "ws") + "/realtime?model=local"
        async with proxy(url) as rig, rig.browser() as browser:
            await ask(browser, "One.")
            async with asyncio.timeout(10):
                while rig.session.connection.epoch == 0:
                    await asyncio.sleep(0.01)
            await ask(browser, "Two.")
    assert [text for role, text in rig.lines() if role == "user"] == ["One.", "Two."]
    assert len(rig.lines()) == 4
    assert rig.session.problems == ()


async def test_a_page_that_is_loaded_again(rig: Rig) -> None:
    """It takes over the call of the one before, which is closed."""
    async with rig.browser() as first:
        await ask(first, "One.")
        async with rig.browser() as second:
            await ask(second, "Two.")
            with pytest.raises(ConnectionClosed):
                await received(first, "nothing")
    assert first.close_code == 1000
    assert [text for role, text in rig.lines() if role == "user"] == ["One.", "Two."]
    assert rig.session.problems == ()


@pytest.mark.parametrize("frame", ["", "[]", "{", "[" * 100_000, '{"type":"error"}'])
async def test_a_frame_that_is_no_client_event(rig: Rig, frame: str) -> None:
    """The browser gets an error, and its call goes on."""
    async with rig.browser() as browser:
        await received(browser, "session.created")
        await browser.send(frame)
        error = (await received(browser, "error"))["error"]
        await ask(browser, "One.")
    assert error["type"] == "invalid_request_error"
    assert rig.session.problems == ()


@contextlib.asynccontextmanager
async def scripted(
    handle: Callable[[ServerConnection], Awaitable[None]],
) -> AsyncIterator[Rig]:
    """The proxy in front of a service that handles each connection so."""
    async with serve(handle, "127.0.0.1", 0) as service:
        port = service.sockets[0].getsockname()[1]
        async with proxy(f"ws://127.0.0.1:{port}") as rig:
            yield rig


@pytest.mark.parametrize(
    ("code", "why", "shown"),
    [(1000, "enough", 1000), (4000, "no such model", 1011), (4000, "é" * 60, 1011)],
)
async def test_a_service_that_closes_at_once(code: int, why: str, shown: int) -> None:
    """It is not asked again if its code says so; the browser gets the reason."""
    accepted = 0

    async def handle(connection: ServerConnection) -> None:
        nonlocal accepted
        accepted += 1
        await connection.close(code, why)

    async with scripted(handle) as rig, rig.browser() as browser:
        with pytest.raises(ConnectionClosed):
            await received(browser, "nothing")
    assert (browser.close_code, browser.close_reason, accepted) == (shown, why, 1)


async def test_a_service_that_is_lost_again_and_again() -> None:
    """The attempts have delays, which grow."""
    accepted: list[float] = []

    async def handle(connection: ServerConnection) -> None:
        accepted.append(time.monotonic())
        await connection.close(1012)

    async with scripted(handle) as rig, rig.browser(), asyncio.timeout(10):
        while len(accepted) < 4:
            await asyncio.sleep(0.01)
    # At least half of 0.2 and of 0.4 seconds.
    assert accepted[3] - accepted[0] >= 0.3


async def test_a_service_that_sends_nothing_first() -> None:
    """It gets the events of the browser, on each connection."""
    got: list[list[str]] = []

    async def handle(connection: ServerConnection) -> None:
        got.append([])
        async for frame in connection:
            got[-1].append(json.loads(frame)["type"])
            if len(got) == 1:
                await connection.close(1012)

    async with scripted(handle) as rig, rig.browser() as browser:
        await browser.send('{"type":"input_audio_buffer.commit"}')
        async with asyncio.timeout(10):
            while len(got) < 2:
                await asyncio.sleep(0.01)
            await browser.send('{"type":"input_audio_buffer.commit"}')
            while not got[1]:
                await asyncio.sleep(0.01)
    assert got == [["input_audio_buffer.commit"]] * 2


def message(item_id: str) -> str:
    """The event that adds a message of the user."""
    content = [{"type": "input_text", "text": item_id}]
    item = {"id": item_id, "type": "message", "role": "user", "content": content}
    return json.dumps({"type": "conversation.item.create", "item": item})


async def test_a_service_that_refuses_a_restored_item() -> None:
    """The items behind it are restored all the same."""
    accepted: list[list[str]] = []

    async def handle(connection: ServerConnection) -> None:
        items: list[str] = []
        accepted.append(items)
        number = len(accepted)
        created = {"type": "realtime", "id": f"sess_{number}"}
        await send(connection, type="session.created", session=created)
        async for frame in connection:
            event = json.loads(frame)
            item, previous = event["item"], event.get("previous_item_id")
            is_known = previous in (None, "root", *items)
            if number == 2 and (item["id"] == "one" or not is_known):
                code = "invalid_value" if is_known else "item_not_found"
                error = {"code": code, "event_id": event["event_id"], "message": "no"}
                await send(connection, type="error", error=error)
                continue
            await send(
                connection,
                type="conversation.item.added",
                item=item,
                previous_item_id=items[-1] if items else None,
            )
            items.append(item["id"])
            if number == 1 and len(items) == 3:
                await connection.close(1012)

    async with scripted(handle) as rig, rig.browser() as browser:
        for item_id in ("one", "two", "three"):
            await browser.send(message(item_id))
        async with asyncio.timeout(10):
            while len(accepted) < 2 or len(accepted[1]) < 2:
                await asyncio.sleep(0.01)
    assert accepted == [["one", "two", "three"], ["two", "three"]]


async def send(connection: ServerConnection, **event: Any) -> None:
    await connection.send(json.dumps(event))
