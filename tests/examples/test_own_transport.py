"""The transport of the guide passes the contract tests."""

from __future__ import annotations

import asyncio
import contextlib
import runpy
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from duologue.transports.testing import (
    Rig,
    Script,
    TransportTests,
    follow,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_transport.py"


def make(host: str, port: int) -> Any:
    return runpy.run_path(str(EXAMPLE))["LinesTransport"](host, port)


async def be_far_side(
    script: Script,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    got: list[str],
) -> None:
    """Follow the script; send a close at an agreed end."""

    async def read() -> None:
        while line := (await reader.readline()).decode():
            got.append(line.removesuffix("\n"))

    async def send(frame: str | bytes) -> None:
        data = frame if isinstance(frame, bytes) else frame.encode()
        writer.write(data + b"\n")
        await writer.drain()

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        await follow(script, send=send, received=lambda: got)
        if script.ending == "closed":
            writer.write(b"\n")
        if script.ending != "open":
            writer.close()


class TestLines(TransportTests):
    """A TCP server on loopback that follows the script, line by line."""

    @contextlib.asynccontextmanager
    async def rig(self, script: Script) -> AsyncIterator[Rig]:
        got: list[str] = []
        accepted: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(be_far_side(script, reader, writer, got))
            accepted.append((task, writer))

        server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
        port = server.sockets[0].getsockname()[1]
        try:
            yield Rig(make("127.0.0.1", port), received=lambda: got)
        finally:
            # asyncio leaks a connection accepted while the server closes.
            await asyncio.sleep(0.01)
            server.close()
            for task, writer in accepted:
                task.cancel()
                writer.close()
            tasks = (task for task, _ in accepted)
            await asyncio.gather(*tasks, return_exceptions=True)

    def unreachable(self) -> Rig:
        return Rig(make("127.0.0.1", 9))


def test_the_example_prints_what_its_page_says() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, text=True, check=False
    )
    assert (done.stdout.splitlines(), done.stderr) == (
        ["user: hello", "assistant: Hello there. It is good to hear you."],
        "",
    )
