"""Time travel: records, past views, export and import."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from duologue.core import fold, read_log, view

from .visit import Served, Visit, visiting

pytestmark = [pytest.mark.realtime, pytest.mark.deep]


async def typed_turn(visit: Visit) -> None:
    await visit.start("Type, do not speak")
    await visit.page.get_by_label("Type a message").fill("Can you hear me?")
    await visit.page.keyboard.press("Enter")
    await visit.until_lines(2)
    await visit.page.get_by_role("tab", name="Records").click()
    await visit.page.wait_for_selector(".virtual .row >> nth=5")


TURN = [("user", "Can you hear me?"), ("assistant", "Yes, I can hear you well.")]


async def test_to_a_record_and_back(served: Served) -> None:
    """Move by mouse, keys and slider; the changes of a record are marked."""
    async with visiting(served) as visit:
        page = visit.page
        await typed_turn(visit)
        types = [record["type"] for record in await visit.records()]
        added = types.index("conversation.item.added")
        await page.get_by_role("button", name="First record").click()
        await page.get_by_text("As it was after record 1 ").wait_for()
        await page.wait_for_selector("main[data-seq='1']")
        assert await visit.lines() == []
        slider = page.get_by_role("slider", name="Place among the records")
        await slider.focus()
        for _ in range(added):
            await page.keyboard.press("ArrowRight")
        await page.wait_for_selector(f"main[data-seq='{added + 1}']")
        assert await visit.lines() == TURN[:1]
        assert await page.locator(".line.changed").count() == 1
        assert "/order/-" in await page.locator(".difference").inner_text()
        assert await page.locator(".raw .changed").count() > 0
        # Keys in the list do the same.
        await page.locator(".virtual").focus()
        await page.keyboard.press("ArrowUp")
        await page.wait_for_selector(f"main[data-seq='{added}']")
        assert await visit.lines() == []
        await page.keyboard.press("End")
        await page.wait_for_selector(f"main[data-seq='{len(types)}']")
        assert await visit.lines() == TURN
        await page.keyboard.press("Escape")
        await page.locator(".banner.past").wait_for(state="detached")
        await page.get_by_label("Type a message").fill("Thank you")
        await page.keyboard.press("Enter")
        await visit.until_lines(4)


async def test_the_list_is_filtered_and_searched(served: Served) -> None:
    async with visiting(served) as visit:
        page = visit.page
        await typed_turn(visit)
        await page.get_by_label("Direction").select_option("local")
        await page.wait_for_function(
            "() => [...document.querySelectorAll('.row .type')].length > 0 && "
            "[...document.querySelectorAll('.row .type')]"
            ".every((it) => it.textContent.startsWith('duologue.'))"
        )
        await page.get_by_label("Direction").select_option("all")
        await page.get_by_label("Search in the records").fill("hear you well")
        await page.wait_for_function(
            "() => document.querySelector('.records .note').textContent"
            ".includes(' records shown') && "
            "document.querySelectorAll('.row').length in {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}"
        )
        await page.locator(".row").first.click()
        await page.wait_for_selector(".difference")
        await page.get_by_label("Search in the records").fill("")
        await page.get_by_label("Type", exact=True).fill("response.d")
        await page.wait_for_function(
            "() => [...document.querySelectorAll('.row .type')]"
            ".map((it) => it.textContent).join() === 'response.done'"
        )


async def test_export_import_replay(served: Served, tmp_path: Path) -> None:
    """An exported log can be imported, gives the same view, and is replayed."""
    async with visiting(served) as visit:
        page = visit.page
        await typed_turn(visit)
        async with page.expect_download() as download:
            await page.get_by_role("link", name="Export the log").click()
        path = tmp_path / "kept.jsonl"
        await (await download.value).save_as(path)
        visit.wrong = [it for it in visit.wrong if "/log" not in it]
        with path.open("rb") as file:
            state = fold(read_log(file))
        (session,) = state.sessions.values()
        said = [
            "".join(part["chunks"])
            for item in view(session)["items"].values()
            for part in item["parts"]
        ]
        assert sorted(said) == sorted(text for _, text in TURN)

        await page.set_input_files("input[type=file]", path)
        await page.get_by_role("heading", name="kept").wait_for()
        assert await visit.lines() == TURN
        assert await page.get_by_label("Type a message").count() == 0
        await page.get_by_label("Speed").select_option("1")
        seen: set[str] = set()
        await page.get_by_role("button", name="Replay").click()
        began = time.monotonic()
        while await page.get_by_role("button", name="Pause").count() or len(seen) < 2:
            seen.add(await page.get_attribute("main", "data-seq") or "")
            assert time.monotonic() - began < 30
        assert len(seen) > 3
        assert await visit.lines() == TURN


def long_log(path: Path, turns: int) -> Path:
    """A log of another program with many turns."""
    lines = []
    for turn in range(turns):
        for role, kind in (("user", "input_text"), ("assistant", "output_text")):
            item = {
                "id": f"{role}{turn}",
                "type": "message",
                "role": role,
                "status": "completed",
                "content": [{"type": kind, "text": f"{role} says {turn}. " * 5}],
            }
            event = {"type": "conversation.item.added", "item": item}
            lines.append(json.dumps({"dir": "in", "event": event}))
    path.write_text("\n".join(lines) + "\n")
    return path


async def test_a_long_session_stays_fluid(served: Served, tmp_path: Path) -> None:
    """21,000 lines: few are in the document, and dropped records are counted."""
    log = long_log(tmp_path / "long.jsonl", 10_500)
    async with visiting(served) as visit:
        page = visit.page
        await page.set_input_files("input[type=file]", log)
        await page.wait_for_selector(".line >> nth=50", timeout=60_000)
        assert await page.locator(".line").count() <= 200
        await page.get_by_role("button", name="Show earlier lines").click()
        await page.wait_for_selector(".line >> nth=200")
        await page.get_by_role("tab", name="Records").click()
        told = await visit.api(f"sessions/{await visit.session()}/records?limit=1")
        first, dropped = told["first"], told["dropped"]
        assert 20_000 >= 21_000 - dropped >= 19_000
        kept = f"{21_000 - dropped:,} records shown; kept are {first:,} to 21,000."
        await page.get_by_text(kept).wait_for(timeout=30_000)
        await page.get_by_text(f"{dropped:,} older records").wait_for()
        assert await page.locator(".virtual .row").count() < 60
        # Scroll from end to end: the longest frame is short enough.
        longest = await page.evaluate(
            """async () => {
              const box = document.querySelector(".virtual");
              let longest = 0, last = performance.now();
              for (let step = 0; step <= 60; step += 1) {
                box.scrollTop = (box.scrollHeight * step) / 60;
                await new Promise(requestAnimationFrame);
                const now = performance.now();
                longest = Math.max(longest, now - last);
                last = now;
              }
              return longest;
            }"""
        )
        assert longest < 250
        await page.get_by_role("button", name="First record").click()
        await page.wait_for_selector(f"main[data-seq='{first}']")
        assert (await visit.lines())[-1][1].startswith(f"user says {(first - 1) // 2}.")


async def import_log(visit: Visit, path: Path) -> None:
    """Import a log, and list its records."""
    await visit.page.set_input_files("input[type=file]", path)
    await visit.page.get_by_role("heading", name=path.stem).wait_for()
    await visit.page.get_by_role("tab", name="Records").click()
    await visit.page.wait_for_selector(".virtual .row >> nth=3")


async def test_a_log_without_times_is_replayed_record_by_record(
    served: Served, tmp_path: Path
) -> None:
    async with visiting(served) as visit:
        await import_log(visit, long_log(tmp_path / "untimed.jsonl", 3))
        await visit.page.get_by_label("Speed").select_option("1")
        await visit.page.get_by_role("button", name="Replay").click()
        for seq in range(1, 7):
            await visit.page.wait_for_selector(f"main[data-seq='{seq}']", timeout=5_000)


async def test_what_cannot_be_shown_is_said(served: Served, tmp_path: Path) -> None:
    """The view of another record is never shown for this one."""
    async with visiting(served) as visit:
        page = visit.page
        await import_log(visit, long_log(tmp_path / "short.jsonl", 3))
        await page.get_by_role("button", name="First record").click()
        await page.wait_for_selector("main[data-seq='1']")
        refusal = {"error": {"code": "not_kept", "message": "not kept"}}

        async def dropped(route: Any) -> None:
            await route.fulfill(status=404, json=refusal)

        async def away(route: Any) -> None:
            await route.abort("connectionrefused")

        on = page.get_by_role("button", name="One record on")
        for answer, text in (
            (dropped, "This record is not kept any more"),
            (away, "The server does not answer: what was after"),
        ):
            await page.route("**/view?*", answer)
            await on.click()
            await page.locator("main .empty").get_by_text(text).wait_for()
            assert await visit.lines() == []
            await page.unroute("**/view?*")
        await on.click()
        await page.wait_for_selector("main[data-seq='4']")
        assert len(await visit.lines()) == 4
        visit.wrong = [it for it in visit.wrong if "404" not in it]
        visit.forget_outage()


async def test_each_session_has_its_own_past(served: Served, tmp_path: Path) -> None:
    """A slow response about one session is not shown for another."""
    first = long_log(tmp_path / "first.jsonl", 2)
    second = tmp_path / "second.jsonl"
    second.write_text(first.read_text().replace("user says", "other says"))
    async with visiting(served) as visit:
        page = visit.page
        await import_log(visit, second)
        await import_log(visit, first)
        held: asyncio.Queue[Any] = asyncio.Queue()
        await page.route("**/view?seq=1", held.put)
        await page.get_by_role("button", name="First record").click()
        slow = await held.get()
        await visit.choose("second")
        await page.wait_for_selector(".virtual .row >> nth=3")
        async with page.expect_response("**/view?seq=1"):
            await slow.continue_()
        await page.unroute("**/view?seq=1")
        await page.get_by_role("button", name="First record").click()
        await page.wait_for_selector("main[data-seq='1']")
        ((_, said),) = await visit.lines()
        assert said.startswith("other says 0.")
