"""``duologue local``: the offline service, until it is interrupted."""

from __future__ import annotations

import asyncio
import signal
import sys

import msgspec

from duologue.local import LocalService

__all__ = ["run"]


def run(host: str, port: int, *, json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises a `DuologueError` if it cannot."""
    asyncio.run(_serve(host, port, json=json))


async def _serve(host: str, port: int, *, json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with LocalService(host=host, port=port) as service:
        url = service.base_url
        print(
            msgspec.json.encode({"base_url": url}).decode() if json else url, flush=True
        )
        print(
            "duologue local: replies are scripted, not a language model; "
            "Ctrl-C ends it",
            file=sys.stderr,
            flush=True,
        )
        await stop.wait()
