"""What becomes of the sound of a talk: written, measured, shared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from duologue.adapters.audio import FLOOR_DBFS, Meter
from duologue.core.errors import DuologueError
from duologue.transports import AudioSink, AudioSource, WavSink

__all__ = ["Gauge", "HeardFile", "Metered", "Several", "Shared"]

#: Seconds without sound after which it is silent.
_STALE = 0.3


class HeardFile:
    """The file of what is heard: begun with the first sound, its trouble kept.

    A conversation without a reply leaves what was there before. Raises a
    `DuologueError` where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: DuologueError | None = None
        self.file: WavSink | None = None
        try:
            path.open("ab").close()
        except OSError as error:
            raise DuologueError(f"{path}: {error.strerror or error}") from None

    def write(self, pcm: bytes) -> None:
        """Write PCM16, until that fails."""
        if self.failure is None:
            self._try(lambda: self._file().write(pcm))

    def flush(self) -> None:
        """A file plays nothing."""

    def close(self) -> None:
        """Complete the file."""
        if self.file is not None and self.failure is None:
            self._try(self.file.close)

    def _file(self) -> WavSink:
        if self.file is None:
            self.file = WavSink(self.path)
        return self.file

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except DuologueError as error:
            # It comes from within the track: it is raised when the talk is over.
            self.failure = error


class Several:
    """Sinks that get the same."""

    def __init__(self, *sinks: AudioSink) -> None:
        self._sinks = sinks

    def write(self, pcm: bytes) -> None:
        """Give it to all."""
        for sink in self._sinks:
            sink.write(pcm)

    def flush(self) -> None:
        """Flush all."""
        for sink in self._sinks:
            sink.flush()


class Gauge:
    """How loud it is just now; a sink that plays nothing.

    Sound that stops coming is silence, though nobody says so.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._meter = Meter()
        self._at = -math.inf

    @property
    def peak_dbfs(self) -> float:
        """The peak of the last 100 ms."""
        if self._clock() - self._at > _STALE:
            return FLOOR_DBFS
        return self._meter.level.peak_dbfs

    def write(self, pcm: bytes) -> None:
        """Take the PCM16 that follows."""
        self._meter.add(pcm)
        self._at = self._clock()

    def flush(self) -> None:
        """What was measured was measured."""


class Metered:
    """A source whose sound a gauge sees."""

    def __init__(self, source: AudioSource, gauge: Gauge) -> None:
        self._source = source
        self._gauge = gauge

    def read(self, samples: int) -> bytes:
        """What the source gives."""
        pcm = self._source.read(samples)
        self._gauge.write(pcm)
        return pcm


class Shared:
    """Microphone and speaker as one session of several has them: while it is its turn.

    A source and a sink; ``is_mine`` says whether it is.
    """

    def __init__(
        self, source: AudioSource, sink: AudioSink, is_mine: Callable[[], bool]
    ) -> None:
        self._source = source
        self._sink = sink
        self._is_mine = is_mine

    def read(self, samples: int) -> bytes:
        """What the source gives, or silence."""
        return self._source.read(samples) if self._is_mine() else b""

    def write(self, pcm: bytes) -> None:
        """Play it, or not."""
        if self._is_mine():
            self._sink.write(pcm)

    def flush(self) -> None:
        """Flush what is ours."""
        if self._is_mine():
            self._sink.flush()
