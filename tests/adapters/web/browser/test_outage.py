"""Loss of the feed, and a restart of the server."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from .visit import Served, visiting

pytestmark = [pytest.mark.realtime, pytest.mark.deep]


async def test_the_feed_is_cut_and_resumed(served: Served) -> None:
    """It reconnects after the last record, and nothing is lost."""
    async with visiting(served) as visit:
        page = visit.page
        sockets: list[Any] = []
        said: list[dict[str, Any]] = []

        async def between(socket: Any) -> None:
            server = socket.connect_to_server()
            sockets.append((socket, server))

            def on(text: str) -> None:
                said.append(json.loads(text))
                server.send(text)

            socket.on_message(on)

        await page.route_web_socket("**/api/feed", between)
        await page.reload()
        await page.wait_for_selector(".link.open")
        await visit.start("Type, do not speak")
        await page.get_by_label("Type a message").fill("count from one to thirty")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".line.assistant .text.live")
        # In the middle of the reply.
        for side in sockets[0]:
            await side.close()
        await page.get_by_role("alert").filter(has_text="is lost").wait_for()
        await page.wait_for_selector(".link.open")
        await page.locator(".banner.outage").wait_for(state="detached")
        watches = [it for it in said if it["type"] == "watch"]
        assert "since" not in watches[0]
        assert watches[-1]["since"] > 0
        await visit.until_lines(2)
        assert (await visit.lines())[1][1].lower().endswith("twenty nine, thirty.")
        # The page shows the server's view.
        told = await visit.api(f"sessions/{await visit.session()}/view")
        said_there = [
            "".join(part["chunks"])
            for item in told["view"]["order"]
            for part in told["view"]["items"][item]["parts"]
        ]
        assert [text for _, text in await visit.lines()] == said_there


async def test_the_server_is_started_anew(served: Served) -> None:
    """The outage is announced, the transcript stays, a new conversation can begin."""
    async with visiting(served) as visit:
        page = visit.page
        await visit.start("Type, do not speak")
        await page.get_by_label("Type a message").fill("Can you hear me?")
        await page.keyboard.press("Enter")
        await visit.until_lines(2)
        await served.stop()
        await page.get_by_role("alert").filter(has_text="is lost").wait_for()
        await served.start()
        await page.wait_for_selector(".link.open", timeout=30_000)
        await page.get_by_text("no longer has this conversation").wait_for()
        visit.forget_outage()
        assert await visit.lines() == [
            ("user", "Can you hear me?"),
            ("assistant", "Yes, I can hear you well."),
        ]
        await page.locator(".callbar").wait_for(state="detached")
        await visit.start("New conversation")
        assert await visit.lines() == []
        await page.get_by_role("button", name="End and forget Conversation 1").click()
        await page.wait_for_function(
            "() => document.querySelectorAll('.session').length === 1"
        )


async def test_leaving_the_page_hangs_up(served: Served) -> None:
    """At once, not 20 s later when its beats are missed."""
    async with visiting(served) as visit:
        await visit.start("Type, do not speak")
        await visit.page.goto("about:blank")
        await visit.open()
        async with asyncio.timeout(10):
            while (await visit.api("sessions"))["sessions"][0]["status"] != "closed":
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("served", [("--direct",)], indirect=True)
async def test_a_quiet_call_of_the_browser_outlives_a_cut(served: Served) -> None:
    """The server can send over the new feed, even if the page had nothing to report."""
    async with visiting(served) as visit:
        page = visit.page
        sockets: list[Any] = []

        async def between(socket: Any) -> None:
            sockets.append((socket, socket.connect_to_server()))

        await page.route_web_socket("**/api/feed", between)
        await page.reload()
        await visit.start("Type, do not speak")
        await asyncio.sleep(0.5)  # until the first events are reported
        for side in sockets[0]:
            await side.close()
        await page.get_by_role("alert").filter(has_text="is lost").wait_for()
        await page.wait_for_selector(".link.open")
        await page.get_by_label("Type a message").fill("Can you hear me?")
        await page.keyboard.press("Enter")
        await visit.until_lines(2)


#: Whether the page shows an alert with these words.
ALERTED = """words => [...document.querySelectorAll("[role=alert]")].some(
    alert => alert.checkVisibility() && alert.textContent.includes(words))"""


async def test_a_feed_that_falls_silent_does_not_lose_the_call(served: Served) -> None:
    """The page detects it and reconnects before the server counts the page as gone."""
    async with visiting(served) as visit:
        page = visit.page
        sockets: list[Any] = []
        silent: set[int] = set()

        async def between(socket: Any) -> None:
            server = socket.connect_to_server()
            number = len(sockets)
            sockets.append(socket)

            def passing(to: Any) -> Any:
                return lambda text: None if number in silent else to.send(text)

            socket.on_message(passing(server))
            server.on_message(passing(socket))
            # Neither end learns that the other one closed.
            socket.on_close(lambda *_: None)
            server.on_close(lambda *_: None)

        await page.route_web_socket("**/api/feed", between)
        await page.reload()
        await visit.start("Type, do not speak")
        silent.add(0)
        cut = time.monotonic()
        # It is visible for a quarter of a second: check every frame.
        await page.wait_for_function(ALERTED, arg="is lost", polling="raf")
        await page.wait_for_selector(".link.open")
        assert time.monotonic() - cut < 14
        # The server has missed the first feed by now.
        await asyncio.sleep(cut + 22 - time.monotonic())
        assert (await visit.api("sessions"))["sessions"][0]["status"] == "open"
        assert len(sockets) == 2
