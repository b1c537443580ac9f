"""The options of ``duologue local``."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.conftest import FrameGuard

KEY = {"Authorization": "Bearer sk-right"}
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]
Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serving(started: Start) -> Serve:
    """``async with serving("--key", …) as http``: an HTTP client of the service."""

    @contextlib.asynccontextmanager
    async def run(
        *options: str | Path, **environment: str
    ) -> AsyncIterator[httpx.AsyncClient]:
        process = await started("local", "--json", *options, **environment)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            ready: dict[str, Any] = json.loads(await process.stdout.readline())
        assert ready["replies"] == "scripted, not a language model"
        async with httpx.AsyncClient(base_url=ready["base_url"], headers=KEY) as http:
            yield http
        process.terminate()
        await process.communicate()
        assert process.returncode == 0

    return run


async def test_only_the_given_key_is_accepted(serving: Serve) -> None:
    """From the option or the environment, which a list of processes does not show."""
    for options, environment in (
        (("--key", "sk-right"), {}),
        ((), {"DUOLOGUE_LOCAL_KEY": "sk-right"}),
    ):
        async with serving(*options, **environment) as http:
            answer = await http.post("/realtime/client_secrets")
            assert answer.status_code == 200
            wrong = {"Authorization": "Bearer sk-wrong"}
            answer = await http.post("/realtime/client_secrets", headers=wrong)
            assert answer.status_code == 401


async def test_limits_origins_and_failures(serving: Serve) -> None:
    async with serving(
        *("--allow-origin", "http://localhost:3000", "--max-listening", "0"),
        *("--fail", "503", "--session-seconds", "60"),
    ) as http:
        answer = await http.post("/realtime/client_secrets")
        assert answer.status_code == 503
        for origin, status in (("http://localhost:3000", 200), ("http://x.y", 403)):
            headers = {"Origin": origin}
            answer = await http.post("/realtime/client_secrets", headers=headers)
            assert answer.status_code == status
        answer = await http.post("/realtime/calls", files={"sdp": (None, "v=0")})
        assert answer.status_code == 429


async def test_a_service_for_others_without_a_key_is_a_warning(started: Start) -> None:
    for options, warned in (((), True), (("--key", "sk-right"), False)):
        process = await started("local", "--host", "0.0.0.0", *options)
        assert process.stderr is not None
        async with asyncio.timeout(30):
            first = await process.stderr.readline()
        assert (b"started without a key" in first) is warned
        process.terminate()
        await process.communicate()


@pytest.mark.parametrize("option", ["--scenario", "--faults"])
async def test_a_file_that_cannot_be_used_is_one_line(
    started: Start, tmp_path: Path, option: str
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("rules: 7\n")
    for path, why in ((bad, b"bad.yaml, line 1"), (tmp_path / "no", b"No such file")):
        process = await started("local", option, path)
        _, err = await process.communicate()
        assert process.returncode == 1
        assert why in err
        assert err.count(b"\n") == 1


async def answered(http: httpx.AsyncClient, guard: FrameGuard) -> list[dict[str, Any]]:
    """The events of a response in text, which the guard has read."""
    from websockets.asyncio.client import connect

    url = str(http.base_url).replace("http", "ws", 1) + "realtime?model=m"
    events: list[dict[str, Any]] = []
    async with connect(url, additional_headers=KEY) as far:
        response = {"output_modalities": ["text"]}
        await far.send(json.dumps({"type": "response.create", "response": response}))
        async with asyncio.timeout(10):
            while not events or events[-1]["type"] != "response.done":
                frame = await far.recv(decode=True)
                guard.check(frame)
                events.append(json.loads(frame))
    return events


async def test_a_scenario_scripts_the_replies(
    serving: Serve, tmp_path: Path, frame_guard: FrameGuard
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rules:\n  - say: As I was told.\n")
    async with serving("--scenario", file) as http:
        done = (await answered(http, frame_guard))[-1]
    assert done["response"]["output"][0]["content"][0]["text"] == "As I was told."


async def test_faults_are_injected(
    serving: Serve, tmp_path: Path, frame_guard: FrameGuard
) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults:\n  - {event: response.created, session: 2, drop: true}\n")
    async with serving("--faults", file) as http:
        whole = [event["type"] for event in await answered(http, frame_guard)]
        faulty = [event["type"] for event in await answered(http, frame_guard)]
    assert "response.created" in whole
    whole.remove("response.created")
    assert faulty == whole
