"""A bounded queue of received frames, behind `Transport.frames`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from .errors import DuologueError, NotConnected

__all__ = ["Inbox"]

Frame = TypeVar("Frame", bound=str | bytes)


class Inbox(Generic[Frame]):
    """A queue for one reader that ends once, with or without an error.

    ``limit`` is the maximum number of queued frames. Frames queued before the end are
    still delivered.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._changed = asyncio.Event()
        self._ended = False
        self._error: DuologueError | None = None

    def put_nowait(self, frame: Frame) -> bool:
        """Append a frame; return False if the queue is full or has ended."""
        if self._ended or len(self._frames) >= self._limit:
            return False
        self._frames.append(frame)
        self._wake()
        return True

    async def put(self, frame: Frame) -> None:
        """Append a frame; wait while full. Raises `NotConnected` after `end`."""
        while not self.put_nowait(frame):
            if self._ended:
                raise NotConnected("the connection has ended")
            await self._changed.wait()

    def end(self, error: DuologueError | None = None) -> None:
        """Stop the iterator, or let it raise ``error``. Later calls do nothing."""
        if not self._ended:
            self._ended = True
            self._error = error
            self._wake()

    async def frames(self) -> AsyncIterator[Frame]:
        """Frames in order, until the end."""
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
        # All waiters check again; a new event makes the next wait block.
        self._changed.set()
        self._changed = asyncio.Event()
