"""Live sessions of our client in a separate process, for `live`.

    python benchmarks/clients.py websocket|webrtc|sound URL SESSIONS SECONDS

``websocket`` and ``webrtc`` measure the latency of events from a `far_side` to a
subscriber of the store: a line of JSON in ms. ``sound`` echoes received audio, prints
``ready``, and ends when its input closes.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from duologue.core import Record, SessionConfig
from duologue.transports import Client, Credentials, webrtc, websocket

_WARM_UP = 3.0
_SENT = b'"sent_at":'
#: Maximum ms of audio in the buffer of an echo.
_KEPT = 200 * 48


class Echo:
    """A microphone that returns the audio of the speaker."""

    def __init__(self) -> None:
        self._line = bytearray()

    def read(self, samples: int) -> bytes:
        """Buffered audio."""
        pcm = bytes(self._line[: samples * 2])
        del self._line[: samples * 2]
        return pcm

    def write(self, pcm: bytes) -> None:
        """Buffer received audio."""
        self._line += pcm
        del self._line[:-_KEPT]

    def flush(self) -> None:
        """Do nothing: there is no playback buffer."""


def _waited() -> float:
    """Seconds that this thread was runnable but had no core (Linux)."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


def _transport(kind: str) -> Any:
    if kind == "sound":
        echo = Echo()
        return webrtc(source=echo, sink=echo)
    return webrtc() if kind == "webrtc" else websocket()


async def run(kind: str, url: str, sessions: int, seconds: float) -> None:
    """Connect all sessions, then measure or wait."""
    times: list[float] = []

    def told(before: object, record: Record, after: object) -> None:
        at = record.frame.rfind(_SENT)
        if at > 0:
            times.append(time.monotonic() - float(record.frame[at + len(_SENT) : -1]))

    async with Client(credentials=Credentials("made-up"), base_url=url) as client:
        for _ in range(sessions):
            await client.start_session(SessionConfig(), transport=_transport(kind))
        if kind == "sound":
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)
            return
        client.store.subscribe(told)
        await asyncio.sleep(_WARM_UP)
        times.clear()
        cpu, waited = time.process_time(), _waited()
        await asyncio.sleep(seconds)
        cpu, waited = time.process_time() - cpu, _waited() - waited
    cuts = statistics.quantiles(times, n=100)
    found = {
        "p50": cuts[49] * 1000,
        "p99": cuts[98] * 1000,
        "most": max(times) * 1000,
        "rate": len(times) / seconds,
        "cpu": 100 * cpu / seconds,
        "waited": 100 * waited / seconds,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:3], int(sys.argv[3]), float(sys.argv[4])))
