"""The limits of users and addresses."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from duologue.adapters.web.sessions.limits import Limits
from duologue.adapters.web.sessions.registry import Caller

from ..conftest import Serve, by_header


async def test_sessions_of_a_user_are_limited(serve: Serve) -> None:
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


async def test_sessions_of_an_address_are_limited(serve: Serve) -> None:
    """Invented users share one address."""
    limits = Limits(sessions=2, per_address=2)
    async with serve(authenticate=by_header, limits=limits) as served:
        for user in ("a", "a", "b", "b"):
            await served.page(**{"X-User": user}).create()
        fifth = await served.page(**{"X-User": "c"}).http.post("api/sessions", json={})
        assert fifth.json()["error"]["code"] == "too_many_sessions"


@pytest.mark.parametrize(("users", "allowed"), [("aaaa", 3), ("abcdefgh", 6)])
async def test_starts_in_a_minute_are_limited(
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


async def test_a_short_call_counts_one_minute(serve: Serve) -> None:
    """The first minute is counted before the page gets its answer."""
    async with serve(limits=Limits(minutes=1)) as served:
        page = served.page()
        session = (await page.create())["id"]
        await page.call(session)
        await page.http.delete(f"api/sessions/{session}")
        another = (await page.create())["id"]
        refused = await page.offer(another, "v=0\r\n")
        assert refused.json()["error"]["code"] == "no_minutes_left"


async def test_the_length_of_a_call_is_limited(serve: Serve) -> None:
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


async def test_feeds_of_a_user_are_limited(serve: Serve) -> None:
    async with serve(authenticate=by_header, limits=Limits(feeds=2)) as served:
        ada = served.page(**{"X-User": "ada"})
        for _ in range(2):
            await ada.feed()
        with pytest.raises(InvalidStatus) as refused:
            await ada.feed()
        assert refused.value.response.status_code == 429
        await served.page(**{"X-User": "eve"}).feed()
