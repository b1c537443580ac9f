"""A jitter buffer that adds no delay unless a packet is missing."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["DEPTH", "JitterBuffer"]

#: Number of later packets that wait for a missing one (20 ms each).
DEPTH = 3
#: A sequence number further away than this starts a new stream.
_FAR = 100
_NUMBERS = 1 << 16


class JitterBuffer:
    """Passes packets to ``deliver`` in order. Replaces the jitter buffer of aiortc.

    aiortc always delays audio by 4 packets (80 ms). Here each packet is one Opus frame,
    so this buffer delivers the next packet at once. It waits only for a missing packet,
    until `DEPTH` later ones have arrived. Late, duplicate and empty packets are
    dropped. Numbers are RTP sequence numbers, 16 bits that wrap (RFC 3550).
    """

    def __init__(self, deliver: Callable[[bytes], None]) -> None:
        self._deliver = deliver
        self._next: int | None = None
        self._held: dict[int, bytes] = {}

    def add(self, number: int, data: bytes) -> None:
        """Take the packet with this sequence number."""
        if self._next is None or self._is_far(number):
            self._held.clear()
            self._next = number
        if self._ahead(number) < _FAR:
            self._held[number] = data
            if len(self._held) > DEPTH:
                self._next = min(self._held, key=self._ahead)
            self._flush()

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
