"""Sending on a data channel, with back-pressure.

The module does not import aiortc; it gets the channel as an argument.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ...errors import DuologueError

__all__ = ["SEND_LIMIT", "BackPressure", "send_text"]

#: Bytes that may be buffered for sending; then senders wait, as over WebSocket.
SEND_LIMIT = 256 * 1024


class BackPressure:
    """Makes senders wait while the channel's buffer is full."""

    def __init__(self) -> None:
        self._channel: Any = None
        self._changed = asyncio.Event()
        self._ended = False

    def watch(self, channel: Any) -> None:
        """Set the channel."""
        channel.bufferedAmountLowThreshold = SEND_LIMIT
        channel.on("bufferedamountlow", self._changed.set)
        self._channel = channel

    def end(self) -> None:
        """Let all waiting senders continue: the channel is closed."""
        self._ended = True
        self._changed.set()

    async def wait(self) -> None:
        """Return when at most `SEND_LIMIT` bytes are buffered, or at the end."""
        while self._is_full():
            self._changed.clear()
            await self._changed.wait()

    def _is_full(self) -> bool:
        if self._ended or self._channel is None:
            return False
        channel = self._channel
        return bool(channel.bufferedAmount > channel.bufferedAmountLowThreshold)


def send_text(channel: Any, text: str) -> None:
    """Send one message. Raises `DuologueError` if the channel refuses it."""
    try:
        channel.send(text)
    except ValueError as error:
        # The text exceeds the far side's limit, or has a lone surrogate.
        raise DuologueError(f"cannot send a message: {error}") from None
