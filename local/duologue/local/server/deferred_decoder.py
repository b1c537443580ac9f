"""What a caller says while nobody listens: packets that are decoded when they count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from duologue.transports.drivers.webrtc.opus import OpusDecoder

__all__ = ["Unheard"]

#: Packets that are kept, of 20 ms each: as much as waits for a commit by hand.
_KEPT = 420_000 // 20
#: Packets that are decoded without a pause: 5 s of sound, which takes 10 ms.
_AT_ONCE = 250


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
            for _ in self.catch_up():
                pass

    def catch_up(self) -> Iterator[None]:
        """The client is about to be heard: give the listener all there is.

        Pauses where there is much of it; what comes meanwhile is part of it.
        """
        if self._decoder is None and self._packets:
            self._decoder = self._new_decoder()
        while self._packets and self._decoder is not None:
            count = min(_AT_ONCE, len(self._packets))
            packets = [self._packets.popleft() for _ in range(count)]
            if pcm := b"".join(map(self._decoder.decode, packets)):
                self._listener.hear(pcm)
            yield
