"""Connects that do not succeed leave nothing: no task, no socket, no memory."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from duologue.core import SessionConfig
from duologue.local import in_process
from duologue.transports import Client, Credentials, Transport, webrtc, websocket

pytestmark = [pytest.mark.realtime, pytest.mark.deep]

CONNECTS = 1_000
#: Connects before the measurement: caches fill, modules are imported.
WARM = 50
#: MiB that the process may grow during the measured connects.
ROOM = 12.0
CONFIG = SessionConfig(output_modalities=("text",))

#: A service in its own process, so that the tasks here are those of the client.
SERVICE = """
import asyncio
from duologue.local import LocalService
async def serve():
    async with LocalService() as service:
        print(service.base_url, flush=True)
        await asyncio.Event().wait()
asyncio.run(serve())
"""


@asynccontextmanager
async def service() -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Takes connections and says nothing."""

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while await reader.read(1024):
                pass
        writer.close()

    server = await asyncio.start_server(keep, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"


def resident() -> float:
    """The resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def counted() -> tuple[int, int]:
    """The tasks and the open files, when everything that ends has ended."""
    for _ in range(50):
        await asyncio.sleep(0.2)
        gc.collect()
        if len(asyncio.all_tasks()) == 1:
            break
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))


async def end_one(
    urls: dict[str, str], way: str, transport: Transport, chance: random.Random
) -> None:
    """Start a session that is cancelled, refused, or too late."""
    key = Credentials("sk-test")
    async with Client(base_url=urls[way], credentials=key, backoff=None) as client:
        timeout = chance.uniform(0.001, 0.1) if way == "timeout" else 15.0
        start = asyncio.create_task(
            client.start_session(CONFIG, transport=transport, timeout=timeout)
        )
        if way == "cancel":
            await asyncio.sleep(chance.uniform(0, 0.2))
            start.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await start


@pytest.mark.parametrize(
    "make", [webrtc, websocket, in_process], ids=["webrtc", "websocket", "memory"]
)
async def test_ended_connects_leave_nothing(make: Callable[[], Transport]) -> None:
    """After 1,000 of them, tasks, open files and memory are as before."""
    chance = random.Random(8)
    async with service() as real, silent_server() as silent:
        refused = "http://127.0.0.1:9/v1"
        urls = {"cancel": real, "refuse": refused, "timeout": silent}
        for _ in range(WARM):
            await end_one(urls, chance.choice([*urls]), make(), chance)
        before, memory = await counted(), resident()
        for _ in range(CONNECTS):
            await end_one(urls, chance.choice([*urls]), make(), chance)
        assert await counted() == before
        assert resident() - memory < ROOM
