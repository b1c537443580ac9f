"""The registry: users, idle sessions and the end of the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import hmac

from duologue.adapters.web import create_app
from duologue.adapters.web.sessions.registry import Caller, Registry
from duologue.transports import Credentials
from duologue.transports.contract import Target
from duologue.transports.http.signalling import identification

from ..conftest import KEY, Page, Served


def test_the_service_gets_a_pseudonym_of_the_user() -> None:
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


async def test_an_idle_session_is_removed(page: Page, served: Served) -> None:
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
