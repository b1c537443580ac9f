"""CPU time of sessions of the local service, next to other WebRTC servers.

Server and callers each have a process; the server's CPU time is read from /proc.
pipecat and fastrtc are measured if ``benchmarks/install_peers.sh`` has installed them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import statistics
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from callers import cpu_seconds
from gauge import Target, missing, row

__all__ = [
    "COMPARED",
    "HERE",
    "LIBRARIES",
    "called",
    "measure",
    "python_of",
    "server_of",
]

Row = dict[str, Any]
Found = dict[str, float]

ROUNDS, SECONDS = 3, 20.0
#: Sessions of the service in a round, and of each library in the comparison: a number
#: that every library serves in time.
SESSIONS, COMPARED, HEARD = 20, 8, 4
IDLE = 200
HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers"
LIBRARIES = ("duologue", "pipecat", "fastrtc")


async def measure() -> list[Row]:
    """Interleaved rounds: each kind of session in turn, three times."""
    load = os.getloadavg()[0]
    found: dict[str, list[Found]] = {}
    for _ in range(ROUNDS):
        for case, (server, kind, sessions) in _cases().items():
            async with server_of(server) as (url, pid):
                result = await called(url, pid, sessions, kind)
            found.setdefault(case, []).append(result)
    return [
        *_on_time(found["many"]),
        *_beside(found),
        *_ear(found),
        *await _idle(),
        *await _idle_calls(),
        {"what": "load of the machine before", "value": round(load, 2)},
    ]


def _cases() -> dict[str, tuple[str, str, int]]:
    """Name to server, kind of caller and sessions, in the order of a round."""
    echoes = {name: (name, "echo", COMPARED) for name in LIBRARIES if python_of(name)}
    return {
        "many": ("service", "replies", SESSIONS),
        **echoes,
        "once": ("service", "replies", COMPARED),
        **{kind: ("service", kind, HEARD) for kind in ("off", "listening", "speaking")},
    }


def python_of(library: str) -> str | None:
    """The interpreter with a library installed; None if there is none."""
    if library in ("duologue", "service"):
        return sys.executable
    python = PEERS / library / "bin" / "python"
    return str(python) if python.exists() else None


@contextlib.asynccontextmanager
async def server_of(name: str) -> AsyncIterator[tuple[str, int]]:
    """A server in a separate process: its URL and process id."""
    python = python_of(name)
    assert python is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = [str(HERE / "echoes.py"), name, str(port)]
    if name == "service":
        program = [str(HERE / "served.py"), "quiet"]
    own = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    process = await asyncio.create_subprocess_exec(
        python,
        *program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=own if python == sys.executable else {**own, "PYTHONPATH": ""},
    )
    try:
        yield await _ready(name, process, port), process.pid
    finally:
        process.kill()
        await process.wait()


async def _ready(name: str, process: asyncio.subprocess.Process, port: int) -> str:
    """The URL of a server, once it responds."""
    assert process.stdout is not None
    if name == "service":
        line = json.loads(await process.stdout.readline())
        return str(line["base_url"])
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return f"http://127.0.0.1:{port}"
            await asyncio.sleep(0.2)


async def called(
    url: str, pid: int, sessions: int, kind: str, seconds: float = SECONDS
) -> Found:
    """The report of the callers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "callers.py"),
        *(url, str(pid), str(sessions), str(seconds), kind),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the callers ({kind}) failed")
    result: Found = json.loads(out)
    return result


def _median(found: list[Found], what: str) -> float:
    return statistics.median(each[what] for each in found)


def _on_time(found: list[Found]) -> list[Row]:
    what = f"{SESSIONS} sessions, audio both ways, turn detection off"
    rate, gap = Target("C1", 49, 49.9, "/s", more=True), Target("C2", 60, 40, "ms")
    return [
        row(
            rate,
            f"{what}: packets received, worst session of {ROUNDS} rounds",
            min(each["rate"] for each in found),
        ),
        row(gap, f"{what}: p99 gap, worst round", max(each["gap"] for each in found)),
        _percent(f"{what}: service, each", _median(found, "server")),
        _percent("our callers in the same rounds, each", _median(found, "callers")),
    ]


def _beside(found: dict[str, list[Found]]) -> list[Row]:
    """Live echo of each library, and audio that is encoded once."""
    own = found["duologue"]
    once = found["once"]
    rows = [
        _percent(f"live echo, {COMPARED} sessions: duologue", _median(own, "server")),
        _percent(
            f"encoded once, {COMPARED} sessions: service", _median(once, "server")
        ),
    ]
    for number, name in enumerate(LIBRARIES[1:], start=3):
        target = Target(f"C{number}", 0.6, 0.45)
        what = f"processor time of a live echo, of {name}'s"
        if (theirs := found.get(name)) is None:
            why = "not installed: benchmarks/install_peers.sh"
            rows.append(missing(target, what, why))
            continue
        share = _median(own, "server") / _median(theirs, "server")
        rows.append(row(target, what, share))
        rows.append(
            _percent(
                f"live echo, {COMPARED} sessions: {name}", _median(theirs, "server")
            )
        )
        rows.append(
            {
                "what": f"      {name}: packets a second, worst session",
                "value": round(min(each["rate"] for each in theirs), 1),
            }
        )
        rows.append(
            {
                "what": f"      encoded once, of {name}'s live echo",
                "value": round(_median(once, "server") / _median(theirs, "server"), 2),
            }
        )
    return rows


def _ear(found: dict[str, list[Found]]) -> list[Row]:
    """The extra cost of turn detection in a session."""
    off = _median(found["off"], "server")
    rows = [_percent("a session that is not listened to", off)]
    for kind in ("listening", "speaking"):
        server = _median(found[kind], "server") - off
        ear = _median(found[kind], "children")
        rows.append(_percent(f"more while {kind}: the service", server))
        rows.append(_percent(f"more while {kind}: the ear's process", ear))
    return rows


async def _idle() -> list[Row]:
    """Idle WebSocket sessions."""
    import websockets

    async with server_of("service") as (url, pid):
        address = f"ws{url.removeprefix('http')}/realtime?model=m"
        headers = {"Authorization": "Bearer made-up"}
        async with contextlib.AsyncExitStack() as stack:
            before = await _spent(pid)
            for _ in range(IDLE):
                await stack.enter_async_context(
                    websockets.connect(address, additional_headers=headers, proxy=None)
                )
            await asyncio.sleep(1)
            after = await _spent(pid)
    what = f"the service with no session, and with {IDLE} idle ones over WebSocket"
    return [_percent(f"{what}: before", before), _percent(f"{what}: with", after)]


async def _idle_calls() -> list[Row]:
    """Silent WebRTC sessions, on one side or on both."""
    rows = []
    for kind, said in (("idle", "nothing is sent"), ("off", "the client sends sound")):
        async with server_of("service") as (url, pid):
            found = await called(url, pid, IDLE if kind == "idle" else HEARD, kind)
        what = f"a WebRTC session in which nobody speaks, {said}"
        rows.append(_percent(what, found["server"]))
    return rows


async def _spent(pid: int) -> float:
    """Percent of a core over a number of seconds."""
    began = cpu_seconds(pid)
    await asyncio.sleep(10)
    return 100 * (cpu_seconds(pid) - began) / 10


def _percent(what: str, value: float) -> Row:
    return {"what": f"      {what}, % of a core", "value": round(value, 2)}
