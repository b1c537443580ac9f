"""The page's client: microphone, calls and handlers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from .visit import Served, Visit, visiting

pytestmark = [pytest.mark.realtime, pytest.mark.deep]

#: Records the page's peers, channels and microphones.
_KEEP = """
window.kept = { peers: [], channels: [], tracks: [], replaced: [] };
const Peer = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Peer {
  constructor(...options) {
    super(...options);
    kept.peers.push(this);
  }
  createDataChannel(...options) {
    const channel = super.createDataChannel(...options);
    kept.channels.push(channel);
    return channel;
  }
};
const { replaceTrack } = RTCRtpSender.prototype;
RTCRtpSender.prototype.replaceTrack = function (track) {
  kept.replaced.push(track.enabled);
  return replaceTrack.call(this, track);
};
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const stream = await ask(wanted);
  kept.tracks.push(...stream.getTracks());
  return stream;
};
"""

_LIVE = "() => kept.tracks.at(-1).enabled"


async def status(visit: Visit) -> str:
    """The status of the first session on the server."""
    found: str = (await visit.api("sessions"))["sessions"][0]["status"]
    return found


async def until_closed(visit: Visit) -> None:
    async with asyncio.timeout(8):
        while await status(visit) != "closed":
            await asyncio.sleep(0.1)


def closes(frames: list[Any]) -> list[str]:
    """The sessions for which the page sent `close` over its feed."""
    told = [json.loads(frame) for frame in frames]
    return [it["session"] for it in told if it.get("command") == {"type": "close"}]


async def test_hanging_up_needs_no_server(served: Served) -> None:
    """The microphone stops at once; the server gets the command when it is back."""
    async with visiting(served, script=_KEEP) as visit:
        page = visit.page
        away = False
        sockets: list[Any] = []
        told: list[Any] = []

        async def between(socket: Any) -> None:
            if away:
                await socket.close()
                return
            server = socket.connect_to_server()
            sockets.append((socket, server))

            def on(text: str) -> None:
                told.append(text)
                server.send(text)

            socket.on_message(on)

        async def refuse(route: Any) -> None:
            await route.abort("connectionrefused")

        await page.route_web_socket("**/api/feed", between)
        await page.reload()
        await visit.start()
        away = True
        await page.route("**/commands", refuse)
        for side in sockets[-1]:
            await side.close()
        await page.get_by_role("alert").filter(has_text="is lost").wait_for()
        await page.get_by_role("button", name="Hang up").click()
        await page.locator(".callbar").wait_for(state="detached")
        assert await page.evaluate(
            "() => [kept.peers[0].connectionState, kept.tracks[0].readyState]"
        ) == ["closed", "ended"]
        away = False
        await page.wait_for_selector(".link.open")
        await until_closed(visit)
        assert closes(told) == [await visit.session()]
        visit.forget_outage()


async def test_muted_before_the_server_knows_and_live_only_after(
    served: Served,
) -> None:
    """While the page shows muted, no audio is sent, also from another microphone."""
    async with visiting(served, script=_KEEP) as visit:
        page = visit.page
        held: asyncio.Queue[Any] = asyncio.Queue()
        await visit.start()
        await page.route("**/commands", held.put)
        label: Callable[[str], Any] = lambda name: page.get_by_role(  # noqa: E731
            "button", name=name, exact=True
        )
        await label("Mute").click()
        refused = await held.get()
        assert await page.evaluate(_LIVE) is False
        # Refused: it is unmuted again, as the page shows.
        await refused.abort("connectionrefused")
        await page.wait_for_function(_LIVE)
        visit.forget_outage()
        await label("Mute").click()
        await (await held.get()).continue_()
        await label("Unmute").wait_for()
        await page.get_by_role("tab", name="Sound").click()
        await page.get_by_role("switch", name="Echo cancellation").uncheck()
        await page.wait_for_function("() => kept.replaced.length === 1")
        assert await page.evaluate("() => kept.replaced") == [False]
        assert await page.evaluate(_LIVE) is False
        await label("Unmute").click()
        asked = await held.get()
        assert await page.evaluate(_LIVE) is False
        await asked.continue_()
        await page.wait_for_function(_LIVE)
        await page.unroute("**/commands")


async def test_a_call_that_ends_by_itself_is_told(served: Served) -> None:
    """Over the feed, so that the server does not have to detect it."""
    async with visiting(served, script=_KEEP) as visit:
        page = visit.page
        frames: list[Any] = []
        page.on(
            "websocket", lambda it: it.on("framesent", lambda text: frames.append(text))
        )
        await page.reload()
        await visit.start("Type, do not speak")
        assert closes(frames) == []
        await page.evaluate("() => kept.channels[0].close()")
        await until_closed(visit)
        assert closes(frames) == [await visit.session()]


async def test_closing_the_client_hangs_up(served: Served) -> None:
    async with visiting(served, script=_KEEP) as visit:
        asked: list[Any] = []
        visit.page.on("request", lambda it: asked.append(it))
        session = await visit.page.evaluate(
            """async () => {
              const { connect } = await import("/static/duologue.js");
              const client = connect();
              const { id } = await client.create();
              await client.call(id);
              client.close();
              return id;
            }"""
        )
        await until_closed(visit)
        told = [it.post_data for it in asked if it.url.endswith(f"{session}/commands")]
        assert told == ['{"type":"close"}']
        assert await visit.page.evaluate("() => kept.peers[0].connectionState") == (
            "closed"
        )


async def test_a_handler_that_throws_loses_nothing(served: Served) -> None:
    """Its exception is logged, and the view continues to follow the server's."""
    async with visiting(served) as visit:
        page = visit.page
        await visit.start("Type, do not speak")
        await page.evaluate(
            """async () => {
              const { connect } = await import("/static/duologue.js");
              const onView = () => { throw new Error("of this handler"); };
              const session = document.querySelector("main").dataset.session;
              window.other = connect({ session, onView });
              while (!other.known(session)) await new Promise((r) => setTimeout(r, 20));
            }"""
        )
        await page.get_by_label("Type a message").fill("Can you hear me?")
        await page.keyboard.press("Enter")
        await visit.until_lines(2)
        told = (await visit.api(f"sessions/{await visit.session()}/view"))["view"]
        await page.wait_for_function(
            "([id, items]) => JSON.stringify(other.known(id).view.items) === items",
            arg=[
                await visit.session(),
                json.dumps(told["items"], separators=(",", ":"), ensure_ascii=False),
            ],
        )
        assert {it.splitlines()[0] for it in visit.wrong} == {
            "console error: Error: of this handler"
        }
        visit.wrong.clear()


@contextlib.asynccontextmanager
async def elsewhere() -> AsyncIterator[str]:
    """The origin of an empty page of another server."""
    body = b"<!doctype html><link rel=icon href=data:,>"
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n"

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture
async def shared() -> AsyncIterator[tuple[Served, str]]:
    """A server, and another origin whose pages may use it."""
    async with elsewhere() as origin:
        server = Served(("--allow-origin", origin))
        await server.start()
        yield server, origin
        await server.stop()


async def test_a_page_of_another_origin_sends_its_cookies(
    shared: tuple[Served, str],
) -> None:
    """Authentication by a cookie works there too."""
    served, origin = shared
    async with visiting(served) as visit:
        page = visit.page
        cookie = {"name": "who", "value": "me", "url": served.url}
        await page.context.add_cookies([cookie])
        await page.goto(origin)
        async with page.expect_request("**/api/config") as asked:
            mode = await page.evaluate(
                """async (url) => {
                  const { connect } = await import(`${url}static/duologue.js`);
                  const client = connect({ base: url });
                  const { mode } = await client.config();
                  client.close();
                  return mode;
                }""",
                served.url,
            )
        headers = await (await asked.value).all_headers()
        assert (mode, headers.get("cookie")) == ("relay", "who=me")
