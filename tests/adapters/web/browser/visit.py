"""A user with a browser: headless Chromium on the page, and its recorded audio."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.util
import json
import os
import shutil
import sys
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import attrs
import pytest

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples"
RATE = 24_000

#: Without it, a machine with only loopback offers no address.
LOOPBACK = "--allow-loopback-in-peer-connection"
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--no-first-run", "--autoplay-policy=no-user-gesture-required"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
    # Other host names do not resolve.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

#: Records the stream of each call's audio element.
_LISTEN = """
(() => {
  const heard = (window.heard = []);
  const Peer = window.RTCPeerConnection;
  if (!Peer) return;
  window.RTCPeerConnection = class extends Peer {
    constructor(...options) {
      super(...options);
      const kept = { pieces: [] };
      heard.push(kept);
      this.addEventListener("track", ({ streams }) => {
        kept.recorder = new MediaRecorder(streams[0]);
        kept.recorder.ondataavailable = ({ data }) => kept.pieces.push(data);
        kept.recorder.start();
      });
    }
  };
  window.takeHeard = async (index) => {
    const { recorder, pieces } = heard[index];
    if (recorder.state !== "inactive") {
      const stopped = new Promise((resolve) => (recorder.onstop = resolve));
      recorder.stop();
      await stopped;
    }
    const bytes = await new Blob(pieces).arrayBuffer();
    const context = new OfflineAudioContext(1, 1, 24000);
    const samples = (await context.decodeAudioData(bytes)).getChannelData(0);
    const pcm = Int16Array.from(samples, (x) => Math.max(-1, Math.min(1, x)) * 32767);
    let text = "";
    const raw = new Uint8Array(pcm.buffer);
    for (let at = 0; at < raw.length; at += 8192) {
      text += String.fromCharCode(...raw.subarray(at, at + 8192));
    }
    return btoa(text);
  };
})();
"""


def lacking(what: str) -> NoReturn:
    """Skip the test, except under CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true")
    pytest.skip(what)


def microphone(path: Path, *parts: Path | float) -> Path:
    """A WAV of files and seconds of silence, concatenated."""
    pcm = b""
    for part in parts:
        if isinstance(part, Path):
            with wave.open(str(part), "rb") as file:
                pcm += file.readframes(file.getnframes())
        else:
            pcm += bytes(2 * int(part * RATE))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(pcm)
    return path


@attrs.define
class Served:
    """``duologue web`` in a process of its own.

    A browser may speak from any address of this machine, and the guard of these tests
    knows loopback only.
    """

    options: tuple[str, ...]
    port: int = 0
    url: str = ""
    _process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Serve, on the same port each time."""
        roots = ("core", "transports", "local", "adapters")
        path = os.pathsep.join(str(ROOT / root) for root in roots)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENAI_")}
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "duologue", "web", "--local", "--no-open"),
            *("--port", str(self.port), *self.options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**kept, "PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            line = (await self._process.stdout.readline()).decode().strip()
        assert line.startswith("http"), "the server did not start"
        self.url = line
        self.port = urlsplit(line).port or 0

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


class Visit:
    """An open page, the actions of a user on it, and all its errors."""

    def __init__(self, page: Any, served: Served) -> None:
        self.page = page
        self.served = served
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"page: {error}"))
        page.on("console", self._console)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console {message.type}: {message.text}")

    def _failed(self, request: Any) -> None:
        # A page that was left before its icon loaded.
        if request.url.endswith("/icon.svg") and request.failure == "net::ERR_ABORTED":
            return
        # A download aborts the navigation, and the file arrives.
        self.wrong.append(f"failed: {request.method} {request.url} {request.failure}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.wrong.append(f"{response.status}: {response.url}")

    def forget_outage(self) -> None:
        """Discard the errors so far: expected refused connections."""
        announced = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_R")
        other = [it for it in self.wrong if not any(name in it for name in announced)]
        if other:
            pytest.fail("\n".join(other))
        self.wrong.clear()

    async def open(self) -> None:
        await self.page.goto(self.served.url)
        await self.page.wait_for_selector(".link.open")

    async def start(self, name: str = "Start talking") -> None:
        """Start a conversation with the button of this name; wait until it is open."""
        before = await self.page.evaluate(
            "document.querySelector('main').dataset.session"
        )
        await self.page.get_by_role("button", name=name).first.click()
        await self.page.wait_for_selector(
            f"main:not([data-session='{before}']) .title .status.open", timeout=30_000
        )

    async def choose(self, name: str) -> None:
        """Select a session by its name."""
        await self.page.locator(".session-main").filter(has_text=name).click()
        await self.page.get_by_role("heading", name=name).wait_for()

    async def lines(self) -> list[tuple[str, str]]:
        """The role and text of each line of the selected conversation."""
        found: list[list[str]] = await self.page.eval_on_selector_all(
            ".line[data-role]",
            "lines => lines.map(it => [it.dataset.role, "
            "it.querySelector('.text').textContent.trim()])",
        )
        return [(role, text) for role, text in found]

    async def until_lines(self, count: int, *, timeout: float = 30) -> None:
        """Wait for this many lines, the last one final."""
        await self.page.wait_for_function(
            """count => {
              const lines = [...document.querySelectorAll(".line[data-role]")];
              return lines.length >= count &&
                !document.querySelector(".line .playing, .line .text.live, .waiting") &&
                lines.at(-1).dataset.role === "assistant";
            }""",
            arg=count,
            timeout=timeout * 1000,
        )

    async def heard(self, call: int = 0) -> bytes:
        """The audio that the page played in its nth call: PCM16 at 24 kHz."""
        await asyncio.sleep(0.5)  # the jitter buffer still holds the end of the reply
        return base64.b64decode(await self.page.evaluate(f"takeHeard({call})"))

    async def api(self, path: str) -> Any:
        """The server's response to a GET of the page."""
        return await self.page.evaluate(
            "async path => (await fetch('api/' + path)).json()", path
        )

    async def session(self) -> str:
        """The id of the selected session."""
        found: str = await self.page.get_attribute("main", "data-session")
        return found

    async def records(self, **query: str) -> list[dict[str, Any]]:
        search = "&".join(f"{name}={value}" for name, value in query.items())
        told = await self.api(f"sessions/{await self.session()}/records?{search}")
        found: list[dict[str, Any]] = told["records"]
        return found

    async def axe(self) -> list[str]:
        """The serious and critical findings of axe-core."""
        package = importlib.util.find_spec("axe_playwright_python")
        if package is None or package.origin is None:
            lacking("axe is missing: pip install axe-playwright-python")
        script = Path(package.origin).with_name("axe.min.js").read_text()
        await self.page.evaluate(script)
        told = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{found['id']}: {found['help']}: {json.dumps(node['target'])}"
            for found in told["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]


@contextlib.asynccontextmanager
async def visiting(
    served: Served,
    *,
    sound: Path | None = None,
    loop: bool = False,
    without: Sequence[str] = (),
    script: str = "",
    **context: Any,
) -> AsyncIterator[Visit]:
    """A browser with a fresh profile; its microphone plays ``sound`` from the start.

    ``without`` are flags that it does not get, ``script`` runs before the page does,
    ``context`` is Playwright's. Fails at the end if anything went wrong in the page.
    """
    if importlib.util.find_spec("playwright") is None:
        lacking("playwright is missing: pip install playwright")
    from playwright.async_api import async_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        lacking("chromium is missing: sudo apt-get install chromium")
    flags = [flag for flag in (*_FLAGS, LOOPBACK) if flag not in without]
    if sound is not None:
        file = f"{sound}{'' if loop else '%noloop'}"
        flags.append(f"--use-file-for-fake-audio-capture={file}")
    context = {"viewport": {"width": 1360, "height": 860}, "locale": "en-GB", **context}
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=flags)
        try:
            opened = await browser.new_context(**context)
            await opened.route(_is_elsewhere, lambda route: route.abort())
            await opened.add_init_script(_LISTEN)
            if script:
                await opened.add_init_script(script)
            visit = Visit(await opened.new_page(), served)
            try:
                await visit.open()
                yield visit
            except BaseException as error:
                for wrong in visit.wrong:
                    error.add_note(wrong)
                raise
            if visit.wrong:
                pytest.fail("\n".join(visit.wrong))
        finally:
            await browser.close()


def _is_elsewhere(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws") and parts.hostname != "127.0.0.1"
