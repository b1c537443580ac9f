"""Frames of sound to packets: the same sound is encoded once for all who hear it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable

from ...contract import FRAME_SAMPLES

__all__ = ["FRAME_BYTES", "PacketCache", "Packets"]

#: Bytes of PCM16 in one frame.
FRAME_BYTES = FRAME_SAMPLES * 2
#: Packets that are kept: ten minutes of sound, about 8 MB.
_KEPT = 30_000
#: Silent frames that still belong to the sound before them: an encoder looks ahead,
#: so the end of the sound comes out with them.
_TAIL = 3
#: Frames that a new encoder is shown before the one whose packet is wanted.
_LEAD = 3
_SILENCE = bytes(FRAME_BYTES)

#: A frame of PCM16 to its packet, in the context of the frames before.
Encode = Callable[[bytes], bytes]


class PacketCache:
    """Packets by the sound that led to them; the least used go first.

    One for all sessions that may say the same: a scripted reply is then encoded once.
    """

    def __init__(self, limit: int = _KEPT) -> None:
        self._limit = limit
        self._packets: OrderedDict[bytes, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._packets)

    def get(self, key: bytes) -> bytes | None:
        """The packet of that key."""
        if (packet := self._packets.get(key)) is not None:
            self._packets.move_to_end(key)
        return packet

    def put(self, key: bytes, packet: bytes) -> None:
        """Keep a packet."""
        self._packets[key] = packet
        if len(self._packets) > self._limit:
            self._packets.popitem(last=False)


class Packets:
    """One stream: frames in, packets out; what was encoded before is not again.

    A frame's key is the hash of all sound since the last silence, so the same
    utterance has the same packets in every stream. ``new_encoder`` is called where a
    frame is new and the encoder has not seen those before it.
    """

    def __init__(self, new_encoder: Callable[[], Encode], cache: PacketCache) -> None:
        self._new_encoder = new_encoder
        self._cache = cache
        self._encode: Encode | None = None
        self._key = b""
        self._silent = _TAIL
        self._recent: deque[bytes] = deque(maxlen=_LEAD)

    def packet(self, pcm: bytes) -> bytes:
        """The packet of the next frame, `FRAME_BYTES` of PCM16."""
        self._silent = self._silent + 1 if pcm == _SILENCE else 0
        if self._silent <= _TAIL:
            return self._next(pcm)
        # Lasting silence is the same everywhere, and what follows begins anew.
        self._restart()
        packet = self._next(pcm)
        self._restart()
        return packet

    def _restart(self) -> None:
        self._key, self._encode = b"", None
        self._recent.clear()

    def _next(self, pcm: bytes) -> bytes:
        self._key = hashlib.blake2b(self._key + pcm, digest_size=16).digest()
        packet = self._cache.get(self._key)
        if packet is None:
            packet = self._encoded(pcm)
            self._cache.put(self._key, packet)
        else:
            self._encode = None
        self._recent.append(pcm)
        return packet

    def _encoded(self, pcm: bytes) -> bytes:
        if self._encode is None:
            self._encode = self._new_encoder()
            for before in self._recent:
                self._encode(before)
        return self._encode(pcm)
