"""The time to connect over WebRTC on loopback."""

from __future__ import annotations

import statistics
import time
from typing import Any

from duologue.local import LocalService, Parts
from duologue.transports import Client, Credentials, webrtc

__all__ = ["measure"]

WARM_UP, CYCLES = 3, 50


async def measure() -> list[dict[str, Any]]:
    """From the call of `start_session` to the open data channel, in ms.

    Client and service share the process and its event loop, so both ends count.
    """
    async with (
        LocalService(parts=Parts()) as service,
        Client(credentials=Credentials("made-up"), base_url=service.base_url) as client,
    ):
        times = [await _cycle(client) for _ in range(WARM_UP + CYCLES)][WARM_UP:]
    cuts = statistics.quantiles(times, n=20)
    return [
        {
            "what": f"connect to data channel open, p50 of {CYCLES}, ms",
            "value": round(statistics.median(times), 1),
            "expected": "under 100",
        },
        {
            "what": f"connect to data channel open, p95 of {CYCLES}, ms",
            "value": round(cuts[-1], 1),
            "expected": "",
        },
    ]


async def _cycle(client: Client) -> float:
    began = time.perf_counter()
    session = await client.start_session(transport=webrtc())
    took = (time.perf_counter() - began) * 1000
    await client.close_session(session.id)
    return took
