"""What ``talk`` does with the sound of the other side, apart from playing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from duologue.core.errors import DuologueError
from duologue.transports import AudioSink, WavSink

__all__ = ["Both", "HeardFile"]


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


class Both:
    """Two sinks that get the same."""

    def __init__(self, *sinks: AudioSink) -> None:
        self._sinks = sinks

    def write(self, pcm: bytes) -> None:
        """Give it to both."""
        for sink in self._sinks:
            sink.write(pcm)

    def flush(self) -> None:
        """Flush both."""
        for sink in self._sinks:
            sink.flush()
