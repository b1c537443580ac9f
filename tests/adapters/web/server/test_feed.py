"""The feed: it resumes after a loss, and a page that does not read delays no other."""

from __future__ import annotations

import asyncio
import json
import socket
from statistics import median
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from duologue.adapters.web.server import feed as module
from duologue.adapters.web.sessions.registry import Caller
from duologue.core import view

from ..conftest import Feed, Page, Served


def facts(served: Served, session: str, number: int, text: str = "word ") -> None:
    """Feed text deltas into a session, as if a service had sent them."""
    registry = served.app.state.registry
    for n in range(number):
        at = registry.clock.now()
        event = {
            "type": "response.output_text.delta",
            "event_id": f"{session}_{at}_{n}",
            "response_id": "resp_1",
            "item_id": "item_000000000000000000001",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
        }
        registry.client.store.feed(session, event, at=at)


def state(served: Served, session: str) -> dict[str, Any]:
    found = served.app.state.registry.client.store.session(session)
    assert found is not None
    return view(found)


async def test_it_begins_with_the_list_and_a_view(page: Page) -> None:
    session = (await page.create(title="One"))["id"]
    feed = await page.feed()
    told = await feed.until_told("sessions")
    assert [one["title"] for one in told["sessions"]] == ["One"]
    await feed.watch(session)
    assert (await feed.until_told("view"))["seq"] == 0


async def test_a_delta_is_at_most_200_bytes(page: Page, served: Served) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await feed.until_view(session, lambda view: True)
    facts(served, session, 1)
    await feed.until(lambda: feed.seqs[session] == 1)
    facts(served, session, 1, "and another ")
    text = await feed.socket.recv()
    assert json.loads(text)["p"][0]["value"] == "and another "
    assert len(text) <= 200


async def test_a_feed_resumes_after_a_loss(page: Page, served: Served) -> None:
    """Only the missed patches are sent, and no view."""
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await feed.until_view(session, lambda view: True)
    facts(served, session, 3)
    await feed.until(lambda: feed.seqs[session] == 3)
    await feed.socket.close()

    facts(served, session, 4)
    again = await page.feed()
    again.views, again.seqs = feed.views, feed.seqs
    await again.watch(session, since=3)
    await again.until(lambda: again.seqs[session] == 7)
    assert again.views[session] == state(served, session)
    assert [m["n"] for m in again.messages if "n" in m] == [4, 5, 6, 7]
    assert not [m for m in again.messages if m.get("type") == "view"]


@pytest.mark.parametrize("since", [1, 99])
async def test_dropped_patches_are_replaced_by_a_view(
    page: Page, served: Served, since: int
) -> None:
    """If the number is too old, or from an earlier run of the server."""
    session = (await page.create())["id"]
    facts(served, session, 20, "x" * 32_000)
    feed = await page.feed()
    await feed.watch(session, since=since)
    shown = await feed.until_told("view")
    assert shown["seq"] == 20
    assert shown["view"] == state(served, session)


async def told(feed: Feed, served: Served, session: str, count: int) -> list[float]:
    """The seconds that a page waits for each of so many batches of 200 kB."""
    seconds, loop = [], asyncio.get_running_loop()
    for _ in range(count):
        facts(served, session, 200, "y" * 1_000)
        began, last = (
            loop.time(),
            served.app.state.registry.client.store.session(session),
        )
        assert last is not None
        await feed.until(lambda n=last.dedup.events: feed.seqs[session] >= n)  # type: ignore[misc]
        seconds.append(loop.time() - began)
    return seconds


async def test_a_page_that_does_not_read_delays_no_other(
    page: Page, served: Served
) -> None:
    """Its queue is bounded, other pages get their patches as quickly as without it,
    and it gets the whole view when it reads again.
    """
    session = (await page.create())["id"]
    quick = await page.feed()
    await quick.watch(session)
    await quick.until_view(session, lambda view: True)
    alone = await told(quick, served, session, 15)

    slow = await page.feed(max_queue=1)
    await slow.watch(session)
    await slow.until_view(session, lambda view: True)
    slow.socket.transport.pause_reading()
    # The buffers of the system would take megabytes before the queue fills.
    wire = slow.socket.transport.get_extra_info("socket")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    registry = served.app.state.registry
    _, subscriber = registry._pages
    beside, sizes = [], []
    for _ in range(40):
        beside += await told(quick, served, session, 1)
        sizes.append(subscriber._size)
    assert 0 < max(sizes) <= 256 * 1024
    # The work is the same for both; more time means that one waited for the other.
    assert median(beside) < 3 * median(alone) + 0.05
    assert quick.views[session] == state(served, session)
    shown = len(slow.messages)
    slow.socket.transport.resume_reading()
    last = quick.seqs[session]
    await slow.until(lambda: slow.seqs[session] == last, timeout=30)
    assert slow.views[session] == state(served, session)
    assert "view" in {m.get("type") for m in slow.messages[shown:]}


async def test_a_page_without_beats_is_disconnected(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: a page that sends beats stays."""
    monkeypatch.setattr(module, "PAGE_TIMEOUT", 0.3)
    silent, beating = await page.feed(), await page.feed()
    for _ in range(8):
        await beating.say(type="beat")
        await beating.until_told("beat")
        await asyncio.sleep(0.08)
    async with asyncio.timeout(5):
        await silent.socket.wait_closed()
    assert silent.socket.close_code == 1008
    await beating.say(type="beat")
    await beating.until_told("beat")


async def to_the_end(feed: Feed, lengths: list[int]) -> None:
    async with asyncio.timeout(5):
        async for text in feed.socket:
            lengths.append(len(text))


async def test_a_page_that_does_not_read_the_close_is_aborted(
    page: Page, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its buffers are full, so a closing handshake would wait forever."""
    monkeypatch.setattr(module, "PAGE_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "_CLOSE_TIMEOUT", 0.2)
    session = (await page.create())["id"]
    feed = await page.feed(ping_interval=None)
    await feed.watch(session)
    await feed.until_view(session, lambda view: True)
    feed.socket.transport.pause_reading()
    facts(served, session, 200, "z" * 100_000)
    registry = served.app.state.registry
    async with asyncio.timeout(5):
        while registry._pages:
            await asyncio.sleep(0.05)
    # The timeout of the closing handshake.
    await asyncio.sleep(0.6)
    feed.socket.transport.resume_reading()
    lengths: list[int] = []
    with pytest.raises(ConnectionClosedError):
        await to_the_end(feed, lengths)
    assert lengths == [], "it was sent what waited in the server"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "7",
        "{}",
        '{"type":"watch"}',
        '{"type":"watch","session":1}',
        '{"type":"nothing"}',
        "[" * 100_000,
    ],
)
async def test_an_invalid_message_is_refused(page: Page, text: str) -> None:
    feed = await page.feed()
    await feed.socket.send(text)
    told = await feed.until_told("error")
    assert told["error"]["code"] == "invalid_message"
    await feed.say(type="beat")
    await feed.until_told("beat")


async def test_a_message_that_is_too_large_ends_the_feed(page: Page) -> None:
    feed = await page.feed()
    await feed.socket.send('{"type":"beat","x":"' + "y" * (1 << 20) + '"}')
    async with asyncio.timeout(5):
        await feed.socket.wait_closed()
    assert feed.socket.close_code == 1009


async def test_a_refusal_names_its_command(page: Page) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.say(
        type="command", session=session, command={"type": "interrupt"}, ref=7
    )
    told = await feed.until_told("error")
    assert (told["session"], told["ref"]) == (session, 7)
    assert told["error"]["code"] == "no_call"


async def test_the_list_is_sent_when_it_changes(page: Page) -> None:
    feed = await page.feed()
    await feed.until_told("sessions")
    session = (await page.create())["id"]
    told = await feed.until_told("sessions")
    assert [one["id"] for one in told["sessions"]] == [session]
    await page.http.delete(f"api/sessions/{session}")
    assert (await feed.until_told("sessions"))["sessions"] == []


async def test_changes_of_the_list_are_combined(page: Page, served: Served) -> None:
    """At most ten times a second."""
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.until_told("sessions")
    registry, loop = served.app.state.registry, asyncio.get_running_loop()
    seen = len(feed.messages)
    web_session = registry.session(Caller("local", ""), session)
    began = loop.time()
    while loop.time() < began + 0.55:
        registry.update_list(web_session)
        await asyncio.sleep(0.005)
    await feed.say(type="beat")
    await feed.until_told("beat")
    most = (loop.time() - began) / 0.1 + 1
    lists = [m for m in feed.messages[seen:] if m["type"] == "sessions"]
    assert 1 <= len(lists) <= most


async def test_an_unwatched_session_sends_nothing(page: Page, served: Served) -> None:
    session = (await page.create())["id"]
    feed = await page.feed()
    await feed.watch(session)
    await feed.until_view(session, lambda view: True)
    await feed.say(type="unwatch", session=session)
    await feed.say(type="beat")
    await feed.until_told("beat")
    facts(served, session, 3)
    await feed.say(type="beat")
    await feed.until_told("beat")
    assert feed.seqs[session] == 0
