"""Frames on their way to `Transport.frames`: in order, bounded, with an end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from .errors import DuologueError, NotConnected

__all__ = ["Inbox"]

Frame = TypeVar("Frame", bound=str | bytes)


class Inbox(Generic[Frame]):
    """A queue that one iterator empties, and that ends once, with or without error.

    ``limit`` is the number of frames that may wait. What came before the end is
    still given out.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._error: DuologueError | None = None

    def put_nowait(self, frame: Frame) -> bool:
        """Append a frame; false where there is no room or the end was reached."""
        if self._ended or len(self._frames) >= self._limit:
            return False
        self._frames.append(frame)
        self._wake()
        return True

    async def put(self, frame: Frame) -> None:
        """Append a frame, waiting for room. Raises `NotConnected` after the end."""
        while not self.put_nowait(frame):
            if self._ended:
                raise NotConnected("the far end is closed")
            await self._changed.wait()

    def end(self, error: DuologueError | None = None) -> None:
        """Let the iterator stop, or raise ``error``. The first end is the one."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    async def frames(self) -> AsyncIterator[Frame]:
        """The frames as they come, until the end."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                self._wake()
                yield frame
            if self._ended:
                break
            await self._changed.wait()
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        # Whoever waits looks again; a fresh event keeps the next wait from passing.
        self._changed.set()
        self._changed = asyncio.Event()
