"""Records, past views, export and import over HTTP."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from typing import Any

import httpx
import pytest

from duologue.adapters.web import Limits
from duologue.adapters.web.server import records_api as records
from duologue.core import apply, fold, read_log, view

from ..conftest import Page, Serve

LOG = {"Content-Type": "application/jsonl"}


def log(number: int = 20, session: str = "call-7") -> bytes:
    """A log of another program, with so many deltas of one text."""
    created = {"type": "session.created", "session": {"type": "realtime", "id": "s"}}
    events: list[Any] = [created]
    for n in range(1, number):
        events.append(
            {
                "type": "response.output_text.delta",
                "event_id": f"event_{n}",
                "response_id": "resp_1",
                "item_id": "item_1",
                "output_index": 0,
                "content_index": 0,
                "delta": f"Word{n} ",
            }
        )
    lines = [
        {"v": 1, "seq": n, "at": float(n), "session": session, "dir": "in", "event": e}
        for n, e in enumerate(events, start=1)
    ]
    # No version: a version 1 line without a checksum counts as damaged.
    for line in lines:
        del line["v"]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def take(page: Page, body: bytes, **query: str) -> dict[str, Any]:
    answer = await page.http.post("api/import", content=body, headers=LOG, params=query)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def get(page: Page, session: str, path: str, **query: Any) -> Any:
    answer = await page.http.get(f"api/sessions/{session}/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_imported_log_is_listed(page: Page) -> None:
    summary = await take(page, log(), title="Monday")
    for name in ("id", "created_at"):
        del summary[name]
    assert summary == {
        "title": "Monday",
        "kind": "import",
        "status": "open",
        "reason": None,
        "speaking": None,
        "muted": False,
        "first": 1,
        "last": 20,
        "dropped": 0,
        "cost": None,
    }


async def test_records_are_listed(page: Page) -> None:
    session = (await take(page, log(3)))["id"]
    found = await get(page, session, "records")
    sizes = [one.pop("size") for one in found["records"]]
    assert min(sizes) > 100
    delta = {"dir": "in", "src": None, "type": "response.output_text.delta"}
    assert found == {
        "first": 1,
        "last": 3,
        "dropped": 0,
        "dropped_bytes": 0,
        "more": False,
        "records": [
            {"seq": 1, "at": 1.0, "dir": "in", "src": None, "type": "session.created"},
            {"seq": 2, "at": 2.0, **delta},
            {"seq": 3, "at": 3.0, **delta},
        ],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"from": 18}, [18, 19, 20]),
        ({"to": 2}, [1, 2]),
        ({"from": 4, "to": 6}, [4, 5, 6]),
        ({"limit": 2}, [1, 2]),
        ({"type": "session.created"}, [1]),
        ({"type": "response.*", "to": 3}, [2, 3]),
        ({"type": "session.*,nothing"}, [1]),
        ({"type": "response"}, []),
        ({"dir": "out"}, []),
        ({"q": "WORD12"}, [13]),
        ({"q": "nowhere"}, []),
    ],
)
async def test_records_are_filtered(
    page: Page, query: dict[str, Any], expected: list[int]
) -> None:
    session = (await take(page, log()))["id"]
    found = await get(page, session, "records", **query)
    assert [one["seq"] for one in found["records"]] == expected
    assert found["more"] is ("limit" in query)


async def test_a_record_is_a_line_of_the_log(page: Page) -> None:
    session = (await take(page, log()))["id"]
    line = await get(page, session, "records/5")
    assert line["event"]["delta"] == "Word4 "
    assert (line["seq"], line["session"]) == (5, "call-7")


async def test_the_view_at_a_record_is_the_fold_up_to_it(page: Page) -> None:
    session = (await take(page, log()))["id"]
    there = list(read_log(log().splitlines()))
    before = await get(page, session, "view", seq=11)
    after = await get(page, session, "view", seq=12)
    assert after["view"] == view(fold(there[:12]).sessions["call-7"])
    assert apply(before["view"], after["patch"]) == after["view"]
    assert len(after["patch"]) == 1
    assert (await get(page, session, "view"))["seq"] == 20


@pytest.mark.parametrize("seq", ["21", "x", "-1", "1e3", "9" * 40, "٣"])
async def test_the_view_at_a_dropped_record_is_refused(page: Page, seq: str) -> None:
    session = (await take(page, log()))["id"]
    answer = await page.http.get(f"api/sessions/{session}/view", params={"seq": seq})
    assert answer.status_code in (404, 422)
    assert answer.json()["error"]["param"] == "seq"


async def test_dropped_records_are_counted(serve: Serve) -> None:
    async with serve(limits=Limits(records=300)) as served:
        page = served.page()
        summary = await take(page, log(1_000))
        assert (summary["first"], summary["last"]) == (704, 1_000)
        assert summary["dropped"] == 703
        found = await get(page, summary["id"], "records", limit=1)
        assert found["dropped_bytes"] > 0
        there = list(read_log(log(1_000).splitlines()))
        moment = await get(page, summary["id"], "view", seq=900)
        assert moment["view"] == view(fold(there[:900]).sessions["call-7"])


async def test_a_damaged_log_is_read_up_to_the_damage(page: Page) -> None:
    lines = log().splitlines(keepends=True)
    lines[10] = lines[10][:30] + b"\n"
    summary = await take(page, b"".join(lines))
    assert summary["last"] == 10
    assert summary["reason"].startswith("line 11: ")


@pytest.mark.parametrize("body", [b"", b"\n\n", b"not a log\n", b"\x00" * 100, b"[]"])
async def test_an_invalid_log_is_refused(page: Page, body: bytes) -> None:
    answer = await page.http.post("api/import", content=body, headers=LOG)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_a_log")


async def test_a_log_that_is_too_large_is_refused(serve: Serve) -> None:
    async with serve(limits=Limits(bytes=1_000)) as served:
        page = served.page()
        try:
            answer = await page.http.post("api/import", content=log(), headers=LOG)
        except httpx.WriteError:
            return
        assert answer.status_code == 413


async def test_each_session_of_a_log_becomes_one(page: Page) -> None:
    both = log(5, "one") + log(7, "other")
    first = await take(page, both)
    found = (await page.http.get("api/sessions")).json()["sessions"]
    assert [(one["kind"], one["last"]) for one in found] == [
        ("import", 5),
        ("import", 7),
    ]
    assert first == found[0]


async def test_a_log_of_too_many_sessions_is_refused(page: Page) -> None:
    body = b"".join(log(1, f"session {n}") for n in range(17))
    answer = await page.http.post("api/import", content=body, headers=LOG)
    assert (answer.status_code, answer.json()["error"]["code"]) == (
        422,
        "too_many_sessions",
    )


@pytest.mark.parametrize("limits", [Limits(sessions=2), Limits(starts=2)])
async def test_a_log_is_imported_completely_or_not_at_all(
    serve: Serve, limits: Limits
) -> None:
    """A log of three sessions with a limit of two. Control: a log of two."""
    async with serve(limits=limits) as served:
        page = served.page()
        body = b"".join(log(3, f"session {n}") for n in range(3))
        answer = await page.http.post("api/import", content=body, headers=LOG)
        assert answer.status_code == 429
        assert (await page.http.get("api/sessions")).json() == {"sessions": []}
    async with serve(limits=limits) as served:
        page = served.page()
        await take(page, log(3, "one") + log(3, "other"))
        assert len((await page.http.get("api/sessions")).json()["sessions"]) == 2


@pytest.mark.parametrize("limits", [Limits(sessions=1), Limits(starts=1)])
async def test_the_limit_is_checked_before_the_log_is_read(
    serve: Serve, limits: Limits
) -> None:
    async with serve(limits=limits) as served:
        page = served.page()
        await page.create()
        answer = await page.http.post("api/import", content=b"no log", headers=LOG)
        assert answer.status_code == 429


@pytest.mark.parametrize(
    "body",
    [b"\n" * (2 << 20), b" \t\r\n" * (1 << 19), b"\n" * (1 << 20) + log(3)],
    ids=["newlines", "spaces", "before a log"],
)
async def test_a_log_is_read_in_pieces(body: bytes) -> None:
    """Other tasks run after each 16 KiB, even of empty lines, and the lines are not
    all in memory at once.
    """
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    tracemalloc.start()
    try:
        found = [line async for _, line in records._lines(body)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        waiting.cancel()
    assert found == [line for line in log(3).splitlines() if line in body]
    assert turns >= (len(body) >> 14) - 1
    assert most < 100_000


async def test_a_damaged_line_is_named_by_its_number(page: Page) -> None:
    """Empty lines count, a byte order mark does not."""
    body = b"\xef\xbb\xbf\n\n" + log(3) + b"\n  \nno record\n"
    summary = await take(page, body)
    assert summary["last"] == 3
    assert summary["reason"].startswith("line 8: ")


async def test_a_record_that_is_not_kept_is_refused(page: Page) -> None:
    session = (await take(page, log()))["id"]
    answer = await page.http.get(f"api/sessions/{session}/records/99")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_kept")


async def test_numbers_out_of_order_are_replaced(page: Page) -> None:
    """Two concatenated logs of one session."""
    session = (await take(page, log(5) + log(5)))["id"]
    found = await get(page, session, "records")
    assert [one["seq"] for one in found["records"]] == list(range(1, 11))


async def test_an_imported_session_takes_no_commands_and_no_call(page: Page) -> None:
    session = (await take(page, log()))["id"]
    refused = await page.command(session, type="text", text="hello")
    assert refused.status_code == 409
    assert (await page.offer(session, "v=0\r\n")).status_code == 409
