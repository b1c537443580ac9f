"""Decodes a call's Opus packets only when the session needs the audio."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from duologue.transports.drivers.webrtc.opus import OpusDecoder

__all__ = ["DeferredDecoder"]

#: Maximum number of kept packets (20 ms each): the length of the input buffer.
_KEPT = 420_000 // 20
#: Packets decoded in one step: 5 s of audio, which takes 10 ms.
_AT_ONCE = 250


class _Session(Protocol):
    """The session that takes the audio."""

    @property
    def listens(self) -> bool:
        """Whether audio is processed as it arrives."""

    def hear(self, pcm24k: bytes) -> None:
        """Take the next audio, PCM16 at 24 kHz."""


class DeferredDecoder:
    """Passes a call's audio to its session, or keeps the packets for later.

    Without turn detection the audio is needed only when the client commits it. So the
    packets are kept until the client's next event (`catch_up`), and most are never
    decoded. Decoding takes 40 µs for a packet, 0.1 s for a minute.
    """

    def __init__(
        self,
        session: _Session,
        new_decoder: Callable[[], OpusDecoder] = OpusDecoder,
    ) -> None:
        self._session = session
        self._new_decoder = new_decoder
        self._decoder: OpusDecoder | None = None
        self._packets: deque[bytes] = deque(maxlen=_KEPT)

    def take(self, packet: bytes) -> None:
        """Take the next packet."""
        self._packets.append(packet)
        if self._session.listens:
            for _ in self.catch_up():
                pass

    def catch_up(self) -> Iterator[None]:
        """Decode all packets, in steps; includes packets that arrive meanwhile."""
        if self._decoder is None and self._packets:
            self._decoder = self._new_decoder()
        while self._packets and self._decoder is not None:
            count = min(_AT_ONCE, len(self._packets))
            packets = [self._packets.popleft() for _ in range(count)]
            if pcm := b"".join(map(self._decoder.decode, packets)):
                self._session.hear(pcm)
            yield
