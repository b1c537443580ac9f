"""Fixtures that run the command, and services with fixed answers."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from duologue.adapters.cli import main
from duologue.local import LocalService
from duologue.transports.drivers.webrtc.peer import Peer

ROOT = Path(__file__).parents[2]
ROOTS = ("core", "transports", "local", "adapters")


@attrs.frozen
class Outcome:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


Run = Callable[..., Awaitable[Outcome]]
Start = Callable[..., Awaitable[asyncio.subprocess.Process]]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a command: without keys, with the four roots on the path."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENAI_", "DUOLOGUE_", "AZURE_", "XAI_"))
    }
    path = os.pathsep.join(str(ROOT / root) for root in ROOTS)
    return {**kept, "PYTHONPATH": path, "COLUMNS": "120", **changes}


def heed_interrupts() -> None:
    """Restore SIGINT, which shells ignore for background processes such as tests."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
async def started(tmp_path: Path) -> AsyncIterator[Start]:
    """``await started("local")``: a running command."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(
        *args: str | Path, stdout: Any = asyncio.subprocess.PIPE, **changes: str
    ) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "duologue"),
            *map(str, args),
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env=environment(**changes),
            cwd=tmp_path,
            preexec_fn=heed_interrupts,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def duologue(started: Start) -> Run:
    """``await duologue("talk", …)``: run the command in an empty folder."""

    async def run(
        *args: str | Path, stdin: str | bytes = "", env: dict[str, str] | None = None
    ) -> Outcome:
        typed = stdin.encode() if isinstance(stdin, str) else stdin
        process = await started(*args, **(env or {}))
        async with asyncio.timeout(90):
            out, err = await process.communicate(typed)
        return Outcome(process.returncode or 0, out.decode(), err.decode())

    return run


@pytest.fixture
def question() -> Path:
    """A WAV file with the question "Can you hear me?"."""
    return ROOT / "examples" / "question.wav"


@pytest.fixture
async def dead_answer() -> str:
    """A valid SDP answer of a peer that is closed."""
    asking = Peer(
        on_message=print, on_audio=None, next_audio=None, on_closed=print, loopback=True
    )
    answering = Peer(
        on_message=print, on_audio=None, next_audio=None, on_closed=print, loopback=True
    )
    try:
        return await answering.answer(await asking.offer())
    finally:
        await answering.close()
        await asking.close()


Serve = Callable[[bytes], Awaitable[str]]


@pytest.fixture
async def answering() -> AsyncIterator[Serve]:
    """``await answering(b"HTTP/1.1 …")``: the URL of a service with this answer."""
    servers: list[asyncio.Server] = []

    async def serve(answer: bytes) -> str:
        async def handle(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    yield serve
    for server in servers:
        server.close()
        await server.wait_closed()


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Command:
    """``command("say", …)``: run the command in this process, in an empty folder.

    The guards of the network and of the service's frames are active.
    """

    def run(
        *args: str | Path, stdin: str | bytes = "", env: dict[str, str] | None = None
    ) -> Outcome:
        typed = stdin.encode() if isinstance(stdin, str) else stdin
        with monkeypatch.context() as patch:
            for name in os.environ:
                if name.startswith(("OPENAI_", "DUOLOGUE_", "AZURE_", "XAI_")):
                    patch.delenv(name)
            for name, value in {"COLUMNS": "120", **(env or {})}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", ["duologue", *map(str, args)])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
            with pytest.raises(SystemExit) as ended:
                main()
            out, err = (part.decode() for part in capsysbinary.readouterr())
        if isinstance(ended.value.code, str):
            # The interpreter would print it and exit with 1.
            return Outcome(1, out, f"{err}{ended.value.code}\n")
        return Outcome(ended.value.code or 0, out, err)

    return run


ServeHere = Callable[..., str]


@pytest.fixture
def serving_here() -> Iterator[ServeHere]:
    """``serving_here(faults=…)``: the base URL of a local service in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout=60)

    def serve(**options: Any) -> str:
        service = LocalService(**options)
        wait(stack.enter_async_context(service))
        return service.base_url

    yield serve
    wait(stack.aclose())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
