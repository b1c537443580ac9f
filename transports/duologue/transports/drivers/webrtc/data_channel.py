"""What goes out by a data channel, and how much of it may wait.

It imports no library: the channel, which is aiortc's, is handed in.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ...errors import DuologueError

__all__ = ["SEND_LIMIT", "Room", "send_text"]

#: Bytes that may wait to be sent; beyond it who sends waits, as over WebSocket.
SEND_LIMIT = 256 * 1024


class Room:
    """Lets those who send wait while too much does."""

    def __init__(self) -> None:
        self._channel: Any = None
        self._changed = asyncio.Event()
        self._ended = False

    def watch(self, channel: Any) -> None:
        """This is the channel that is sent on."""
        channel.bufferedAmountLowThreshold = SEND_LIMIT
        channel.on("bufferedamountlow", self._changed.set)
        self._channel = channel

    def end(self) -> None:
        """Nothing more is sent: nobody waits any more."""
        self._ended = True
        self._changed.set()

    async def wait(self) -> None:
        """Return once no more than `SEND_LIMIT` bytes wait, or at the end."""
        while self._is_full():
            self._changed.clear()
            await self._changed.wait()

    def _is_full(self) -> bool:
        if self._ended or self._channel is None:
            return False
        channel = self._channel
        return bool(channel.bufferedAmount > channel.bufferedAmountLowThreshold)


def send_text(channel: Any, text: str) -> None:
    """Send one message. Raises `DuologueError` for one that cannot be sent."""
    try:
        channel.send(text)
    except ValueError as error:
        # The far side's limit, or a lone surrogate, which no UTF-8 can carry.
        raise DuologueError(f"a message cannot be sent: {error}") from None
