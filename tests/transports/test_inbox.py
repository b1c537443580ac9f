"""The inbox: order, limit, and end."""

from __future__ import annotations

import asyncio

import pytest

from duologue.transports.errors import ConnectionLost, NotConnected
from duologue.transports.inbox import Inbox


async def test_order_is_kept_and_the_end_comes_last() -> None:
    """Queued frames are delivered, then the iterator stops."""
    inbox: Inbox[str] = Inbox()
    assert [inbox.put_nowait(frame) for frame in "abc"] == [True] * 3
    inbox.end()
    assert [frame async for frame in inbox.frames()] == ["a", "b", "c"]


async def test_a_waiting_reader_is_woken() -> None:
    """A frame and the end both wake it."""
    inbox: Inbox[str] = Inbox()

    async def read() -> list[str]:
        return [frame async for frame in inbox.frames()]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    await inbox.put("a")
    await asyncio.sleep(0)
    inbox.end()
    assert await reading == ["a"]


async def test_the_first_end_is_the_one() -> None:
    """A close after a loss does not hide the loss from any reader."""
    inbox: Inbox[str] = Inbox()
    inbox.end(ConnectionLost("gone"))
    inbox.end()
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="gone"):
            await anext(inbox.frames())


async def test_there_is_a_bound() -> None:
    """A full inbox accepts nothing until a frame is read."""
    inbox: Inbox[str] = Inbox(limit=1)
    assert inbox.put_nowait("a")
    assert not inbox.put_nowait("b")
    putting = asyncio.create_task(inbox.put("c"))
    await asyncio.sleep(0)
    frames = inbox.frames()
    assert await anext(frames) == "a"
    await putting
    assert await anext(frames) == "c"


async def test_nothing_enters_after_the_end() -> None:
    """`put` raises, also in a task that waits for space."""
    inbox: Inbox[str] = Inbox(limit=1)
    await inbox.put("a")
    putting = asyncio.create_task(inbox.put("b"))
    await asyncio.sleep(0)
    inbox.end()
    with pytest.raises(NotConnected):
        await putting
    assert not inbox.put_nowait("c")
