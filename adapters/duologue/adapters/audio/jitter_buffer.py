"""A jitter buffer between a device and a transport, whose clocks differ.

Audio that arrives in bursts would have gaps if it were played at once, so the buffer
fills up before it returns anything. Time is counted in requested samples: the
consumer is the clock.
"""

from __future__ import annotations

import threading

from duologue.transports.contract import BYTES_PER_MS

from .levels import measure

__all__ = ["JitterBuffer"]

#: A gap of at least this many ms is a pause between utterances, not an underrun.
_PAUSE_MS = 500
#: Audio with a lower peak is silence; it can be dropped to reduce the delay.
_QUIET_DBFS = -54.0
_STEP = 10 * BYTES_PER_MS


class JitterBuffer:
    """A thread-safe buffer for PCM16.

    It returns nothing until it holds ``fill_ms``, or until that much time has passed
    since its first audio. Above ``high_ms`` it drops silence until ``fill_ms`` are
    left, because two clocks drift apart and buffered audio adds delay. Above
    ``limit_ms`` it drops the oldest audio.
    """

    def __init__(self, *, fill_ms: int, high_ms: int, limit_ms: int) -> None:
        self._fill = fill_ms * BYTES_PER_MS
        self._high = high_ms * BYTES_PER_MS
        self._limit = limit_ms * BYTES_PER_MS
        self._pcm = bytearray()
        self._filling = True
        self._waited = 0
        #: Requested bytes that were missing since the buffer ran empty; else None.
        self._missing: int | None = None
        self._underruns = 0
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def buffered_ms(self) -> int:
        """How much audio the buffer holds, in ms."""
        return len(self._pcm) // BYTES_PER_MS

    @property
    def underruns(self) -> int:
        """How often the buffer ran empty in the middle of an utterance."""
        return self._underruns

    @property
    def dropped_ms(self) -> int:
        """How many ms were dropped above the limit; dropped silence is not counted."""
        return self._dropped // BYTES_PER_MS

    def push(self, pcm: bytes) -> None:
        """Append whole samples."""
        if not pcm:
            return
        with self._lock:
            if self._missing is not None:
                # Only the length of the gap shows whether it was an underrun.
                self._underruns += self._missing < _PAUSE_MS * BYTES_PER_MS
                self._missing = None
            self._pcm += pcm
            excess = max(0, len(self._pcm) - self._limit)
            del self._pcm[:excess]
            self._dropped += excess

    def pull(self, samples: int) -> bytes:
        """Remove and return at most this many of the oldest samples."""
        wanted = samples * 2
        with self._lock:
            if self._filling and not self._is_filled(wanted):
                return b""
            self._catch_up()
            part = bytes(self._pcm[:wanted])
            del self._pcm[: len(part)]
            if len(part) < wanted:
                self._filling, self._waited = True, 0
                self._missing = wanted - len(part)
            return part

    def clear(self) -> None:
        """Drop all audio. This does not count as an underrun."""
        with self._lock:
            self._pcm.clear()
            self._filling, self._waited, self._missing = True, 0, None

    def _is_filled(self, wanted: int) -> bool:
        if not self._pcm:
            if self._missing is not None:
                self._missing += wanted
            return False
        # A short utterance never reaches the fill level: return it after that time.
        if len(self._pcm) < self._fill and self._waited < self._fill:
            self._waited += wanted
            return False
        self._filling = False
        return True

    def _catch_up(self) -> None:
        if len(self._pcm) <= self._high:
            return
        while len(self._pcm) >= self._fill + _STEP:
            if measure(bytes(self._pcm[:_STEP])).peak_dbfs > _QUIET_DBFS:
                return
            del self._pcm[:_STEP]
