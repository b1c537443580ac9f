"""Start and end of ``duologue web``."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from ...conftest import Outcome

Start = Callable[..., Awaitable[asyncio.subprocess.Process]]
Run = Callable[..., Awaitable["Outcome"]]

AUTH = """
def who(request):
    return request.headers.get("x-user")
"""


async def ready(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """The line on standard output."""
    assert process.stdout is not None
    async with asyncio.timeout(30):
        found: dict[str, Any] = json.loads(await process.stdout.readline())
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_the_page_until_it_is_stopped(
    started: Start, number: signal.Signals
) -> None:
    process = await started("web", "--local", "--port", "0", "--json")
    printed = await ready(process)
    async with httpx.AsyncClient(base_url=printed["url"]) as http:
        assert (await http.get("")).status_code == 200
        config = (await http.get("api/config")).json()
    assert config["mode"] == "relay"
    assert config["service"] == {
        "name": "local service (scripted, not a language model)",
        "local": True,
    }
    process.send_signal(number)
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b"")


async def test_only_its_url_is_printed(started: Start) -> None:
    process = await started("web", "--local", "--port", "0", "--no-open")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode().strip()
    assert line.startswith("http://127.0.0.1:")
    assert line.endswith("/")


async def test_requests_are_authenticated(started: Start, tmp_path: Path) -> None:
    """By a function that is imported from the current folder."""
    (tmp_path / "mine.py").write_text(AUTH)
    process = await started(
        *("web", "--local", "--port", "0", "--json", "--auth", "mine:who", "--direct")
    )
    printed = await ready(process)
    async with httpx.AsyncClient(base_url=printed["url"]) as http:
        assert (await http.get("api/sessions")).status_code == 401
        known = await http.get("api/config", headers={"X-User": "ada"})
        assert known.json()["mode"] == "direct"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
async def test_other_machines_need_authentication(duologue: Run, host: str) -> None:
    """Without it the command does not start, nor without an allowed origin."""
    outcome = await duologue("web", "--local", "--host", host, "--port", "0")
    assert outcome.status == 1
    assert "--auth" in outcome.err
    named = await duologue("web", "--local", "--host", host, "--auth", "mine:who")
    assert named.status == 1
    assert "--allow-origin" in named.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--local", "--auth", "nothing:here"), "--auth nothing:here: "),
        (("--local", "--auth", "json:nothing"), "--auth json:nothing: "),
        (("--local", "--auth", "json:__doc__"), "it is not callable"),
        (("--base-url", "http://192.0.2.1/v1"), "must begin with https"),
        ((), "OPENAI_API_KEY is not set"),
    ],
)
async def test_an_error_at_the_start_is_one_line(
    duologue: Run, options: tuple[str, ...], message: str
) -> None:
    key = {"OPENAI_API_KEY": "sk-any"} if options else {}
    outcome = await duologue("web", "--no-open", "--port", "0", *options, env=key)
    assert outcome.status == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


async def test_a_used_port_is_named(started: Start, duologue: Run) -> None:
    process = await started("web", "--local", "--port", "0", "--json")
    port = httpx.URL((await ready(process))["url"]).port
    outcome = await duologue("web", "--local", "--no-open", "--port", str(port))
    assert outcome.status == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in outcome.err
