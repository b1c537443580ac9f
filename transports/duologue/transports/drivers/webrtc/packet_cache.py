"""A cache of encoded packets: equal audio is encoded once for all streams."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable

from ...contract import FRAME_SAMPLES

__all__ = ["FRAME_BYTES", "CachedEncoder", "PacketCache"]

#: Bytes of PCM16 in one frame.
FRAME_BYTES = FRAME_SAMPLES * 2
#: Default number of packets: ten minutes of audio, about 8 MB.
_KEPT = 30_000
#: Silent frames that belong to the audio before them: because of the encoder's
#: look-ahead, their packets contain the end of that audio.
_TAIL = 3
#: Number of earlier frames that a new encoder encodes first, for its state.
_LEAD = 3
_SILENCE = bytes(FRAME_BYTES)

#: Encodes a frame of PCM16; the packet depends on the frames before.
Encode = Callable[[bytes], bytes]


class PacketCache:
    """Packets by the hash of their audio; the least recently used are dropped.

    Sessions with the same scripted replies share one cache.
    """

    def __init__(self, limit: int = _KEPT) -> None:
        self._limit = limit
        self._packets: OrderedDict[bytes, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._packets)

    def get(self, key: bytes) -> bytes | None:
        """The packet for this key; None if there is none."""
        if (packet := self._packets.get(key)) is not None:
            self._packets.move_to_end(key)
        return packet

    def put(self, key: bytes, packet: bytes) -> None:
        """Add a packet."""
        self._packets[key] = packet
        if len(self._packets) > self._limit:
            self._packets.popitem(last=False)


class CachedEncoder:
    """Encodes one stream of frames, with packets from the cache if possible.

    The key of a frame is the hash of all audio since the last silence, so an utterance
    has the same packets in every stream. ``new_encoder`` is called for a frame that is
    not cached if the current encoder has not encoded the frames before it.
    """

    def __init__(self, new_encoder: Callable[[], Encode], cache: PacketCache) -> None:
        self._new_encoder = new_encoder
        self._cache = cache
        self._encode: Encode | None = None
        self._key = b""
        self._silent = _TAIL
        self._recent: deque[bytes] = deque(maxlen=_LEAD)

    def encode(self, pcm: bytes) -> bytes:
        """The packet for the next frame, `FRAME_BYTES` of PCM16."""
        self._silent = self._silent + 1 if pcm == _SILENCE else 0
        if self._silent <= _TAIL:
            return self._next(pcm)
        # All longer silence has the same key, and later audio starts a new key.
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
