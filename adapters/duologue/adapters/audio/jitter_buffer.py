"""A buffer between two sides that keep different time.

A device takes and gives sound in its own rhythm, a transport in another. Sound that
comes in bursts would have holes when it is played at once, so the buffer fills up
before it gives any. All time here is counted in samples that were asked for: the
device is the clock.
"""

from __future__ import annotations

import threading

from duologue.transports.contract import BYTES_PER_MS

from .levels import measure

__all__ = ["JitterBuffer"]

#: A pause this long, in ms, is one of the speaker's, not a hole in what is said.
_PAUSE_MS = 500
#: Sound whose peak is below this is silence: it may be left out to catch up.
_QUIET_DBFS = -54.0
_STEP = 10 * BYTES_PER_MS


class JitterBuffer:
    """PCM16 in at one rhythm, out at another.

    It gives nothing until it holds ``fill_ms``, or has had some for as long. Where
    more than ``high_ms`` waits, silence is left out until ``fill_ms`` are left: two
    clocks drift apart, and what waits is heard late. Beyond ``limit_ms`` the oldest
    goes. Any thread may call it.
    """

    def __init__(self, *, fill_ms: int, high_ms: int, limit_ms: int) -> None:
        self._fill = fill_ms * BYTES_PER_MS
        self._high = high_ms * BYTES_PER_MS
        self._limit = limit_ms * BYTES_PER_MS
        self._pcm = bytearray()
        self._filling = True
        self._waited = 0
        #: Bytes asked for in vain since it ran dry; None where nothing was missing.
        self._dry: int | None = None
        self._underruns = 0
        self._dropped = 0
        self._lock = threading.Lock()

    @property
    def buffered_ms(self) -> int:
        """How much waits."""
        return len(self._pcm) // BYTES_PER_MS

    @property
    def underruns(self) -> int:
        """How often it ran dry in the middle of what was said."""
        return self._underruns

    @property
    def dropped_ms(self) -> int:
        """How much was lost because it was not asked for in time; no silence."""
        return self._dropped // BYTES_PER_MS

    def push(self, pcm: bytes) -> None:
        """Append whole samples."""
        if not pcm:
            return
        with self._lock:
            if self._dry is not None:
                # Only what follows tells whether it was a hole or the end.
                self._underruns += self._dry < _PAUSE_MS * BYTES_PER_MS
                self._dry = None
            self._pcm += pcm
            excess = max(0, len(self._pcm) - self._limit)
            del self._pcm[:excess]
            self._dropped += excess

    def pull(self, samples: int) -> bytes:
        """The oldest samples, at most so many; nothing while it fills up."""
        wanted = samples * 2
        with self._lock:
            if self._filling and not self._is_filled(wanted):
                return b""
            self._catch_up()
            part = bytes(self._pcm[:wanted])
            del self._pcm[: len(part)]
            if len(part) < wanted:
                self._filling, self._waited = True, 0
                self._dry = wanted - len(part)
            return part

    def clear(self) -> None:
        """Drop what waits. What was dropped on purpose leaves no hole."""
        with self._lock:
            self._pcm.clear()
            self._filling, self._waited, self._dry = True, 0, None

    def _is_filled(self, wanted: int) -> bool:
        if not self._pcm:
            if self._dry is not None:
                self._dry += wanted
            return False
        # What is too short to fill it is said all the same.
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
