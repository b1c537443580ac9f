"""Audio sinks and sources of a session: file, level meter, shared devices."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from duologue.adapters.audio import FLOOR_DBFS, Meter
from duologue.core.errors import DuologueError
from duologue.transports import AudioSink, AudioSource, WavSink

__all__ = ["FanOutSink", "FocusGate", "LevelMeter", "MeteredSource", "OutputWav"]

#: Seconds without audio after which the meter shows silence.
_STALE = 0.3


class OutputWav:
    """The WAV file of ``--output``, created when the first audio arrives.

    Without any audio an existing file is not overwritten. An error while writing is
    kept in ``failure``. Raises a `DuologueError` if the file cannot be opened.
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
        """Append PCM16; after a failure it is dropped."""
        if self.failure is None:
            self._try(lambda: self._open().write(pcm))

    def flush(self) -> None:
        """Do nothing: written audio stays in the file."""

    def close(self) -> None:
        """Complete the file."""
        if self.file is not None and self.failure is None:
            self._try(self.file.close)

    def _open(self) -> WavSink:
        if self.file is None:
            self.file = WavSink(self.path)
        return self.file

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except DuologueError as error:
            # Raised later: an error here would only stop the transport's audio.
            self.failure = error


class FanOutSink:
    """Passes audio to several sinks."""

    def __init__(self, *sinks: AudioSink) -> None:
        self._sinks = sinks

    def write(self, pcm: bytes) -> None:
        """Write to all sinks."""
        for sink in self._sinks:
            sink.write(pcm)

    def flush(self) -> None:
        """Flush all sinks."""
        for sink in self._sinks:
            sink.flush()


class LevelMeter:
    """A sink that measures the current level.

    A transport may stop sending instead of sending silence, so the level falls to
    `FLOOR_DBFS` after 0.3 s without audio.
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
        """Measure the next piece of PCM16."""
        self._meter.add(pcm)
        self._at = self._clock()

    def flush(self) -> None:
        """Do nothing: a level is not buffered."""


class MeteredSource:
    """A source whose audio a level meter measures."""

    def __init__(self, source: AudioSource, meter: LevelMeter) -> None:
        self._source = source
        self._meter = meter

    def read(self, samples: int) -> bytes:
        """Read from the source and measure it."""
        pcm = self._source.read(samples)
        self._meter.write(pcm)
        return pcm


class FocusGate:
    """Microphone and speaker for one of several sessions: open while it has the focus.

    It is a source and a sink.
    """

    def __init__(
        self, source: AudioSource, sink: AudioSink, has_focus: Callable[[], bool]
    ) -> None:
        self._source = source
        self._sink = sink
        self._has_focus = has_focus

    def read(self, samples: int) -> bytes:
        """Read from the microphone; without the focus, no audio."""
        return self._source.read(samples) if self._has_focus() else b""

    def write(self, pcm: bytes) -> None:
        """Play the audio; without the focus, drop it."""
        if self._has_focus():
            self._sink.write(pcm)

    def flush(self) -> None:
        """Flush the speaker, if this session has the focus."""
        if self._has_focus():
            self._sink.flush()
