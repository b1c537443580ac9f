"""Bodies of requests: size, type, content and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from duologue.adapters.web.server import routes as api

from ..conftest import Page


async def test_an_offer_is_at_most_64_kib(page: Page) -> None:
    session = (await page.create())["id"]
    large = await page.offer(session, "v=0\r\n" + "a" * (64 * 1024))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "too_large")
    assert (await page.summary(session))["status"] == "connecting"


async def test_an_invalid_offer_does_not_reach_the_service(page: Page) -> None:
    session = (await page.create())["id"]
    for body in ("", "hello", "<script>", "{}", b"v=0\xff"):
        answer = await page.offer(session, body)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "invalid_offer"
    assert (await page.summary(session))["status"] == "connecting"


async def test_invalid_json_is_refused(page: Page) -> None:
    kind = {"Content-Type": "application/json"}
    for body in (b"x", b"[]", b'{"title":1}', b'{"more":1}', b"\xff", b"[" * 100_000):
        answer = await page.http.post("api/sessions", content=body, headers=kind)
        assert answer.status_code == 400, body[:10]
        assert answer.json()["error"]["code"] == "invalid_body"
    large = await page.http.post("api/sessions", content=b" " * 200_000, headers=kind)
    assert large.status_code == 413


async def test_a_slow_body_times_out(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_BODY_TIMEOUT", 0.2)

    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(1)

    kind = {"Content-Type": "application/json"}
    answer = await page.http.post("api/sessions", content=never(), headers=kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "too_slow")
