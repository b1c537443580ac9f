"""The time from a click on the page to a call, in headless Chromium on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

__all__ = ["measure"]

ROOT = Path(__file__).parents[1]
TIMES = 10
#: The mark in `_WATCH`, its meaning, and the expected value.
_GOALS = (
    ("open", "data channel open", "under 1000"),
    ("sound", "first packet of sound from the service", "under 1500"),
)
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
    *("--autoplay-policy=no-user-gesture-required", "--no-first-run"),
    "--allow-loopback-in-peer-connection",
)
#: Notes the times of the click, of the open channel, and of the first audio packet
#: (silence until a reply).
_WATCH = """
const times = (window.times = {});
addEventListener("click", () => { times.click ??= performance.now(); }, true);
const Peer = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Peer {
  constructor(...options) {
    super(...options);
    this.addEventListener("track", async ({ receiver }) => {
      for (let came = 0; !came; ) {
        const all = [...(await receiver.getStats()).values()];
        came = all.find((it) => it.type === "inbound-rtp")?.packetsReceived ?? 0;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      times.sound ??= performance.now();
    });
  }
  createDataChannel(...options) {
    const channel = super.createDataChannel(...options);
    channel.addEventListener("open", () => { times.open ??= performance.now(); });
    return channel;
  }
};
"""


async def measure() -> list[dict[str, Any]]:
    """From the click to the open channel, and to the reply's first packet, p50 in ms.

    The server, the local service and the browser are processes of this machine. A
    fresh page for each click; no rows if Playwright or Chromium is missing.
    """
    try:
        from playwright.async_api import async_playwright
    except ModuleNotFoundError:
        return [_row("playwright is missing", "-", "")]
    chromium = shutil.which("chromium")
    if chromium is None:
        return [_row("chromium is missing", "-", "")]
    async with _served() as url, async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=_FLAGS)
        found = [await _click(browser, url) for _ in range(TIMES + 1)][1:]
        await browser.close()
    return [
        _row(f"click to {what}, p50 of {TIMES}, ms", _p50(found, key), goal)
        for key, what, goal in _GOALS
    ]


def _row(what: str, value: Any, expected: str) -> dict[str, Any]:
    return {"what": what, "value": value, "expected": expected}


def _p50(found: list[dict[str, float]], key: str) -> float:
    return round(statistics.median(times[key] - times["click"] for times in found))


async def _click(browser: Any, url: str) -> dict[str, float]:
    page = await browser.new_page()
    await page.add_init_script(_WATCH)
    await page.goto(url)
    await page.wait_for_selector(".link.open")
    await page.get_by_role("button", name="New conversation").click()
    await page.wait_for_function("() => times.open && times.sound")
    times: dict[str, float] = await page.evaluate("times")
    await page.get_by_role("button", name="Hang up").click()
    await page.locator(".callbar").wait_for(state="detached")
    await page.close()
    return times


@asynccontextmanager
async def _served() -> AsyncIterator[str]:
    """The URL of ``duologue web --local`` in a separate process."""
    roots = ("core", "transports", "local", "adapters")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "duologue", "web", "--local", "--no-open"),
        *("--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / r) for r in roots)},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
        yield url
    finally:
        process.terminate()
        await process.wait()
