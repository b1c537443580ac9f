"""The appearance of the page: screenshots and axe-core findings of each view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .visit import ROOT, Served, Visit, microphone, visiting

pytestmark = [pytest.mark.realtime, pytest.mark.deep]

OUT = ROOT / "build" / "screenshots"
SIZES = {"desktop": (1360, 860), "phone": (390, 844)}
PANELS = ("settings", "sound", "numbers", "records")


class Camera:
    """Take a screenshot of each view, and run axe-core on it."""

    def __init__(self, visit: Visit, name: str) -> None:
        self.visit = visit
        self.name = name
        self.found: list[str] = []

    async def take(self, view: str) -> None:
        await self.visit.page.wait_for_timeout(150)
        path = OUT / f"{view}-{self.name}.png"
        await self.visit.page.screenshot(path=path, animations="disabled")
        self.found += [f"{path.stem}: {it}" for it in await self.visit.axe()]
        wide = "() => document.documentElement.scrollWidth > innerWidth"
        if await self.visit.page.evaluate(wide):
            self.found.append(f"{path.stem}: wider than the window")


async def conversation(visit: Visit, size: str, camera: Camera) -> None:
    """A conversation with a visible interruption, tool call and problem."""
    page = visit.page
    await visit.start()
    await visit.until_lines(2)
    box = page.get_by_label("Type a message")
    await box.fill("count from one to thirty")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".line.assistant .playing")
    await page.wait_for_timeout(2500)
    await page.wait_for_selector("[aria-label=Reply]:not([aria-valuenow='0'])")
    await camera.take("live")
    await page.get_by_role("button", name="Interrupt").click()
    await page.wait_for_selector(".line.assistant .cut")
    await box.fill("What is two plus three?")
    await page.keyboard.press("Enter")
    await visit.until_lines(6)


async def details(visit: Visit, size: str, camera: Camera) -> None:
    page = visit.page
    if size == "phone":
        await page.get_by_role("button", name="Details").click()
    for panel in PANELS:
        await page.locator(f"#tab-{panel}").click()
        await page.wait_for_timeout(400)
        await camera.take(panel)
    await page.locator(".virtual .row").nth(6).click()
    await page.wait_for_selector(".difference")
    await camera.take("travel")
    if size == "phone":
        await page.get_by_role("button", name="Conversation", exact=True).click()
        await camera.take("travel-talk")
        await page.get_by_role("button", name="Sessions").click()
        await camera.take("sessions")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_each_view(
    served: Served, question: Path, tmp_path: Path, size: str, theme: str
) -> None:
    """No serious finding of axe-core, nothing wider than the window."""
    OUT.mkdir(parents=True, exist_ok=True)
    width, height = SIZES[size]
    options: dict[str, Any] = {"viewport": {"width": width, "height": height}}
    options["color_scheme"] = theme
    sound = microphone(tmp_path / "mic.wav", 2.5, question, 3.0)
    async with visiting(served, sound=sound, **options) as visit:
        # Control: a button without a name is found.
        blind = "() => document.body.append(document.createElement('button'))"
        await visit.page.evaluate(blind)
        assert any("button-name" in it for it in await visit.axe())
        await visit.page.evaluate("() => document.body.lastElementChild.remove()")
        camera = Camera(visit, f"{size}-{theme}")
        await camera.take("welcome")
        await visit.page.get_by_role("button", name="Help and keys").click()
        await camera.take("help")
        await visit.page.keyboard.press("Escape")
        await conversation(visit, size, camera)
        await camera.take("conversation")
        await details(visit, size, camera)
    assert camera.found == []
