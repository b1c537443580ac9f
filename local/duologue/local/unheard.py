"""What a caller says while nobody listens: packets that are decoded when they count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from duologue.transports._opus import OpusDecoder

__all__ = ["Unheard"]

#: Packets that are kept, of 20 ms each: as much as waits for a commit by hand.
_KEPT = 420_000 // 20


class _Listener(Protocol):
    """What hears the call."""

    @property
    def listens(self) -> bool:
        """Whether sound has a meaning as it comes."""

    def hear(self, pcm24k: bytes) -> None:
        """Take the sound that follows."""


class Unheard:
    """Hands a call's Opus packets to a listener as sound, or keeps them.

    Without turn detection sound waits for what the client will ask for, a commit
    above all. So it stays packets until the client's next event (`catch_up`): most
    of it is never decoded. A packet decodes in 40 µs, a minute in 0.1 s.
    """

    def __init__(
        self,
        listener: _Listener,
        new_decoder: Callable[[], OpusDecoder] = OpusDecoder,
    ) -> None:
        self._listener = listener
        self._new_decoder = new_decoder
        self._decoder: OpusDecoder | None = None
        self._packets: deque[bytes] = deque(maxlen=_KEPT)

    def take(self, packet: bytes) -> None:
        """The packet that follows."""
        self._packets.append(packet)
        if self._listener.listens:
            self.catch_up()

    def catch_up(self) -> None:
        """The client is about to be heard: give the listener all there is."""
        if not self._packets:
            return
        if self._decoder is None:
            self._decoder = self._new_decoder()
        packets, self._packets = self._packets, deque(maxlen=_KEPT)
        if pcm := b"".join(map(self._decoder.decode, packets)):
            self._listener.hear(pcm)
