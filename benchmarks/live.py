"""Live sessions of our client: latency of an event, and CPU time of a session.

Client and far side each have a process. The CPU time of a client's session is compared
with pipecat and fastrtc doing the same work: receive, decode, encode and send audio.
They are measured if ``benchmarks/install_peers.sh`` has installed them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import sys
from collections.abc import AsyncIterator
from typing import Any

from capacity import COMPARED, HERE, LIBRARIES, called, python_of, server_of
from gauge import Target, missing, row

__all__ = ["measure"]

Row = dict[str, Any]
Found = dict[str, float]

ROUNDS, SECONDS = 3, 20.0
#: Sessions whose events are timed, by transport.
SESSIONS = {"websocket": 50, "webrtc": 20}


async def measure() -> list[Row]:
    """Interleaved rounds: each case in turn, three times."""
    load = os.getloadavg()[0]
    found: dict[str, list[Found]] = {}
    for _ in range(ROUNDS):
        for kind in SESSIONS:
            found.setdefault(kind, []).append(await _timed(kind))
        found.setdefault("duologue", []).append(await _costs())
        for name in LIBRARIES[1:]:
            if python_of(name) is None:
                continue
            async with server_of(name) as (url, pid):
                result = await called(url, pid, COMPARED, "echo", SECONDS)
            found.setdefault(name, []).append(result)
    return [
        *_latency(found),
        *_cost(found),
        {"what": "load of the machine before", "value": round(load, 2)},
    ]


@contextlib.asynccontextmanager
async def _process(
    script: str, *arguments: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a process of the benchmark failed")
    return line


async def _timed(kind: str) -> Found:
    """The latency of events, in ms."""
    async with _process("far_side.py", "events") as far:
        url = json.loads(await _line(far))["base_url"]
        arguments = (kind, url, str(SESSIONS[kind]), str(SECONDS))
        async with _process("clients.py", *arguments) as client:
            found: Found = json.loads(await _line(client))
            return found


async def _costs() -> Found:
    """CPU time of the client's sessions, in percent of a core each."""
    async with _process("far_side.py", "sound") as far:
        url = json.loads(await _line(far))["base_url"]
        arguments = ("sound", url, str(COMPARED), str(SECONDS))
        async with _process("clients.py", *arguments) as client:
            await _line(client)
            assert far.stdin is not None
            far.stdin.write(f"{client.pid} {COMPARED} {SECONDS}\n".encode())
            found: Found = json.loads(await _line(far))
            return found


def _median(found: list[Found], what: str) -> float:
    return statistics.median(each[what] for each in found)


def _latency(found: dict[str, list[Found]]) -> list[Row]:
    rows = []
    for number, (kind, sessions) in enumerate(SESSIONS.items(), start=1):
        what = f"{sessions} sessions over {kind}: event sent to subscriber called"
        rounds = found[kind]
        rows += [
            row(
                Target(f"V{number}", 50, 20, "ms"),
                f"{what}, p99, worst round",
                max(each["p99"] for each in rounds),
            ),
            _plain(f"{what}, p50, ms", _median(rounds, "p50")),
            _plain("events a second", _median(rounds, "rate")),
            _plain("the client's process, % of a core", _median(rounds, "cpu")),
            _plain("it waited for a core, % of the time", _median(rounds, "waited")),
        ]
    return rows


def _cost(found: dict[str, list[Found]]) -> list[Row]:
    """The ratio of our session to a session of another library."""
    ours = _median(found["duologue"], "client")
    what = f"{COMPARED} live sessions with sound both ways, % of a core each"
    rate = min(each["rate"] for each in found["duologue"])
    rows = [
        _plain(f"{what}: duologue's client", ours),
        _plain("its packets a second, worst session", rate),
    ]
    for number, name in enumerate(LIBRARIES[1:], start=3):
        target = Target(f"V{number}", 0.6, 0.45)
        of = f"processor time of a live client session, of {name}'s end"
        if (theirs := found.get(name)) is None:
            why = "not installed: benchmarks/install_peers.sh"
            rows.append(missing(target, of, why))
            continue
        cost = _median(theirs, "server")
        rows += [
            row(target, of, ours / cost),
            _plain(f"{what}: {name}", cost),
            _plain(
                "its packets a second, worst session",
                min(each["rate"] for each in theirs),
            ),
        ]
    return rows


def _plain(what: str, value: float) -> Row:
    return {"what": f"      {what}", "value": round(value, 2)}
