"""Packets in their order, with no more delay than the order needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["DEPTH", "PacketOrder"]

#: Packets that may come while a missing one is waited for (20 ms each).
DEPTH = 3
#: A number further away than this means that the stream began anew.
_FAR = 100
_NUMBERS = 1 << 16


class PacketOrder:
    """Stands in for aiortc's jitter buffer of a receiver, with the same `add`.

    aiortc's keeps back 4 packets of sound at all times: 80 ms of each direction. One
    Opus packet is one frame, so here a packet whose turn it is goes to ``deliver`` at
    once, and only a gap waits, for `DEPTH` later packets at most. What is late, double
    or empty is dropped. Numbers are those of RTP, 16 bits that wrap (RFC 3550).
    """

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._next: int | None = None
        self._held: dict[int, bytes] = {}

    def add(self, packet: Any) -> tuple[bool, None]:
        """Take an RTP packet; gives what aiortc reads as "no frame to decode"."""
        number: int = packet.sequence_number
        if self._next is None or self._is_far(number):
            self._held.clear()
            self._next = number
        if self._ahead(number) < _FAR:
            self._held[number] = packet._data
            if len(self._held) > DEPTH:
                self._next = min(self._held, key=self._ahead)
            self._flush()
        return False, None

    def _flush(self) -> None:
        assert self._next is not None
        while (data := self._held.pop(self._next, None)) is not None:
            self._next = (self._next + 1) % _NUMBERS
            if data:
                self._deliver(data)

    def _ahead(self, number: int) -> int:
        assert self._next is not None
        return (number - self._next) % _NUMBERS

    def _is_far(self, number: int) -> bool:
        return _FAR <= self._ahead(number) <= _NUMBERS - _FAR
