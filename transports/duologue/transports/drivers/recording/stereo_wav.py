"""A stereo WAV file of both sides of a conversation, in real time."""

from __future__ import annotations

import contextlib
import logging
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from ...audio.wav import WavWriter
from ...contract import BYTES_PER_MS

__all__ = ["StereoWav"]

#: Maximum delay of a side in ms before silence is inserted.
_LATE_MS = 60
#: Audio is written this many ms late, because a side may be delayed.
_LAG_MS = 200

_log = logging.getLogger(__name__)


class StereoWav:
    """A stereo WAV of PCM16 at `SAMPLE_RATE`, written in real time.

    A side without audio is filled with silence. If writing fails, the file is closed
    with a warning and the session continues. The header is updated once a second, so
    the file is valid if the process is killed.
    """

    def __init__(
        self, path: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._clock = clock
        self._file: WavWriter | None = None
        self._started: float | None = None
        self._sides = (bytearray(), bytearray())

    def start(self) -> None:
        """Create the file, or replace an existing one."""
        if self._started is None:
            self._started = self._clock()
            with self._guarded():
                self._file = WavWriter(self._path, channels=2)
                self._path.chmod(0o600)

    def write_left(self, pcm: bytes) -> None:
        """Write the user's current audio, PCM16 mono."""
        self._write(0, pcm)

    def write_right(self, pcm: bytes) -> None:
        """Write the received audio, PCM16 mono."""
        self._write(1, pcm)

    def close(self) -> None:
        """Complete and close the file. Idempotent."""
        with self._guarded():
            if self._file is not None:
                self._join(max(map(len, self._sides)))
                self._file.close()
        self._file = None

    def _write(self, side: int, pcm: bytes) -> None:
        if self._file is None or self._started is None:
            return
        pcm = pcm[: len(pcm) & ~1]
        passed = int((self._clock() - self._started) * 1000) * BYTES_PER_MS
        waiting = self._sides[side]
        written = self._file.written // 2
        late = passed - len(pcm) - written - len(waiting)
        if late > _LATE_MS * BYTES_PER_MS:
            waiting.extend(bytes(late))
        waiting.extend(pcm)
        due = passed - _LAG_MS * BYTES_PER_MS - written
        with self._guarded():
            self._join(max(min(map(len, self._sides)), due))

    def _join(self, size: int) -> None:
        """Write ``size`` bytes of each side, padded with silence."""
        if size <= 0 or self._file is None:
            return
        both = array("h", bytes(2 * size))
        for offset, side in enumerate(self._sides):
            both[offset::2] = array("h", bytes(side[:size]).ljust(size, b"\0"))
            del side[:size]
        self._file.write(both.tobytes())

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _log.warning(
                "%s cannot be written and is closed: %s",
                self._path,
                error.strerror or error,
            )
            self._file = None
