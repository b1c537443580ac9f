"""Connecting and closing leaks no resources."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest

from duologue.core import SessionConfig
from duologue.transports import Client, webrtc

pytestmark = pytest.mark.realtime


def counts() -> dict[str, int]:
    """Tasks, threads and file descriptors of this process."""
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
    }


async def settled() -> dict[str, int]:
    """The stable counts: the far side notices a close with a delay."""
    now, since = counts(), 0
    while since < 10:
        await asyncio.sleep(0.1)
        now, before = counts(), now
        since = since + 1 if now == before else 0
    return now


async def test_twenty_cycles_leave_nothing(
    client: Client, config: SessionConfig
) -> None:
    """After a warm-up, 20 connections leave no task, descriptor or thread."""

    async def cycle() -> None:
        session = await client.start_session(config, transport=webrtc())
        await client.close_session(session.id)

    for _ in range(3):
        await cycle()
    before = await settled()
    for _ in range(20):
        await cycle()
    assert await settled() == before
